package process

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waitid is unix.Waitid with the fields that the kernel fills in.
func waitid(kind, id int, info *siginfo, options int) error {
	for {
		_, _, e := syscall.Syscall6(unix.SYS_WAITID, uintptr(kind), uintptr(id),
			uintptr(unsafe.Pointer(info)), uintptr(options), 0, 0)
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

// siginfo is what waitid(2) fills in for a child, siginfo_t in asm-generic/siginfo.h.
type siginfo struct {
	signo, errno, code int32
	_                  [0]uintptr // the union begins at a pointer's alignment
	pid                int32
	uid                uint32
	status             int32
	_                  [128 - 32]byte
}

// reap takes the exit of the child behind a pidfd. ok is false where there is nothing to take yet.
// A process that is not our child, or not any more, has an exit of unknown status.
func reap(pidfd int) (e Exit, ok bool) {
	var info siginfo
	err := waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOHANG)
	e.At = time.Now()
	if err != nil {
		e.Code, e.Unknown = -1, true
		return e, true
	}
	if info.pid == 0 {
		return e, false
	}
	const exited, dumped = 1, 3 // CLD_EXITED, CLD_DUMPED
	if info.code == exited {
		e.Code = int(info.status)
	} else {
		e.Code, e.Signal, e.Core = -1, syscall.Signal(info.status), info.code == dumped
	}
	return e, true
}

// reapFailed waits for a child that said that it could not exec and is about to exit.
func reapFailed(pidfd int) {
	var info siginfo
	if err := waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED); err == nil {
		unix.Close(pidfd)
		return
	}
	unix.Close(pidfd) // not ours to wait for: SIGCHLD is ignored, the kernel reaps
}

// prctlGet is prctl(2) for the options that return a value through a pointer.
func prctlGet(option int, answer *int32) error {
	if _, _, e := syscall.RawSyscall6(unix.SYS_PRCTL, uintptr(option), uintptr(unsafe.Pointer(answer)), 0, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}
