package process

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestEndFoundEndsStrangersButNotARecycledPid(t *testing.T) {
	t.Parallel()
	polite := stranger(t, "exec sleep 1000")
	stubborn := stranger(t, "trap '' TERM; echo; while :; do sleep 1000; done")
	spared := stranger(t, "exec sleep 1000")

	found := []Found{identify(t, polite), identify(t, stubborn), identify(t, spared)}
	found[2].StartTime-- // somebody else's pid by now
	if err := EndFound(context.Background(), found, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got := endedBy(polite); got != syscall.SIGTERM {
		t.Errorf("the polite one was ended by %v, want TERM", got)
	}
	if got := endedBy(stubborn); got != syscall.SIGKILL {
		t.Errorf("the stubborn one was ended by %v, want KILL", got)
	}
	if err := spared.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the one with another start time: %v", err)
	}
}

// stranger is a process that no Table knows, running its script.
func stranger(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", "echo ready; "+script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // gone already where the test went well
		_ = cmd.Wait()                                      // the test looked at how it ended
	})
	line := make([]byte, len("ready\n"))
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	if script[0] == 't' { // the trap is set once its own line is there
		if _, err := out.Read(line); err != nil {
			t.Fatal(err)
		}
	}
	return cmd
}

func identify(t *testing.T, cmd *exec.Cmd) Found {
	t.Helper()
	start, err := StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return Found{Pid: cmd.Process.Pid, StartTime: start}
}

func endedBy(cmd *exec.Cmd) syscall.Signal {
	_ = cmd.Wait() // how it ended is in the state
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}
