package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// waitReason waits until the reason of a build has all the words.
func (w *World) waitReason(name string, words ...string) BuildStatus {
	w.t.Helper()
	return w.WaitStatus(name, "the reason "+strings.Join(words, ", "), func(b BuildStatus) bool {
		for _, word := range words {
			if !strings.Contains(b.Reason, word) {
				return false
			}
		}
		return true
	})
}

// What a release misses while it is checked comes back without anybody saying so.
func TestReleaseCheckedDuringAnOutageTakesOverAfterIt(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1", `health = { interval = "1h" }`)) // what serves is not to be replaced meanwhile
	first := w.Serve("one")
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)

	w.Touch("one", "sick") // every page returns 500, also those of what serves
	w.SetBanner("one", "after the outage", RenameOver)
	b := w.waitReason("one", "did not take over", "500", "tried again in ")
	if b.Pid != first.Pid || b.NextTry.IsZero() {
		t.Errorf("status %+v, want what served before, %+v", b, first)
	}
	w.Heal("one", "sick")
	w.WaitBanner("one", "after the outage")

	w.Touch("one", "away")
	w.SaveSettings("one", "import os\nBANNER = \"loaded\"\nif os.path.exists(os.path.join(os.environ[\"MEDCTRL_DATA\"], \"away\")):\n"+
		"    raise ConnectionRefusedError(111, \"Connection refused\")\n", RenameOver)
	Eventually(t, 4*patience, "another try that fails alike", func() (bool, string) {
		out := w.MustCLI("events")
		tries := 0
		for line := range strings.Lines(out) {
			if strings.Contains(line, "Connection refused") && strings.Contains(line, "tried again in ") {
				tries++
			}
		}
		// Later tries are tested in the machine: TestFailureThatMayPassByItselfNeverRejectsARelease.
		return tries > 1, out
	})
	w.Heal("one", "away")
	w.WaitBanner("one", "loaded")
	if b := w.WaitState("one", "running"); b.Reason != "" {
		t.Errorf("the reason %q is left", b.Reason)
	}
}

// A database that lets in who knows the password, and can be away.
const guarded = `import os
from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, params):
        if os.path.exists(os.path.join(os.environ["MEDCTRL_DATA"], "down")):
            raise OperationalError(2003, "Can't connect to MySQL server on 'db' (111)")
        if os.environ.get("DB_PASSWORD") != "right":
            raise OperationalError(1045, "Access denied for user 'm'@'localhost'")
        return super().get_new_connection(params)
`

func TestWrongPasswordInTheEnvironmentNeverTakesOver(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1", "migrate = true", "check = true", `env_file = "one.env"`))
	if err := os.Mkdir(filepath.Join(w.Source, "API", "guarded"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"__init__.py": "", "base.py": guarded} {
		if err := os.WriteFile(filepath.Join(w.Source, "API", "guarded", path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.SaveSettings("one", "DATABASES[\"default\"][\"ENGINE\"] = \"guarded\"\n", Overwrite)
	environ := func(text string) {
		t.Helper()
		if err := RenameOver(filepath.Join(w.Dir, "one.env"), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	environ("DB_PASSWORD=right\n")
	first := w.Serve("one")
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)
	things := func() {
		t.Helper()
		if a := MustAsk(t, "unix", w.Socket("one"), "/things"); a.Status != 200 || !strings.Contains(a.Body, "first") {
			t.Errorf("a page that needs the database: %d, %s", a.Status, a.Body)
		}
	}

	environ("DB_PASSWORD=wrong\n")
	b := w.waitReason("one", "changed run settings", "Access denied for user", "not tried again")
	if b.Pid != first.Pid || b.Release != first.Release || b.State != "running" {
		t.Errorf("status %+v, want what served before, %+v", b, first)
	}
	if out, _, code := w.CLI("status"); code != 0 || strings.Count(out, "Access denied") != 1 {
		t.Errorf("status: exit %d, %s", code, out)
	}
	things()

	w.Touch("one", "down")
	environ("DB_PASSWORD=right\nOTHER=1\n")
	b = w.waitReason("one", "Can't connect to MySQL server", "tried again in ")
	if b.Pid != first.Pid {
		t.Errorf("status %+v, want what served before, %+v", b, first)
	}
	w.Heal("one", "down")
	w.WaitPid("one", first.Pid)
	things()
	tr.Stop().NoneLost(t)
	if b := w.WaitState("one", "running"); b.Reason != "" || b.Release != first.Release {
		t.Errorf("status %+v, want no reason and the same release", b)
	}
}
