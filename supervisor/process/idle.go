package process

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// StartIdle starts cmd so that it runs when no one else would (SCHED_IDLE, sched(7)): the kernel
// takes a CPU with nothing else on it for an idle one, so no request waits for it. A process begins
// with the policy of the thread that starts it, and nobody without privileges gets back from this
// one: it is a thread of its own, which ends with its goroutine.
func StartIdle(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() { // this one never ends; while it is held the next goroutine is on another
			defer runtime.UnlockOSThread()
			started <- StartIdle(cmd)
			return
		}
		// Where it cannot be had, it runs like any other.
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
		started <- cmd.Start()
	}()
	return <-started
}
