package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFullDiskStopsNothingAndIsRecoveredFrom uses up all room on the root's disk. Everything keeps
// serving, a crash is recovered from, what cannot be built says why, and everything recovers
// automatically when there is room again.
func TestFullDiskStopsNothingAndIsRecoveredFrom(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	newDisk(t, w.Root)
	w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	filler := filepath.Join(w.Root, "filler")
	for _, size := range []string{"64k", "512"} { // dd ends with the intended error: no room left
		_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "oflag=append", "conv=notrunc,fsync", "bs="+size).Run()
	}
	w.SetBanner("one", "edited", RenameOver)
	b := w.WaitStatus("one", "a build that failed", func(b BuildStatus) bool { return b.BuildError != "" })
	if !strings.Contains(b.BuildError, "full") || !strings.Contains(b.BuildError, "free") || b.State != "running" {
		t.Errorf("status %+v, want what is full and what to do", b)
	}
	if left := w.entries("one", "releases"); !slices.Equal(left, []string{b.Release}) {
		t.Errorf("releases %v, want %s alone and no partial other one", left, b.Release)
	}
	if _, errOut, code := w.CLI("rebuild", "one"); code != 1 || !strings.Contains(errOut, "full") {
		t.Errorf("rebuild on a full disk: exit %d, %q", code, errOut)
	}
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	w.WaitState("one", "running")
	tr.GoOn(t, calm)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.WaitBanner("one", "edited") // without a command
	w.WaitStatus("one", "no error", func(b BuildStatus) bool { return b.BuildError == "" && b.Reason == "" })
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, 1)
	before := w.WaitState("one", "running")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if after := w.WaitState("one", "running"); after.Pid != before.Pid || after.Restarts != before.Restarts {
		t.Errorf("the state that could not be written for a while is %+v, want %+v", after, before)
	}
	w.Stop()
}

// TestReadOnlyDiskStopsNothingAndIsRecoveredFrom is the same for a disk that has become read-only,
// as after an error of the device.
func TestReadOnlyDiskStopsNothingAndIsRecoveredFrom(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	d := newDisk(t, w.Root)
	// Logs are open for writing, and no file system with such files can be made read-only: put them
	// elsewhere.
	w.Supervisor = []string{`log_dir = "logs"`}
	w.WriteConfig()
	w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	lock := filepath.Join(w.Root, ".supervisor", "lock")
	d.run("mount", "-o", "bind", d.at, d.at)
	d.run("mount", "-o", "remount,bind,ro", d.at)
	if _, err := os.OpenFile(lock, os.O_WRONLY, 0); err == nil {
		t.Fatal("it can still be written")
	}
	w.SetBanner("one", "edited", RenameOver)
	b := w.WaitStatus("one", "a build that failed", func(b BuildStatus) bool { return b.BuildError != "" })
	if !strings.Contains(b.BuildError, "read-only file system") || b.State != "running" {
		t.Errorf("status %+v, want what is read-only", b)
	}
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	w.WaitState("one", "running")
	tr.GoOn(t, calm)
	d.run("mount", "-o", "remount,bind,rw", d.at)
	w.WaitBanner("one", "edited")
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, 1)
	w.Stop()
}
