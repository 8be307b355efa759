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
func stranger(t *testing.T, script string) *strangeProcess {
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
	line := make([]byte, len("ready\n"))
	if _, err := out.Read(line); err != nil {
		t.Fatal(err)
	}
	if script[0] == 't' { // the trap is set once its own line is there
		if _, err := out.Read(line); err != nil {
			t.Fatal(err)
		}
	}
	// Waited for from now on, as a parent does: the sweep of orphans takes it otherwise.
	s := &strangeProcess{Cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // how it ended is in the state
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // gone already where the test went well
		<-s.ended
	})
	return s
}

type strangeProcess struct {
	*exec.Cmd
	ended chan struct{}
}

func identify(t *testing.T, s *strangeProcess) Found {
	t.Helper()
	start, err := StartTime(s.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return Found{Pid: s.Process.Pid, StartTime: start}
}

func endedBy(s *strangeProcess) syscall.Signal {
	<-s.ended
	return s.ProcessState.Sys().(syscall.WaitStatus).Signal()
}
