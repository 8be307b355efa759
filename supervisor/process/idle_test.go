package process

import (
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestIdleCommandYieldsToEverybodyAndWeDoNot(t *testing.T) {
	t.Parallel()
	var starting sync.WaitGroup
	for range 4 { // from threads that the first one may have to leave alone
		starting.Go(func() {
			cmd := exec.Command("sleep", "60")
			if err := StartIdle(cmd); err != nil {
				t.Error(err)
				return
			}
			defer func() {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
				cmd.Wait() // the error is that it was killed
			}()
			if policy := policyOf(t, cmd.Process.Pid); policy != unix.SCHED_IDLE {
				t.Errorf("it runs with policy %d", policy)
			}
			if policy := policyOf(t, 0); policy == unix.SCHED_IDLE {
				t.Error("our own thread is idle as well")
			}
		})
	}
	starting.Wait()
}

func policyOf(t *testing.T, pid int) uint32 {
	t.Helper()
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		t.Error(err)
		return 0
	}
	return attr.Policy
}

func TestIdleCommandThatCannotBeStartedSaysSo(t *testing.T) {
	t.Parallel()
	if err := StartIdle(exec.Command("/no/such/program")); err == nil {
		t.Error("started")
	}
}
