package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// twoTiny is a world of two builds that are up within a second.
func twoTiny(t *testing.T) *World {
	t.Helper()
	w := tinyWorld(t)
	w.Builds = tiny() + "\n" + tinyEntry("two")
	w.WriteConfig()
	return w
}

// Only what an edit concerns is touched, and no edit costs a request.
func TestEditTouchesOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	w := twoTiny(t)
	w.Serve("one", "two")
	one, two := w.Load("one", 50), w.Load("two", 50)
	pids := func() (int, int) { return w.WaitState("one", "running").Pid, w.WaitState("two", "running").Pid }
	steps := []struct {
		name, entry string // of build one
		restarts    bool
		rebuilds    bool
	}{
		{"health", tiny(`health = { interval = "1s" }`), false, false},
		{"location", strings.Replace(tiny(`health = { interval = "1s" }`), "\"/one\"", "\"/moved\"", 1), false, false},
		{"env", tiny(`health = { interval = "1s" }`, `env = { X = "1" }`), true, false},
		{"env_file", tiny(`env = { X = "1" }`, `env_file = "one.env"`), true, false},
		{"wsgi", tiny(`env_file = "one.env"`, `wsgi = "other.wsgi:app"`), true, false},
		{"umask", tiny(`env_file = "one.env"`, `umask = "0077"`), true, true},
	}
	if err := os.WriteFile(filepath.Join(w.Dir, "one.env"), []byte("A=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range steps {
		before1, before2 := pids()
		release := w.WaitState("one", "running").Release
		w.SetBuilds(step.entry, tinyEntry("two"))
		out := w.MustCLI("reload")
		if step.restarts {
			w.WaitPid("one", before1)
		} else if now, _ := pids(); now != before1 {
			t.Errorf("%s: build one was restarted; reload said %q", step.name, out)
		}
		if step.rebuilds {
			w.WaitRelease("one", release)
		} else if b := w.WaitState("one", "running"); b.Release != release {
			t.Errorf("%s: release %s, before %s", step.name, b.Release, release)
		}
		if _, now := pids(); now != before2 {
			t.Errorf("%s: build two was touched", step.name)
		}
	}
	before1, before2 := pids()
	if err := RenameOver(filepath.Join(w.Dir, "one.env"), []byte("A=2\n")); err != nil {
		t.Fatal(err)
	}
	w.WaitPid("one", before1)
	w.SetBanner("two", "edited", Overwrite) // its settings are not an input of build one
	w.WaitBanner("two", "edited")
	w.WaitPid("two", before2)
	before1, before2 = pids()
	release := w.WaitState("one", "running").Release
	now := time.Now()
	for _, path := range []string{w.Settings("one"), filepath.Join(w.Source, "requirements.txt"), w.File} {
		if err := os.Chtimes(path, now, now); err != nil { // touched, with the same contents
			t.Fatal(err)
		}
	}
	w.MustCLI("reload")
	w.WaitStatus("one", "a look at the inputs", func(b BuildStatus) bool { return !b.Building })
	if now1, now2 := pids(); now1 != before1 || now2 != before2 || w.WaitState("one", "running").Release != release {
		t.Error("files that were only touched had an effect")
	}
	one.Stop().NoneLost(t)
	two.Stop().NoneLost(t)
}

func TestBuildsComeAndGoWithTheFile(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one")
	tr := w.Load("one", 100)
	w.SetBuilds(tiny(), tinyEntry("two")) // no command, no signal: saving is enough
	two := w.WaitState("two", "running")
	held := w.Load("two", 20)
	held.GoOn(t, calm)
	held.Stop().NoneLost(t)
	w.SetBuilds(tiny())
	Eventually(t, patience, "the end of build two", func() (bool, string) {
		s, err := w.Status()
		_, gone := os.Lstat(w.Socket("two"))
		return err == nil && s.Build("two").Name == "" && os.IsNotExist(gone) && syscall.Kill(two.Pid, 0) == syscall.ESRCH, fmt.Sprint(s, err)
	})
	if _, err := os.Stat(filepath.Join(w.Root, "two", "releases")); err != nil {
		t.Errorf("the releases of a removed build: %v", err)
	}
	w.SetBuilds(tiny(), tinyEntry("two"))
	if back := w.WaitState("two", "running"); back.Release != two.Release {
		t.Errorf("build two came back with release %s, and had %s of the same inputs", back.Release, two.Release)
	}
	if b := w.WaitState("one", "running"); b.Pid != first.Pid {
		t.Errorf("build one was touched")
	}
	tr.Stop().NoneLost(t)
}

