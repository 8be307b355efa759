package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestTwentyRebuildsInARowCostNoRequest(t *testing.T) {
	t.Parallel()
	const rebuilds, kept = 20, 3
	w := tinyWorld(t)
	w.Replace(w.File, "keep_releases = 1", fmt.Sprint("keep_releases = ", kept), Overwrite)
	releases := []string{w.Serve("one").Release}
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	var before leavings
	for range rebuilds {
		w.MustCLI("rebuild", "one")
		releases = append(releases, w.WaitState("one", "running").Release)
		tr.GoOn(t, 0)
		if len(releases) == kept+1 {
			before = w.leavings()
		}
	}
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	t.Logf("%d rebuilds: %v", rebuilds, r)
	if served := r.releases(); !slices.Equal(served, releases) {
		t.Errorf("releases %v answered the load, want each of %v in turn", served, releases)
	}
	Eventually(t, patience, "the end of what the rebuilds left", func() (bool, string) {
		now, names := w.leavings(), w.entries("one", "releases")
		return slices.Equal(names, releases[len(releases)-kept:]) && now.descriptors <= before.descriptors && now.files <= before.files && now.processes == 1,
			fmt.Sprintf("releases %v; %+v, after the first rebuilds %+v", names, now, before)
	})
}

// leavings counts what a supervisor might leak.
type leavings struct{ descriptors, processes, files int }

func (w *World) leavings() leavings {
	w.t.Helper()
	l := leavings{w.descriptors(), len(w.Processes()), 0}
	err := filepath.WalkDir(w.Root, func(path string, d os.DirEntry, err error) error {
		l.files++
		if errors.Is(err, os.ErrNotExist) {
			return nil // it disappeared in the meantime
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// releases returns those that answered, in the order of the first request that each answered.
func (r Result) releases() []string {
	var all []string
	for _, s := range r.Shots {
		if s.Outcome == OK && !slices.Contains(all, s.Release) {
			all = append(all, s.Release)
		}
	}
	return all
}

// unfit are settings with which a release can be built but is not fit to serve.
var unfit = map[string]struct{ lines, why string }{
	"import error":   {"import nowhere_to_be_found", "nowhere_to_be_found"},
	"syntax error":   {"if True print(1)", "SyntaxError"},
	"answers 500":    {`ROOT_URLCONF = "nowhere_at_all"`, "500"},
	"never answers":  {"import sys, time\nif \"gunicorn\" in sys.modules:\n    time.sleep(3600)", "start_timeout"},
	"worker exits":   {"import os, sys\nif \"gunicorn\" in sys.modules:\n    os._exit(17)", "no worker has loaded"},
	"master is gone": {killsMaster + "kill_master()", "SIGKILL"},
}

// killsMaster is Python that kills its gunicorn, and not the process that becomes its parent after
// that.
const killsMaster = `import os, sys
def kill_master():
    master = os.getppid()
    if "gunicorn" in sys.modules and "gunicorn" in open("/proc/%d/cmdline" % master).read():
        os.kill(master, 9)
`

// What serves keeps serving, with the reason in status and log, and the fixed release follows
// without a command.
func TestBrokenReleaseNeverTakesTheName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"import error", "syntax error", "answers 500", "never answers", "worker exits", "master is gone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t, One(`health = { interval = "300ms", start_timeout = "10s" }`))
			w.WithDjango() // its ways to fail
			first := w.Serve("one")
			tr := w.Load("one", 50)
			tr.GoOn(t, calm)
			c := unfit[name]
			w.SaveSettings("one", c.lines, RenameOver)
			b := w.WaitStatus("one", "the reason "+c.why, func(b BuildStatus) bool { return strings.Contains(b.Reason+b.BuildError, c.why) })
			if b.Pid != first.Pid || b.Release != first.Release || b.State != "running" || !b.Healthy {
				t.Errorf("status %+v, want what served before, %+v", b, first)
			}
			w.WaitLog(c.why)
			tr.GoOn(t, calm)
			if b := w.WaitStatus("one", "nothing under way", func(b BuildStatus) bool { return !b.Building }); b.Pid != first.Pid {
				t.Errorf("pid %d serves, want %d", b.Pid, first.Pid)
			}
			w.SetBanner("one", "fixed", RenameOver)
			w.WaitBanner("one", "fixed")
			if b := w.WaitRelease("one", first.Release); b.Reason != "" || b.BuildError != "" {
				t.Errorf("status %+v of the fixed release still has a reason", b)
			}
			tr.Stop().NoneLost(t)
		})
	}
}

