//go:build amd64 || arm64

package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What follows runs in a child between fork and exec, on the stack of its parent: nothing may grow
// that, allocate or move a pointer (birth.fork).

// restrain sets, still as ourselves, what the tree cannot get rid of: how soon it is killed where
// memory runs out, its limits, and the capabilities that no program in it can have.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *birth) restrain() (at step, errno syscall.Errno) {
	if len(b.oom) > 0 {
		// Where it cannot be written the tree is killed as readily as ourselves.
		fd, _, e := syscall.RawSyscall6(unix.SYS_OPENAT, 0, uintptr(unsafe.Pointer(b.oomFile)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0)
		if e == 0 {
			syscall.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b.oom[0])), uintptr(len(b.oom)))
			syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
		}
	}
	for i := range b.limits {
		l := &b.limits[i]
		_, _, e := syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, uintptr(l.Resource), uintptr(unsafe.Pointer(&l.Cur)), 0, 0, 0)
		if e != 0 {
			return stepRlimits, e
		}
	}
	if b.cookie.Cur != 0 { // see cookieOf
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_LOCKS, uintptr(unsafe.Pointer(&b.cookie.Cur)), 0, 0, 0)
	}
	if b.noCaps {
		for c := uintptr(0); c < capabilities; c++ {
			if _, _, e := syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0, 0); e != 0 {
				break // there are no more, or we have no CAP_SETPCAP
			}
		}
	}
	return stepExec, 0
}

// dropCapabilities empties the other sets, when nothing is left to be done that needs one.
//
//go:nosplit
//go:norace
//go:nocheckptr
func (b *birth) dropCapabilities() syscall.Errno {
	if !b.noCaps {
		return 0
	}
	// Linux before 4.3 has no ambient set.
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
	_, _, e := syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&b.capHeader)), uintptr(unsafe.Pointer(&b.capNone[0])), 0)
	return e
}
