package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// statusPatience is how long the exit of somebody else's child is kept back until its parent has
// waited for it. A parent that waits at once has done so by then; a successor needs many times as
// long to start.
const statusPatience = 10 * time.Millisecond

// What golang.org/x/sys/unix lacks of linux/pidfd.h, Linux 6.15.
const (
	pidfdInfoExit = 1 << 3 // PIDFD_INFO_EXIT: exit_code is wanted, and then: is there
	// PIDFD_GET_INFO, _IOWR(0xFF, 11, struct pidfd_info) with its first size, PIDFD_INFO_SIZE_VER0
	pidfdGetInfo = 3<<30 | 64<<16 | 0xFF<<8 | 11
)

// pidfdInfo is struct pidfd_info of linux/pidfd.h.
type pidfdInfo struct {
	mask     uint64
	_        uint64     // cgroupid
	_        [11]uint32 // pid, tgid, ppid and eight ids of user and group
	exitCode int32      // as wait(2) has it
}

// exitInfo asks the kernel how a process ended that is not our child. nil is that it does not say;
// pending that it may once the process's parent has waited for it.
func (t *Table) exitInfo(pidfd int) (e *Exit, pending bool) {
	if t.noExitInfo {
		return nil, false
	}
	info := pidfdInfo{mask: pidfdInfoExit}
	_, _, errno := syscall.Syscall(unix.SYS_IOCTL, uintptr(pidfd), pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	switch {
	case errno != 0: // ENOTTY or EINVAL before Linux 6.13, ESRCH before 6.15 when it was reaped
		return nil, false
	case info.mask&pidfdInfoExit == 0:
		return nil, true
	}
	return exitOfStatus(syscall.WaitStatus(info.exitCode)), false
}

// zombieExit reads how a process ended that nobody has waited for yet, from field 52 of its
// /proc/PID/stat (proc_pid_stat(5)). nil is that it is no zombie any more, or that it is not ours to see:
// then the field is 0.
func zombieExit(pid int, start uint64) *Exit {
	proc := "/proc/" + strconv.Itoa(pid)
	if _, err := os.Readlink(proc + "/ns/user"); err != nil { // the kernel asks for the same right
		return nil
	}
	line, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return nil
	}
	s, err := parseStat(line)
	if err != nil || s.start != start || s.state != 'Z' {
		return nil
	}
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	const first, exitCode = 3, 52
	if len(fields) <= exitCode-first {
		return nil
	}
	status, ok := number(fields[exitCode-first])
	if !ok {
		return nil
	}
	return exitOfStatus(syscall.WaitStatus(status))
}

// exitOfStatus is what wait(2) says.
func exitOfStatus(status syscall.WaitStatus) *Exit {
	if status.Signaled() {
		return &Exit{Code: -1, Signal: status.Signal(), Core: status.CoreDump()}
	}
	return &Exit{Code: status.ExitStatus()}
}
