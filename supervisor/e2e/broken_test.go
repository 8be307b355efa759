package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dwells saves settings whose release never passes its check: the workers boot, and no request is
// answered. then is Python that runs in them in the meantime. It takes a world WithDjango.
func (w *World) dwells(name, then string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.Source, "API", "dwelling.py"), []byte("import time\ntime.sleep(3600)\n"), 0o644); err != nil {
		w.t.Fatal(err)
	}
	w.SaveSettings(name, "ROOT_URLCONF = \"dwelling\"\nimport os, sys, threading\ndef die(code):\n"+
		"    print(\"gave up on purpose\", file=sys.stderr, flush=True)\n    os._exit(code)\n"+
		"if \"gunicorn\" in sys.modules:\n    "+then, RenameOver)
}

// A candidate is watched for as long as it is being checked, not only until it has booted.
func TestCandidateThatDiesDuringItsCheckNeverTakesTheName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, then, why string }{
		{"a worker now and then", "threading.Timer(1.5, die, (1,)).start()", "start_timeout"},
		// gunicorn takes exit code 3 of a worker to mean that it cannot boot, whenever it comes,
		// and ends itself: with 3, or with 1 if two workers do so at once.
		{"the master with its workers", "threading.Timer(0.5, die, (3,)).start()", "exit code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t, One(`health = { start_timeout = "10s" }`))
			w.WithDjango()
			first := w.Serve("one")
			tr := w.Load("one", 100)
			tr.GoOn(t, calm)
			w.dwells("one", c.then)
			b := w.WaitStatus("one", "the reason "+c.why, func(b BuildStatus) bool { return strings.Contains(b.Reason, c.why) })
			w.WaitLog("gave up on purpose")
			if !strings.Contains(b.Reason, "gave up on purpose") {
				t.Errorf("status %+v does not contain the application's message", b)
			}
			if b.Pid != first.Pid || b.Release != first.Release || b.State != "running" || !b.Healthy {
				t.Errorf("status %+v, want what served before, %+v", b, first)
			}
			w.SetBanner("one", "fixed", RenameOver)
			w.WaitBanner("one", "fixed")
			tr.GoOn(t, calm)
			tr.Stop().NoneLost(t)
		})
	}
}

// A release that can be built but not run, with nothing to go back to, is tried again and again,
// and its clients are told to come later.
func TestFirstReleaseThatCannotRunIsServedOnceItIsFixed(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`restart_delay_max = "1s"`))
	w.SaveSettings("one", "import nowhere_to_be_found", Overwrite)
	w.Start()
	b := w.WaitState("one", "backoff")
	if !strings.Contains(b.Reason, "nowhere_to_be_found") || b.Pid != 0 || b.Healthy {
		t.Errorf("status %+v, want the application's own words as the reason", b)
	}
	if a := MustAsk(t, "unix", w.Socket("one"), "/"); a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("clients are answered %d, Retry-After %q", a.Status, a.Header.Get("Retry-After"))
	}
	tr := w.Load("one", 100)
	w.SetBanner("one", "fixed", RenameOver)
	w.WaitBanner("one", "fixed")
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneHung(t, 0)
	if b := w.WaitState("one", "running"); b.Reason != "" || b.BuildError != "" {
		t.Errorf("status %+v of the fixed release still has a reason", b)
	}
}

// An environment that does not see the interpreter's own packages has no gunicorn unless the
// requirements say so.
func TestRequirementsWithoutGunicornAreAClearError(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	first := w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	if err := RenameOver(filepath.Join(w.Source, "requirements.txt"), nil); err != nil {
		t.Fatal(err)
	}
	w.SetBuilds(One("system_site_packages = false"))
	b := w.WaitStatus("one", "a build error", func(b BuildStatus) bool { return b.BuildError != "" })
	if !strings.Contains(b.BuildError, "gunicorn") || !strings.Contains(b.BuildError, "requirements.txt") {
		t.Errorf("build error %q, want what is missing and where", b.BuildError)
	}
	if b.Pid != first.Pid || b.Release != first.Release || b.State != "running" {
		t.Errorf("status %+v, want what served before, %+v", b, first)
	}
	if left := w.entries("one", "releases"); !slices.Equal(left, []string{first.Release}) {
		t.Errorf("releases %v, want %s alone", left, first.Release)
	}
	w.SetBuilds(One())
	w.WaitStatus("one", "no build error", func(b BuildStatus) bool { return b.BuildError == "" && !b.Building })
	tr.Stop().NoneLost(t)
}

