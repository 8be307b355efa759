package e2e

import (
	"os/exec"
	"runtime"
	"sync"
)

// bound runs functions on a thread that lives as long as the tests.
var bound = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range calls {
			f()
		}
	}()
	return calls
})

// StartBound starts a command with a parent-death signal: the kernel sends it when the thread that
// started the child ends (prctl(2)), and some of Go's threads end while the tests are running, such
// as those of oldkernel.
func StartBound(cmd *exec.Cmd) error {
	done := make(chan error)
	bound() <- func() { done <- cmd.Start() }
	return <-done
}
