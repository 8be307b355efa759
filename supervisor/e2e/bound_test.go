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

// StartBound starts what has a parent-death signal: the kernel sends it when the thread ends that started the child
// (prctl(2)), and Go's threads end while the tests run on, as those of oldkernel do.
func StartBound(cmd *exec.Cmd) error {
	done := make(chan error)
	bound() <- func() { done <- cmd.Start() }
	return <-done
}
