package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What an image has: a release made by `build`, on a file system that nobody can write to. A start costs
// gunicorn's boot: no copy, no environment, no pip.
func TestAPrebuiltReleaseIsServedAsItIsFromAReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Prepared = false
	pre := filepath.Join(w.Dir, "image")
	out, errOut, code := w.CLI("build", "one", "--root", pre)
	release := filepath.Base(strings.TrimSpace(out))
	if code != 0 || errOut != "" || !strings.Contains(out, "\none: step 4 of 8: install\n") || !strings.Contains(out, "\none: release "+release+" built in ") {
		t.Fatalf("exit %d, %q %q", code, out, errOut)
	}
	if again := w.MustCLI("build", "one", "--root", pre); again != "one: release "+release+" is there already: "+filepath.Join(pre, "one", "releases", release)+"\n" {
		t.Errorf("once more: %q", again)
	}
	if _, err := os.Stat(w.Root); err == nil {
		t.Error("the file's own root was made")
	}
	readOnly := `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`
	if exec.Command("unshare", "-m", "sh", "-c", readOnly, pre, "true").Run() == nil {
		w.Wrap = []string{"unshare", "-m", "sh", "-c", readOnly, pre}
	} else {
		t.Log("no read-only mount here: it is served where it could be written to")
	}
	w.StartArgs = []string{"--prebuilt", pre}
	begun := time.Now()
	w.Start()
	if is := w.WaitState("one", "running"); is.Release != release {
		t.Errorf("release %s serves, want %s", is.Release, release)
	}
	t.Logf("it served after %v", time.Since(begun).Round(10*time.Millisecond))
	if log := w.Log(); strings.Contains(log, "release built") || strings.Contains(log, "[WARN]") || strings.Contains(log, "[ERROR]") {
		t.Errorf("the supervisor says:\n%s", log)
	}
	tr := w.Load("one", 50)
	tr.GoOn(t, 5)
	tr.Stop().NoneLost(t)
	if _, errOut, code := w.CLI("build", "one"); code != 1 || !strings.Contains(errOut, "another supervisor (pid ") {
		t.Errorf("in a root that is in use: exit %d, %q", code, errOut)
	}
}
