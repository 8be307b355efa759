package e2e

import (
	"syscall"
	"testing"
	"time"
)

// TestKilledSupervisorCostsNoRequest kills the supervisor with -9 under load and starts it again:
// the same gunicorn keeps serving and is supervised as before: a later crash loses only what the
// killed master's workers held, a hang is found, and a stop ends everything.
func TestKilledSupervisorCostsNoRequest(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(`stable_after = "1s"`))
	w.Start()
	before := w.WaitState("one", "running")
	tr := w.Load("one", 100)
	for range 3 {
		tr.WaitMore(t, 50)
		w.Signal(syscall.SIGKILL)
		w.WaitEnd(10 * time.Second)
		tr.WaitMore(t, 100) // a second without any supervisor
		w.Start()
		after := w.WaitState("one", "running")
		if after.Pid != before.Pid {
			t.Errorf("another gunicorn serves after the supervisor's death: pid %d, before %d", after.Pid, before.Pid)
		}
	}
	tr.Stop().NoneLost(t)

	tr = w.Load("one", 100)
	tr.WaitMore(t, 50)
	old := w.KillMaster("one", syscall.SIGKILL)
	w.WaitPid("one", old)
	w.WaitState("one", "running")
	tr.WaitMore(t, 100)
	tr.Stop().NoneLost(t)

	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	w.Stop()
}

// TestMasterThatDiesUnwatchedIsReplaced kills the supervisor and then the gunicorn master: its
// workers keep serving, and the next supervisor takes the listener back from them.
func TestMasterThatDiesUnwatchedIsReplaced(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Start()
	before := w.WaitState("one", "running")
	tr := w.Load("one", 100)
	tr.WaitMore(t, 50)
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	if err := syscall.Kill(before.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.Start()
	after := w.WaitPid("one", before.Pid)
	w.WaitState("one", "running")
	tr.WaitMore(t, 50)
	tr.Stop().NoneLost(t)
	if after.LastExit == "" {
		t.Error("status does not say that the previous one ended")
	}
}

// TestEditWhileNoSupervisorRunsIsApplied edits the settings between the supervisor's death and its
// next start, and removes a build.
func TestEditWhileNoSupervisorRunsIsApplied(t *testing.T) {
	t.Parallel()
	w := twoTiny(t)
	w.Start()
	w.WaitState("one", "running")
	two := w.WaitState("two", "running")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.SetBanner("one", "edited", Overwrite)
	w.SetBuilds(tiny())
	tr := w.Load("one", 100)
	w.Start()
	w.WaitBanner("one", "edited")
	tr.WaitMore(t, 50)
	tr.Stop().NoneLost(t)
	Eventually(t, 40*time.Second, "the end of the removed build", func() (bool, string) {
		return syscall.Kill(two.Pid, 0) == syscall.ESRCH, ""
	})
}