// A mistake changes nothing, and is shown until it is fixed.
func TestBadEditChangesNothingUntilItIsFixed(t *testing.T) {
	t.Parallel()
	w := twoTiny(t)
	first := w.Serve("one", "two")
	good, err := os.ReadFile(w.File)
	if err != nil {
		t.Fatal(err)
	}
	tr := w.Load("one", 100)
	for text, want := range map[string]string{
		strings.Replace(string(good), "keep_releases", "kep_releases", 1): `did you mean "keep_releases"?`,
		string(good) + "\n[[build":                                        "builds.toml:",
		strings.Replace(string(good), `name = "two"`, `name = "one"`, 1):  "has it already",
	} {
		if err := RenameOver(w.File, []byte(text)); err != nil {
			t.Fatal(err)
		}
		Eventually(t, patience, "the mistake in status", func() (bool, string) {
			s, err := w.Status()
			return err == nil && strings.Contains(s.Config.Error, want), fmt.Sprint(s.Config, err)
		})
		if _, errOut, code := w.CLI("reload"); code != 1 || !strings.Contains(errOut, want) {
			t.Errorf("reload of a bad file: exit %d, %q", code, errOut)
		}
		if out, _, code := w.CLI("status"); code != 0 || !strings.Contains(out, "builds.toml") {
			t.Errorf("status with a bad file: exit %d, %q", code, out)
		}
		if err := RenameOver(w.File, good); err != nil {
			t.Fatal(err)
		}
		Eventually(t, patience, "the end of the mistake in status", func() (bool, string) {
			s, err := w.Status()
			return err == nil && s.Config.Error == "", fmt.Sprint(s.Config, err)
		})
	}
	if err := os.Remove(w.File); err != nil {
		t.Fatal(err)
	}
	Eventually(t, patience, "the file's absence in status", func() (bool, string) {
		s, err := w.Status()
		return err == nil && strings.Contains(s.Config.Error, "no such file"), fmt.Sprint(s.Config, err)
	})
	if err := Overwrite(w.File, good); err != nil {
		t.Fatal(err)
	}
	Eventually(t, patience, "the file's return", func() (bool, string) {
		s, err := w.Status()
		return err == nil && s.Config.Error == "", fmt.Sprint(s.Config, err)
	})
	if b := w.WaitState("one", "running"); b.Pid != first.Pid {
		t.Error("bad edits touched a build")
	}
	tr.Stop().NoneLost(t)
}

func TestDryRunOnlySaysWhatItWouldDo(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one")
	w.Supervisor = []string{`log_level = "debug"`}
	// Not by SetBuilds: an edit is applied automatically, so the dry run must come before the
	// watcher reacts.
	w.Builds = tiny(`env = { A = "1" }`)
	w.WriteConfig()
	out, _, code := w.CLI("reload", "--dry-run")
	if code != 0 || !strings.Contains(out, "one: env.A none → \"1\": restart\n") || !strings.Contains(out, "supervisor: log_level \"info\" → \"debug\"\n") {
		t.Errorf("dry run: exit %d, %q", code, out)
	}
	w.WaitPid("one", first.Pid) // by the edit
}

// However fast and in whatever way a file is saved, the newest content serves in the end.
func TestNewestEditServesHoweverItIsSaved(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Serve("one")
	tr := w.Load("one", 100)
	for name, save := range map[string]Save{"overwrite": Overwrite, "rename": RenameOver, "link": SwapLink} {
		w.SetBanner("one", name, save)
		w.WaitBanner("one", name)
		w.SetBanner("one", name+" first", save)
		w.SetBanner("one", name+" second", save) // at once
		w.WaitBanner("one", name+" second")
		before := w.WaitState("one", "running")
		w.SetBanner("one", name+" third", save)
		w.WaitStatus("one", "a build", func(b BuildStatus) bool { return b.Building || b.Release != before.Release })
		w.SetBanner("one", name+" fourth", save) // in the middle of it
		w.WaitBanner("one", name+" fourth")
		w.WaitStatus("one", "quiet", func(b BuildStatus) bool { return !b.Building && b.State == "running" })
		if a := MustAsk(t, "unix", w.Socket("one"), "/"); a.Header.Get("X-Banner") != name+" fourth" {
			t.Errorf("%s: %q serves in the end", name, a.Header.Get("X-Banner"))
		}
	}
	// The file itself, as in a config map: a link to a folder that is swapped.
	for i, entry := range []string{tiny(`env = { A = "1" }`), tiny(`env = { A = "2" }`)} {
		before := w.WaitState("one", "running")
		w.Builds = entry
		if err := SwapLink(w.File, []byte(w.Config())); err != nil {
			t.Fatal(err)
		}
		if b := w.WaitPid("one", before.Pid); b.State != "running" {
			t.Errorf("swap %d: %+v", i, b)
		}
	}
	tr.Stop().NoneLost(t)
}

