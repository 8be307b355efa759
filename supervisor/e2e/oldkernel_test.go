package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// TestMainJobOnAnOldKernel is the main job without everything newer than Linux 5.4 and everything
// that a file system or a container may lack.
func TestMainJobOnAnOldKernel(t *testing.T) {
	t.Parallel()
	w := exampleWorld(t)
	w.Without = oldkernel.All()
	mainJob(t, w)
}

// TestEachFallbackLosesNothing removes one kernel feature after the other, and each time a build is
// served, edited, killed, adopted after a death of the supervisor, upgraded and stopped, with no
// request lost.
func TestEachFallbackLosesNothing(t *testing.T) {
	t.Parallel()
	for _, lack := range oldkernel.All() {
		t.Run(lack.String(), func(t *testing.T) {
			t.Parallel()
			w := tinyWorld(t)
			w.Without = []oldkernel.Feature{lack}
			wholeLife(t, w, lack == oldkernel.PidfdGetfd)
		})
	}
	t.Run("no cgroups", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
			t.Skip("needs root and unshare")
		}
		w := tinyWorld(t)
		w.Wrap = []string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$@"`, "sh"}
		wholeLife(t, w, false)
	})
}

// wholeLife goes through what an operator may see of a build in a year. If the listener cannot be
// taken back from a child, the death of that child after the supervisor's costs the waiting
// clients.
func wholeLife(t *testing.T, w *World, weaker bool) {
	t.Helper()
	first := w.Serve("one")
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)
	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	second := w.WaitPid("one", first.Pid)
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if b := w.WaitState("one", "running"); b.Pid != second.Pid {
		t.Errorf("pid %d after the supervisor's death, want %d", b.Pid, second.Pid)
	}
	tr.GoOn(t, calm)
	w.Upgrade()
	if b := w.WaitState("one", "running"); b.Pid != second.Pid {
		t.Errorf("pid %d after an upgrade, want %d", b.Pid, second.Pid)
	}
	tr.GoOn(t, calm)
	allowed := 1 // the one that the killed process was working on
	if weaker {
		tr.Stop().NoneLost(t)
	}
	w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
	w.WaitState("one", "running")
	if weaker {
		tr, allowed = w.Load("one", 50), 0
	}
	w.SetBanner("one", "again", RenameOver)
	w.WaitBanner("one", "again")
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, allowed)
	w.Stop()
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("left after the stop: %v", fmt.Sprint(slices.Clip(left)))
	}
}
