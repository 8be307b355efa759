package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A copied root, with its state, names and sockets, starts clean and leaves the original alone.
func TestCopiedRootStartsClean(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	c := tinyWorld(t)
	if out, err := exec.Command("cp", "-a", w.Root, c.Root).CombinedOutput(); err != nil {
		t.Fatalf("copy the root: %v: %s", err, out)
	}
	b := c.Serve("one")
	if b.Pid == first.Pid || !strings.HasPrefix(b.Socket, c.Root) {
		t.Errorf("the copy serves %+v, as the original does: %+v", b, first)
	}
	copied := c.Load("one", 50)
	copied.GoOn(t, calm)
	copied.Stop().NoneLost(t)
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	if now := w.WaitState("one", "running"); now.Pid != first.Pid || now.Restarts != 0 {
		t.Errorf("the original has suffered: %+v, before %+v", now, first)
	}
	c.Stop()
	w.Stop()
}

// A pid in the state that now belongs to another process is left alone.
func TestRecycledPidInTheStateIsNotTakenForAChild(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	first := w.Serve("one")
	stranger := exec.Command("sleep", "1000")
	stranger.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stranger.Process.Kill() // it may have ended, which then is the failure
		stranger.Wait()
	})
	path := filepath.Join(w.Root, ".supervisor", "state", "one.json")
	Eventually(t, patience, "the state to be written", func() (bool, string) {
		text := readAll(path)
		return strings.Contains(text, `"serving"`), text
	})
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(patience)
	KillAll(t, w.Processes(), syscall.SIGKILL)
	text := readAll(path)
	doctored := regexp.MustCompile(`"pid": \d+`).ReplaceAllString(text, `"pid": `+strconv.Itoa(stranger.Process.Pid))
	if doctored == text {
		t.Fatalf("the state names no process: %s", text)
	}
	if err := os.WriteFile(path, []byte(doctored), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Start()
	b := w.WaitState("one", "running")
	if b.Pid == stranger.Process.Pid || b.Pid == first.Pid || b.LastExit == "" {
		t.Errorf("status %+v, want a new process and why the old one ended", b)
	}
	w.Stop()
	if err := syscall.Kill(stranger.Process.Pid, 0); err != nil {
		t.Errorf("the stranger: %v", err)
	}
}

// A state that a later supervisor wrote is refused, with what to do, before anything is touched.
func TestLaterStateIsRefused(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Serve("one")
	w.Stop()
	path := filepath.Join(w.Root, ".supervisor", "state", "one.json")
	later := regexp.MustCompile(`"version": \d+`).ReplaceAllString(readAll(path), `"version": 99`)
	if err := os.WriteFile(path, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	w.Start()
	if code := w.WaitEnd(patience); code != 1 || !strings.Contains(w.Log(), "version 99") || !strings.Contains(w.Log(), "later supervisor") {
		t.Errorf("exit code %d: %s", code, w.Log())
	}
	if now := readAll(path); now != later {
		t.Error("the state was changed")
	}
}