func TestWatchedSourceIsRebuiltAndAnotherIsNot(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Builds = tiny("watch_source = true") + "\n" + tinyEntry("two")
	w.WriteConfig()
	first := w.Serve("one", "two")
	two := w.WaitState("two", "running")
	more := filepath.Join(w.Source, "API", "a", "new", "folder", "file.py")
	if err := os.MkdirAll(filepath.Dir(more), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(more, []byte("x = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	second := w.WaitRelease("one", first.Release)
	if err := os.WriteFile(more, []byte("x = 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.WaitRelease("one", second.Release)
	if b := w.WaitState("two", "running"); b.Release != two.Release {
		t.Errorf("build two does not watch its source and was rebuilt: %+v", b)
	}
	w.MustCLI("reload")
	w.WaitRelease("two", two.Release)
}

// Every kind of edit, with the real gunicorn: each costs what is documented, and no request.
func TestRealBuildFollowsEveryKindOfEdit(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"))
	first := w.Serve("one")
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)

	w.SetBuilds(One("workers = 2"))
	w.WaitPid("one", first.Pid)
	b := w.WaitState("one", "running")
	if n := len(Tree(b.Pid)); b.Release != first.Release || n != 1+2 {
		t.Errorf("workers: %d processes of release %s, which was %s", n, b.Release, first.Release)
	}

	venvs := func() (n int) {
		for _, name := range w.entries("one", "venvs") {
			if filepath.Ext(name) == "" { // not a record
				n++
			}
		}
		return n
	}
	before := venvs()
	w.Replace(filepath.Join(w.Source, "requirements.txt"), "gunicorn>=20.1", "gunicorn>=20.0", RenameOver)
	b = w.WaitRelease("one", b.Release)
	if n := venvs(); n != before+1 {
		t.Errorf("%d environments after an edit of the requirements, %d before", n, before)
	}

	views := filepath.Join(w.Source, "API", "api_settings", "views.py")
	w.Replace(views, `"""What a test`, `"""Edited. What a test`, Overwrite)
	w.Signal(syscall.SIGHUP) // code is not watched, by default
	b = w.WaitRelease("one", b.Release)
	if text := readAll(filepath.Join(w.Root, "one", "releases", b.Release, "API", "api_settings", "views.py")); !strings.Contains(text, "Edited.") {
		t.Error("a reload did not build the edited code")
	}

	other := filepath.Join(w.Dir, "other")
	if err := os.CopyFS(other, os.DirFS(w.Source)); err != nil {
		t.Fatal(err)
	}
	w.Replace(filepath.Join(other, "API", "api_settings", "settings", "deploy_one.py"), `"one"`, `"elsewhere"`, Overwrite)
	w.SetBuilds(One("workers = 2", `source = "other"`))
	w.WaitBanner("one", "elsewhere")
	b = w.WaitState("one", "running")

	w.SetBuilds(strings.Replace(One("workers = 2", `source = "other"`), "\"/one\"", "\"/moved\"", 1))
	Eventually(t, patience, "the front to follow the location", func() (bool, string) {
		now, old := MustAsk(t, "tcp", w.Front, "/moved/"), MustAsk(t, "tcp", w.Front, "/one/")
		return now.Status == 200 && old.Status == 404, fmt.Sprint(now.Status, old.Status)
	})
	if after := w.WaitState("one", "running"); after.Pid != b.Pid {
		t.Error("an edit of the location replaced the server")
	}

	good := readAll(w.File)
	w.Replace(w.File, `root = "root"`, `root = "elsewhere"`, RenameOver)
	if _, errOut, code := w.CLI("-c", w.File, "check"); code != 0 {
		t.Errorf("check of a file with another root: %d, %s", code, errOut)
	}
	Eventually(t, patience, "the refusal of another root", func() (bool, string) {
		s, err := w.Status()
		return err == nil && strings.Contains(s.Config.Error, "root changed"), fmt.Sprint(s.Config, err)
	})
	if err := RenameOver(w.File, []byte(good)); err != nil {
		t.Fatal(err)
	}
	tr.GoOn(t, calm)
	if after := w.WaitState("one", "running"); after.Pid != b.Pid {
		t.Error("the refused edit replaced the server")
	}
	tr.Stop().NoneLost(t)
}