// holdWhile returns lines of Python that create data/NAME.here and wait while data/NAME exists.
func holdWhile(name string) string {
	return fmt.Sprintf(`import os, time
if os.path.exists(os.path.join(os.environ["MEDCTRL_DATA"], %[1]q)):
    open(os.path.join(os.environ["MEDCTRL_DATA"], %[1]q + ".here"), "w").close()
    while os.path.exists(os.path.join(os.environ["MEDCTRL_DATA"], %[1]q)):
        time.sleep(0.01)
`, name)
}

func (w *World) waitHeld(name, file string) {
	w.t.Helper()
	Eventually(w.t, 60*time.Second, "a build to be held by "+file, func() (bool, string) {
		_, err := os.Stat(w.Data(name, file+".here"))
		return err == nil, fmt.Sprint(err)
	})
}

// Before anything irreversible, a running attempt is cancelled in favour of the newest inputs.
func TestEditBeforeMigrateCancelsTheRunningBuild(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("check = true", "migrate = true"))
	first := w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	w.Touch("one", "hold")
	w.SaveSettings("one", holdWhile("hold"), RenameOver)
	w.waitHeld("one", "hold") // check loads the settings, which wait
	w.SetBanner("one", "newest", RenameOver)
	w.WaitBanner("one", "newest")
	b := w.WaitRelease("one", first.Release)
	if want := []string{first.Release, b.Release}; !slices.Equal(w.entries("one", "releases"), want) {
		t.Errorf("releases %v, want %v: nothing of the cancelled one", w.entries("one", "releases"), want)
	}
	tr.Stop().NoneLost(t)
}

// An edit does not interrupt a migration: it ends, and the newest inputs are built after it.
func TestEditDuringAMigrationWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("migrate = true"))
	w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	w.Touch("one", "hold")
	indented := strings.ReplaceAll(holdWhile("hold"), "\n", "\n    ")
	migration := "from django.db import migrations\n\ndef forwards(apps, schema_editor):\n    " + indented +
		"\n    apps.get_model(\"things\", \"Thing\").objects.create(name=\"slow but whole\")\n\n" +
		"class Migration(migrations.Migration):\n    dependencies = [(\"things\", \"0001_initial\")]\n" +
		"    operations = [migrations.RunPython(forwards)]\n"
	if err := os.WriteFile(filepath.Join(w.Source, "API", "things", "migrations", "0002_slow.py"), []byte(migration), 0o644); err != nil {
		t.Fatal(err)
	}
	w.SetBanner("one", "older", RenameOver)
	w.waitHeld("one", "hold")
	w.SetBanner("one", "newest", RenameOver)
	w.MustCLI("reload") // the build knows of the edit when this returns
	if b := w.WaitState("one", "running"); !b.Building {
		t.Errorf("status %+v, want the migrating attempt to go on", b)
	}
	w.Heal("one", "hold")
	w.WaitBanner("one", "newest")
	if a := MustAsk(t, "unix", w.Socket("one"), "/things"); !strings.Contains(a.Body, "slow but whole") {
		t.Errorf("/things answered %q: the migration was interrupted", a.Body)
	}
	// In the attempt after it, the watcher's report of the same edit may cancel a first try.
	var whole []string
	Eventually(t, patience, "both releases in the log", func() (bool, string) {
		whole = strings.SplitN(w.Log(), "release built", 3)
		return len(whole) == 3, w.Log()
	})
	if strings.Contains(whole[1], "build cancelled") {
		t.Error("an attempt that migrated was cancelled")
	}
	tr.Stop().NoneLost(t)
}

// entries returns the names in a folder of build name.
func (w *World) entries(name, folder string) []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.Root, name, folder))
	if err != nil {
		w.t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}
