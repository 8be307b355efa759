package e2e

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWhatIsRemovedOfTheSupervisorsFolderIsMadeAgain removes all that the supervisor keeps for itself, alone and together. What serves serves
// on, a crash is answered, no second supervisor comes in, and the next one adopts.
func TestWhatIsRemovedOfTheSupervisorsFolderIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	pid := w.Serve("one").Pid
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	own := filepath.Join(w.Root, ".supervisor")
	id := readAll(filepath.Join(own, "id"))
	back := []string{"lock", "id", "control.sock", "builds.toml", "state/one.json"}
	for _, what := range append(back, "state", "logs", "events", "") {
		if err := os.RemoveAll(filepath.Join(own, what)); err != nil {
			t.Fatal(err)
		}
		if _, errOut, code := w.CLI(); code != 1 || !strings.Contains(errOut, "another supervisor") {
			t.Fatalf("without %q a second supervisor ended with %d, %q", what, code, errOut)
		}
		Eventually(t, 10*time.Second, "all of it, after the loss of "+what, func() (bool, string) {
			for _, name := range back {
				info, err := os.Lstat(filepath.Join(own, name))
				if err != nil || info.Mode().Perm() != 0o600 {
					return false, fmt.Sprint(name, info, err)
				}
			}
			info, err := os.Lstat(own)
			return err == nil && info.Mode().Perm() == 0o700, fmt.Sprint(info, err)
		})
		if _, err := w.Status(); err != nil {
			t.Fatalf("without %q: %v", what, err)
		}
	}
	w.KillMaster("one", syscall.SIGKILL)
	pid = w.WaitPid("one", pid).Pid
	w.WaitState("one", "running")
	tr.GoOn(t, calm)
	if _, err := os.Lstat(filepath.Join(own, "logs", "one.log")); err != nil {
		t.Error(err)
	}
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if after := w.WaitState("one", "running"); after.Pid != pid {
		t.Errorf("pid %d serves after a restart, want %d, which was adopted", after.Pid, pid)
	}
	if now := readAll(filepath.Join(own, "id")); strings.Fields(now)[0] != strings.Fields(id)[0] {
		t.Errorf("the root is called %q, was %q", now, id)
	}
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, 1)
	w.Stop()
}

// TestWhatIsRemovedOfABuildsFolderIsMadeAgain is the same for the folder of a build.
func TestWhatIsRemovedOfABuildsFolderIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	pid := w.Serve("one").Pid
	dir := filepath.Join(w.Root, "one")
	for _, what := range []string{"run", "data", "current"} {
		if err := os.RemoveAll(filepath.Join(dir, what)); err != nil {
			t.Fatal(err)
		}
		if what != "run" { // which is made for each start
			Eventually(t, 10*time.Second, what, func() (bool, string) {
				_, err := os.Stat(filepath.Join(dir, what))
				return err == nil, fmt.Sprint(err)
			})
		}
		w.KillMaster("one", syscall.SIGKILL)
		pid = w.WaitPid("one", pid).Pid
		w.WaitState("one", "running")
	}
	for _, what := range []string{"releases", "venvs", ""} {
		before := w.WaitState("one", "running").Release
		// What is being made again may be in the way of the last step, the removal of the folder itself.
		if err := os.RemoveAll(filepath.Join(dir, what)); err != nil && what != "" {
			t.Fatal(err)
		}
		w.WaitRelease("one", before)
		w.WaitState("one", "running")
		if _, err := os.Stat(filepath.Join(dir, "current", "API")); err != nil {
			t.Errorf("after the loss of %q: %v", what, err)
		}
	}
	w.Stop()
}

// TestLogThatCannotBeOpenedCostsTheLogAlone has things in its place that no log can be.
func TestLogThatCannotBeOpenedCostsTheLogAlone(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	pid := w.Serve("one").Pid
	logs := filepath.Join(w.Root, ".supervisor", "logs")
	for _, put := range []func() error{
		func() error { return syscall.Mkfifo(filepath.Join(logs, "one.log"), 0o600) },
		func() error { return os.Symlink("/dev/full", filepath.Join(logs, "one.log")) },
		func() error { return os.Mkdir(filepath.Join(logs, "one.log"), 0o700) },
	} {
		if err := os.RemoveAll(filepath.Join(logs, "one.log")); err != nil {
			t.Fatal(err)
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		w.KillMaster("one", syscall.SIGKILL)
		pid = w.WaitPid("one", pid).Pid
		if b := w.WaitState("one", "running"); b.Reason != "" {
			t.Errorf("reason %q", b.Reason)
		}
	}
	w.WaitLog("one.log") // it says which log cannot be opened
	w.Stop()
}

// TestUserThatIsSetLaterOwnsWhatIsThere builds with a narrow umask, first as ourselves and then as somebody else.
func TestUserThatIsSetLaterOwnsWhatIsThere(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip(err)
	}
	w := tinyWorld(t)
	w.Wrap = []string{"sh", "-c", `umask 077; exec "$@"`, "sh"}
	if err := os.Chmod(w.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	before := w.Serve("one").Release
	if err := os.WriteFile(w.Data("one", "written"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.SetBuilds(tiny(`user = "nobody"`, `group = "daemon"`))
	after := w.WaitRelease("one", before)
	if out := w.MustCLI("status", "one"); !strings.Contains(out, "owner") {
		t.Errorf("status shows no step `owner`:\n%s", out)
	}
	var owners []string
	for _, path := range []string{"", "written"} {
		info, err := os.Stat(w.Data("one", path))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		owners = append(owners, fmt.Sprint(st.Uid, ":", st.Gid))
	}
	if owners[0] != "65534:1" || owners[1] != owners[0] {
		t.Errorf("data belongs to %q", owners)
	}
	w.MustCLI("rollback", "one", "--to", before)
	w.WaitRelease("one", after.Release)
	w.Stop()
}
