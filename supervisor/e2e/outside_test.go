package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWhatIsRemovedOfTheSupervisorsFolderIsMadeAgain removes all that the supervisor keeps for itself,
// alone and together. What serves serves on, a crash is answered, no second supervisor comes in, and
// the next one adopts.
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

// TestLogBeginsAgainWithTheNextStartWhateverBecameOfIt has things in its place that no log can be, and
// renames and removes it as others do who rotate logs.
func TestLogBeginsAgainWithTheNextStartWhateverBecameOfIt(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	pid := w.Serve("one").Pid
	logs := filepath.Join(w.Root, ".supervisor", "logs")
	log := filepath.Join(logs, "one.log")
	inPlace := func(put func() error) func() error {
		return func() error { return errors.Join(os.RemoveAll(log), put()) }
	}
	for what, change := range map[string]func() error{
		"FIFO":               inPlace(func() error { return syscall.Mkfifo(log, 0o600) }),
		"link":               inPlace(func() error { return os.Symlink("/dev/full", log) }),
		"folder":             inPlace(func() error { return os.Mkdir(log, 0o700) }),
		"removed":            func() error { return os.Remove(log) },
		"renamed":            func() error { return os.Rename(log, log+".theirs") },
		"folder renamed":     func() error { return os.Rename(logs, logs+".theirs") },
		"dangling link":      func() error { return errors.Join(os.RemoveAll(logs), os.Symlink("nowhere", logs)) },
		"file in its folder": func() error { return errors.Join(os.RemoveAll(logs), os.WriteFile(logs, nil, 0o600)) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		w.MustCLI("restart", "one")
		b := w.WaitPid("one", pid)
		pid = b.Pid
		if out, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/1", pid)); out != log || b.Reason != "" {
			t.Errorf("%s: output goes to %q, %v, reason %q", what, out, err, b.Reason)
		}
	}
	// Where that cannot be it costs the log alone, and is said.
	taken := []string{log, log + ".aside"} // all the names that it could be moved to
	for n := 2; n <= 20; n++ {
		taken = append(taken, fmt.Sprintf("%s.aside%d", log, n))
	}
	for _, path := range taken {
		if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	w.KillMaster("one", syscall.SIGKILL)
	w.WaitPid("one", pid)
	if out := w.MustCLI("status"); !strings.Contains(out, "what is printed is lost") {
		t.Errorf("status does not say that there is no log:\n%s", out)
	}
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
