package process

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Freeze stops the table while this program writes down what it has and executes its successor in
// its own place (Exec): it waits for every Spawn that is under way. Then, until thaw is called,
// nothing in this program starts a process (os/exec included, so that descriptors which are kept
// over the exec reach no other process), and no exit is collected or reported. A child that exits
// in this time is a zombie, which Adopt of the successor reports. Every exit that was collected
// before has been reported when Freeze returns.
//
// Pids and file descriptors of the children need no handing over: after the exec the processes are
// still children of this pid, and Adopt opens what it needs. What must be written down of each is
// Pid, StartTime and its mark.
//
// Calls of Spawn and os/exec wait meanwhile. Freeze must not be called from an exit callback, and
// Close not before thaw.
func (t *Table) Freeze() (thaw func()) {
	t.moving.Lock()
	syscall.ForkLock.RLock()
	return sync.OnceFunc(func() {
		syscall.ForkLock.RUnlock()
		t.moving.Unlock()
	})
}

// Exec executes a program in our place, with the pid, the children and the descriptors without
// FD_CLOEXEC that we have. It returns only where that failed; then everything is as before. The
// limit of open files goes back to what we were started with, as for any program that Go starts,
// and signals that are caught have their default action until the new program asks for them.
func Exec(path string, argv, env []string) error {
	var limit unix.Rlimit
	known := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil
	err := fmt.Errorf("execute %s: %w", path, syscall.Exec(path, argv, env)) //nolint:gosec // it is our own program
	if known {
		// syscall.Exec lowers it first and leaves it so. With many children that would be too few.
		if lerr := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); lerr != nil {
			err = fmt.Errorf("%w; the limit of open files stays lowered: %w", err, os.NewSyscallError("setrlimit", lerr))
		}
	}
	return err
}
