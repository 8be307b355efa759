package process

import (
	"cmp"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// Child is a process started by Table.Spawn or taken over by Table.Adopt, and what it started.
type Child struct {
	table  *Table
	pid    int
	start  uint64
	tag    string // what its tree carries, see Spec.tag
	users  []int  // by whom its processes are run as far as that tells them from a stranger's (owns)
	cgroup string // its own, or ""
	inside bool   // it began in cgroup for certain
	allowance
	exited func(Exit)
	done   chan struct{} // closed when exit is known

	adopted bool // not our child in the kernel's eyes when it came
	lost    bool // it had ended before it came: made by Remains

	mu     sync.Mutex
	pidfd  int  // -1 when nothing can be reached by it any more
	reaped bool // exit is known, the pid may belong to someone else
	exit   Exit
	dead   time.Time // when it was seen dead, before how was known
	empty  bool      // the group was seen empty after the exit: its number may belong to someone else
	ended  bool      // the whole tree was seen gone
	request
}

// request is how a child is asked to end; Child.mu guards it.
type request struct {
	stop  syscall.Signal // 0: SIGTERM, to all of its group
	asked bool           // it was sent stop
}

// allowance is what a child may use, with all that it starts.
type allowance struct {
	group *limits.Group // nil: there are no limits
	kills uint64        // OOM kills before it came to us
	told  uint64        // all that OOMKills has told of; Child.mu guards it
}

// StopSignal is what asks the child to end: SIGTERM unless another was set.
func (c *Child) StopSignal() syscall.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cmp.Or(c.stop, unix.SIGTERM)
}

// SetStopSignal sets it, for a child that was adopted. asked says that it got that signal before it was
// adopted: it does not get it again.
func (c *Child) SetStopSignal(sig syscall.Signal, asked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop, c.asked = sig, asked
}

// Pid is the child's pid, and its group's and session's.
func (c *Child) Pid() int { return c.pid }

// StartTime is when it started, in clock ticks after boot. With Pid and BootID it identifies the
// child.
func (c *Child) StartTime() uint64 { return c.start }

// Age is how long ago the child was started, by the clock that counts since boot.
func (c *Child) Age() time.Duration {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return 0 // every kernel since 2.6.39 has it
	}
	return time.Duration(since.Nano()) - time.Duration(c.start)*time.Second/ticksPerSecond
}

// Output returns the description that is the child's standard output (pidfd_getfd(2), Linux 5.6). It is the
// caller's. A child that has ended has none.
func (c *Child) Output() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd < 0 {
		return nil, os.ErrProcessDone
	}
	fd, err := unix.PidfdGetfd(c.pidfd, 1, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	return os.NewFile(uintptr(fd), "output of a child"), nil
}

// Exited returns how the child ended, and whether it did.
func (c *Child) Exited() (Exit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exit, c.reaped
}

// Done is closed when it is known how the child ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Signal sends to the child alone. The error is os.ErrProcessDone where it has ended.
func (c *Child) Signal(sig syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return os.ErrProcessDone
	}
	if c.pidfd < 0 {
		return errClosed
	}
	err := unix.PidfdSendSignal(c.pidfd, sig, nil, 0)
	if err == unix.ESRCH {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// SignalGroup sends to every process of the child's group at once, also after the child itself has
// ended: its orphans are still in the group. It takes a few microseconds. An empty group is no
// error. Before Linux 6.9 it refuses when the child ended more than a second ago, because the
// group's number may be another's by then: SignalTree and End check first whose it is. For what
// Remains found it is the same as SignalTree.
func (c *Child) SignalGroup(sig syscall.Signal) error {
	if c.lost {
		return c.SignalTree(sig)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signalGroup(sig)
}

// PIDFD_SIGNAL_PROCESS_GROUP of pidfd_send_signal(2), Linux 6.9.
const pidfdSignalProcessGroup = 1 << 2

// groupGrace is how long after the leader was reaped its group's number is trusted where the kernel
// cannot signal a group by pidfd. The group had members then, and numbers are given out in turn:
// all others would have to be used up first.
const groupGrace = time.Second

// errGroupUnsure says that only the process table can tell whose group it is now.
var errGroupUnsure = errors.New("process group may be another's")

// signalGroup requires c.mu to be held. Signal 0 only checks whether the group has a member.
func (c *Child) signalGroup(sig syscall.Signal) error {
	if c.empty {
		return nil
	}
	var err error
	switch {
	case c.lost:
		return errGroupUnsure
	case !c.reaped && !c.adopted:
		// A zombie at most: the number is still its own.
		err = unix.Kill(-c.pid, sig)
	case c.pidfd < 0: // the table is closed
		return errClosed
	case !c.table.noGroupFlag.Load():
		// By pidfd it is this group for certain, not another with its number.
		err = unix.PidfdSendSignal(c.pidfd, sig, nil, pidfdSignalProcessGroup)
		if err != unix.EINVAL {
			break
		}
		c.table.noGroupFlag.Store(true)
		fallthrough
	default:
		// An adopted one that is not known to be dead may have been reaped in this instant, not
		// earlier.
		if c.reaped && time.Since(c.exit.At) > groupGrace {
			return errGroupUnsure
		}
		err = unix.Kill(-c.pid, sig)
	}
	if err == unix.ESRCH {
		c.empty = c.reaped
		return nil
	}
	return os.NewSyscallError("kill", err)
}

// reap takes the exit, from the table's goroutine. It reports false where that must be tried again.
func (c *Child) reap() (Exit, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd < 0 {
		return Exit{}, false
	}
	exit, ok := reap(c.pidfd)
	if !ok {
		return exit, false
	}
	if exit.Unknown && c.adopted { // somebody else's child
		if c.dead.IsZero() {
			c.dead = exit.At
		}
		told := zombieExit(c.pid, c.start)
		pending := false
		if told == nil {
			told, pending = c.table.exitInfo(c.pidfd)
		}
		if pending && exit.At.Sub(c.dead) < statusPatience {
			return exit, false
		}
		if told != nil {
			exit = *told
		}
		exit.At = c.dead
	}
	exit = c.withOutOfMemory(exit)
	c.reaped, c.exit = true, exit
	// Is anyone left? If not, the pidfd has done its work.
	if err := c.signalGroup(0); err == nil && c.empty {
		c.closePidfd()
	}
	return exit, true
}

// again is how long until a dead child is looked at again that reap did not take.
func (c *Child) again() time.Duration {
	if c.adopted { // how it ended may be known soon
		return 2 * time.Millisecond
	}
	return 20 * time.Millisecond // a debugger has it
}

func (c *Child) closePidfd() {
	if c.pidfd >= 0 {
		unix.Close(c.pidfd)
		c.pidfd = -1
	}
}

// dropPidfd is for a table that closes.
func (c *Child) dropPidfd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closePidfd()
}