func TestRollbackStaysUntilAnInputChanges(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Replace(w.File, "keep_releases = 1", "keep_releases = 5", Overwrite)
	first := w.Serve("one")
	w.SetBanner("one", "second", RenameOver)
	second := w.WaitRelease("one", first.Release)
	w.SetBanner("one", "third", RenameOver)
	third := w.WaitRelease("one", second.Release)
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	w.MustCLI("rollback", "one")
	w.WaitBanner("one", "second")
	w.MustCLI("rollback", "one", "--to", first.Release)
	if b := w.WaitState("one", "running"); b.Release != first.Release || !slices.Contains(b.Releases, third.Release) {
		t.Errorf("after rollback --to: %+v", b)
	}
	if _, errOut, code := w.CLI("rollback", "one", "--to", "20200101T000000-abcdef"); code != 1 || !strings.Contains(errOut, "not kept") {
		t.Errorf("to a missing release: exit %d, %q", code, errOut)
	}
	w.MustCLI("reload") // changes no input
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(patience)
	w.Start()
	if b := w.WaitStatus("one", "a check of the inputs", func(b BuildStatus) bool { return b.State == "running" && !b.Building }); b.Release != first.Release {
		t.Errorf("after the supervisor's death release %s serves, want %s", b.Release, first.Release)
	}
	w.SetBanner("one", "fourth", RenameOver)
	w.WaitBanner("one", "fourth")
	tr.Stop().NoneLost(t)
}

// A failed attempt says why, with nothing swapped and nothing left behind.
func TestBuildThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1", `pip_args = ["--no-index", "--no-build-isolation"]`), Entry("two", "workers = 1", "check = true", "migrate = true"))
	first := w.Serve("one", "two")
	two := w.WaitState("two", "running")
	requirements := filepath.Join(w.Source, "requirements.txt")
	good, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(w.Settings("one"))
	if err != nil {
		t.Fatal(err)
	}
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)
	failed := func(name, why string) {
		t.Helper()
		w.WaitStatus(name, "the build error "+why, func(b BuildStatus) bool { return strings.Contains(b.BuildError, why) })
	}
	save := func(text string) {
		t.Helper()
		if err := RenameOver(requirements, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	save("no-such-package-anywhere==1.0\n")
	failed("one", "no-such-package-anywhere")
	save(string(good))
	w.WaitStatus("one", "no build error", func(b BuildStatus) bool { return b.BuildError == "" && !b.Building })
	w.SaveSettings("one", `SECRET_KEY = "random secret key"`, RenameOver)
	failed("one", "deploy_one.py:4:")
	if err := RenameOver(w.Settings("one"), settings); err != nil {
		t.Fatal(err)
	}
	w.SaveSettings("two", `INSTALLED_APPS = ["things", "no_such_app"]`, RenameOver)
	failed("two", "no_such_app")
	if err := os.WriteFile(filepath.Join(w.Source, "API", "things", "migrations", "0099_bad.py"), []byte("raise RuntimeError('a migration that cannot work')\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.SetBanner("two", "migrates", RenameOver)
	failed("two", "a migration that cannot work")
	for name, before := range map[string]BuildStatus{"one": first, "two": two} {
		if b := w.WaitState(name, "running"); b.Pid != before.Pid || b.Release != before.Release {
			t.Errorf("status %+v, want what served before, %+v", b, before)
		}
		// the pattern is good
		if left, _ := filepath.Glob(filepath.Join(w.Root, name, "releases", ".tmp-*")); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	tr.Stop().NoneLost(t)
}

func TestFirstReleaseThatIsBrokenIsServedOnceItIsFixed(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"))
	w.SaveSettings("one", `SECRET_KEY = "random secret key"`, Overwrite)
	w.Start()
	b := w.WaitState("one", "failed")
	if !strings.Contains(b.Reason, "random secret key") || b.Pid != 0 {
		t.Errorf("status %+v, want the reason", b)
	}
	if a := MustAsk(t, "unix", w.Socket("one"), "/"); a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("clients are answered %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
	w.SetBanner("one", "fixed", RenameOver)
	w.WaitBanner("one", "fixed")
}
