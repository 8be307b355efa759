//go:build amd64 || arm64

package process

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canClone says that this architecture forks without an exec step.
const canClone = true

// Why not syscall.ForkExec: between fork and exec it cannot write LISTEN_PID, set the umask, or
// reset ignored signals. An exec step can, but it starts a Go program first: 1,000 children then
// take 2.6 to 4 times as long as with a bare fork-exec loop, against 1.1 to 1.3 times this way
// (BenchmarkStart1000VsBareFork).
//
// These three are the runtime's own hooks around a fork. Go keeps their names and signatures for
// users outside the standard library (go.dev/issue/67401).

//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// atCWD is AT_FDCWD as a register holds it.
const atCWD = ^uintptr(0) - 99

// vforkSyscall makes a system call from which a child returns first, on the stack of its parent. It
// keeps the return address out of that stack.
//
//go:noescape
func vforkSyscall(trap, a1, a2, a3 uintptr) (r, errno uintptr)

// birth is all that a child needs between fork and exec. Everything is allocated before the fork;
// the child writes only numbers and bytes.
type birth struct {
	path, dir *byte
	argv, env []*byte
	fds       [childFDs]int
	umask     uintptr
	birthUser
	birthCgroups
	birthBox
	birthRights
	terminal  bool            // descriptor 0 controls it
	listenPID []byte          // room for the digits and NUL after "LISTEN_PID="
	nofile    *syscall.Rlimit // limit to restore, or nil

	pidfd int32
	// Written by a child that could not exec, in the memory it shares with us.
	at      step
	errno   uintptr
	outside uintptr // why it could not enter its cgroup

	defaults [64]byte // struct kernel_sigaction, all zero: SIG_DFL
	mask     uint64   // empty signal set
	zero     [1]byte  // what a process writes to enter a cgroup
}

// birthUser is whom the child becomes, unless cred is false.
type birthUser struct {
	cred     bool
	uid, gid uintptr
	groups   []uint32
}

// birthCgroups is where the child is counted.
type birthCgroups struct {
	into    cloneArgs // where it begins in a cgroup of its own
	procs   int       // its cgroup.procs, to enter by, or -1
	limited bool      // it must not run outside of that
	enter   []int     // cgroup.procs of its limits, to enter by
}

// birthBox is the child's box.
type birthBox struct {
	ruleset int             // or -1
	reopen  int             // the log to open again in the box, or -1
	log     *byte           // the path by which
	filter  *unix.SockFprog // or nil
}

// birthRights is what the child keeps from having, and how soon it is killed.
type birthRights struct {
	noNewPrivs bool
	noCaps     bool
	capHeader  unix.CapUserHeader
	capNone    capabilitySets
	limits     []Rlimit
	cookie     Rlimit
	oomFile    *byte
	oom        []byte
}

// cloneArgs is struct clone_args of linux/sched.h as of Linux 5.7, CLONE_ARGS_SIZE_VER2.
type cloneArgs struct {
	flags, pidfd, childTid, parentTid, exitSignal, stack, stackSize, tls, setTid, setTidSize, cgroup uint64
}

// clone starts img and returns its pid and pidfd.
//
// The thread waits until the child has executed its program or failed to (CLONE_VFORK), as with
// syscall.ForkExec.
func clone(img *image, nofile *syscall.Rlimit) (pid, pidfd int, err error) {
	b, err := newBirth(img, nofile)
	if err != nil {
		return 0, -1, err
	}
	if b.enter, err = img.openGroups(); err != nil {
		return 0, -1, err
	}
	if img.cgroup != "" && img.outside == nil {
		b.join(img)
	}
	if img.limited && img.outside != nil {
		return 0, -1, fmt.Errorf("start %s: its limits: %w", img.path, img.outside)
	}
	fork := func() (upid, errno uintptr) {
		syscall.ForkLock.Lock()
		upid, errno = b.fork()
		afterFork()
		syscall.ForkLock.Unlock()
		runtime.KeepAlive(b)
		return upid, errno
	}
	upid, errno := fork()
	if errno != 0 && errno != uintptr(unix.EAGAIN) && b.into.flags != 0 {
		// ENOSYS before Linux 5.3 or in a container, E2BIG or EINVAL before 5.7, EPERM of other
		// filters. What else it may be, clone(2) says again.
		img.enter = true
		b.join(img)
		if img.limited && img.outside != nil {
			return 0, -1, fmt.Errorf("start %s: its limits: %w", img.path, img.outside)
		}
		upid, errno = fork()
	}
	if b.outside != 0 {
		img.outside = fmt.Errorf("enter %s: %w", img.cgroup, syscall.Errno(b.outside))
	}
	if errno != 0 {
		return 0, -1, img.forkFailure(syscall.Errno(errno))
	}
	pid, pidfd = int(upid), int(b.pidfd)
	if b.errno != 0 {
		err := img.failure(b.at, syscall.Errno(b.errno))
		reapFailed(pidfd)
		return 0, -1, err
	}
	return pid, pidfd, nil
}

// join has the child begin in its cgroup, or enter it.
func (b *birth) join(img *image) {
	b.into, b.procs = cloneArgs{}, -1
	fd, err := openCgroup(img.cgroup, img.enter)
	if err != nil {
		img.outside = fmt.Errorf("open %s: %w", img.cgroup, err)
		return
	}
	img.opened = append(img.opened, fd)
	if img.enter {
		b.procs = fd
		return
	}
	b.into = cloneArgs{
		flags: unix.CLONE_VFORK | unix.CLONE_VM | unix.CLONE_PIDFD | unix.CLONE_INTO_CGROUP,
		pidfd: uint64(uintptr(unsafe.Pointer(&b.pidfd))), exitSignal: uint64(unix.SIGCHLD), cgroup: uint64(fd),
	}
}

func newBirth(img *image, nofile *syscall.Rlimit) (*birth, error) {
	b := &birth{
		fds:          img.fds,
		umask:        uintptr(img.spec.Umask.Perm()),
		terminal:     img.spec.Terminal,
		nofile:       nofile,
		pidfd:        -1,
		zero:         [1]byte{'0'},
		birthCgroups: birthCgroups{limited: img.limited, procs: -1},
		birthBox:     birthBox{ruleset: img.ruleset, reopen: img.reopen},
		birthRights: birthRights{
			noNewPrivs: img.spec.NoNewPrivs, noCaps: img.spec.NoCapabilities,
			capHeader: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
			limits:    img.limits, cookie: Rlimit{Cur: img.cookie, Max: img.cookie}, oom: img.oom,
		},
	}
	if img.spec.limitOf(unix.RLIMIT_NOFILE) {
		b.nofile = nil
	}
	var err error
	if b.oomFile, err = syscall.BytePtrFromString(oomFile); err != nil {
		return nil, fmt.Errorf("start %s: %w", img.path, err)
	}
	if b.reopen >= 0 {
		b.log = &fmt.Appendf(nil, "/proc/self/fd/%d\x00", b.reopen)[0]
	}
	if box := img.spec.Box; box != nil && len(box.Filter) > 0 {
		b.filter = &unix.SockFprog{Len: uint16(len(box.Filter)), Filter: &box.Filter[0]}
	}
	if b.path, err = syscall.BytePtrFromString(img.path); err != nil {
		return nil, fmt.Errorf("start %s: %w", img.path, err)
	}
	if b.argv, err = syscall.SlicePtrFromStrings(img.spec.Argv); err != nil {
		return nil, fmt.Errorf("start %s: %w", img.path, err)
	}
	if b.env, err = syscall.SlicePtrFromStrings(img.env); err != nil {
		return nil, fmt.Errorf("start %s: %w", img.path, err)
	}
	if img.listen {
		const key = "LISTEN_PID="
		entry := append([]byte(key), make([]byte, 21)...) // 20 digits hold any uintptr
		b.listenPID = entry[len(key):]
		b.env = append(b.env[:len(b.env)-1], &entry[0], nil)
	}
	if img.spec.Dir != "" {
		if b.dir, err = syscall.BytePtrFromString(img.spec.Dir); err != nil {
			return nil, fmt.Errorf("start %s: %w", img.path, err)
		}
	}
	if u := img.spec.User; u != nil {
		b.cred, b.uid, b.gid, b.groups = true, uintptr(u.UID), uintptr(u.GID), u.Groups
	}
	return b, nil
}

// fork returns in the parent only; afterFork must be called next. The child runs on this stack
// frame while the parent's thread waits, so that nothing it does here may grow the stack, allocate,
// move a pointer or return (syscall.forkAndExecInChild1).
//
//go:noinline
//go:norace
//go:nocheckptr
func (b *birth) fork() (pid, errno uintptr) {
	const flags = unix.CLONE_VFORK | unix.CLONE_VM | unix.CLONE_PIDFD | uintptr(unix.SIGCHLD)
	var (
		e       syscall.Errno
		i, n    uintptr
		fd      uintptr
		groups  uintptr
		ngroups = uintptr(len(b.groups))
	)
	if ngroups > 0 {
		groups = uintptr(unsafe.Pointer(&b.groups[0]))
	}
	beforeFork()
	if b.into.flags != 0 {
		pid, errno = vforkSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&b.into)), unsafe.Sizeof(b.into), 0)
	} else {
		pid, errno = vforkSyscall(unix.SYS_CLONE, flags, 0, uintptr(unsafe.Pointer(&b.pidfd)))
	}
	if errno != 0 || pid != 0 {
		return
	}

	// In the child. First a session of its own, then the signals: all are blocked here, and the
	// handlers of the runtime must be gone before that ends. What we ignore ourselves (nohup, a
	// shell's background job) the child shall not.
	b.at = stepSession
	if _, _, e = syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0); e != 0 {
		goto failed
	}
	afterForkInChild()
	if b.procs >= 0 { // as ourselves, before it becomes someone else
		if _, _, e = syscall.RawSyscall(unix.SYS_WRITE, uintptr(b.procs), uintptr(unsafe.Pointer(&b.zero[0])), 1); e != 0 {
			b.outside = uintptr(e)
			if b.limited {
				b.at = stepLimits
				goto failed
			}
		}
	}
	b.at = stepLimits
	for i = 0; i < uintptr(len(b.enter)); i++ {
		if _, _, e = syscall.RawSyscall(unix.SYS_WRITE, uintptr(b.enter[i]), uintptr(unsafe.Pointer(&b.zero[0])), 1); e != 0 {
			goto failed
		}
	}
	for i = 1; i <= 64; i++ { // SIGKILL and SIGSTOP refuse, which is right
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, i, uintptr(unsafe.Pointer(&b.defaults[0])), 0, 8, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&b.mask)), 0, 8, 0, 0)
	syscall.RawSyscall(unix.SYS_UMASK, b.umask, 0, 0)
	if b.at, e = b.restrain(); e != 0 {
		goto failed
	}

	// no_new_privs first, which a box wants: it keeps nobody from becoming another user.
	if b.noNewPrivs {
		b.at = stepPrivs
		if _, _, e = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
			goto failed
		}
	}
	if b.ruleset >= 0 {
		b.at = stepBox
		if _, _, e = syscall.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(b.ruleset), 0, 0); e != 0 {
			goto failed
		}
	}
	if b.reopen >= 0 { // as ourselves: the log is not the user's
		b.at = stepLog
		if fd, _, e = syscall.RawSyscall6(unix.SYS_OPENAT, atCWD, uintptr(unsafe.Pointer(b.log)), reopenFlags, 0, 0, 0); e != 0 {
			goto failed
		}
		if _, _, e = syscall.RawSyscall(unix.SYS_DUP3, fd, uintptr(b.reopen), unix.O_CLOEXEC); e != 0 {
			goto failed
		}
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	if b.cred {
		b.at = stepGroups
		if _, _, e = syscall.RawSyscall(unix.SYS_SETGROUPS, ngroups, groups, 0); e != 0 {
			goto failed
		}
		b.at = stepGroup
		if _, _, e = syscall.RawSyscall(unix.SYS_SETGID, b.gid, 0, 0); e != 0 {
			goto failed
		}
		b.at = stepUser
		if _, _, e = syscall.RawSyscall(unix.SYS_SETUID, b.uid, 0, 0); e != 0 {
			goto failed
		}
	}
	if b.dir != nil {
		b.at = stepDir
		if _, _, e = syscall.RawSyscall(unix.SYS_CHDIR, uintptr(unsafe.Pointer(b.dir)), 0, 0); e != 0 {
			goto failed
		}
	}

	// Nothing but 0 to 4 goes on, whatever we inherited or someone forgot to mark. Kernels before
	// 5.11 refuse, then only what is marked is closed.
	b.at = stepFiles
	syscall.RawSyscall(unix.SYS_CLOSE_RANGE, listenerFD, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	for i = 0; i < childFDs; i++ {
		if b.fds[i] >= 0 {
			if _, _, e = syscall.RawSyscall(unix.SYS_DUP3, uintptr(b.fds[i]), i, 0); e != 0 {
				goto failed
			}
		}
	}
	if b.terminal {
		b.at = stepTerminal
		if _, _, e = syscall.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0); e != 0 {
			goto failed
		}
	}
	if b.nofile != nil {
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(b.nofile)), 0, 0, 0)
	}

	b.at = stepPrivs
	if e = b.dropCapabilities(); e != 0 {
		goto failed
	}

	// The pid in decimal, without leading zeros: some readers take those for octal.
	if len(b.listenPID) > 20 {
		pid, _, _ = syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
		for n, i = 1, pid; i >= 10; i /= 10 {
			n++
		}
		for i = n; i > 0 && i <= 20; i-- {
			b.listenPID[i-1] = byte('0' + pid%10)
			pid /= 10
		}
	}
	if b.filter != nil {
		b.at = stepFilter
		if _, _, e = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, filterFlags, uintptr(unsafe.Pointer(b.filter))); e != 0 {
			goto failed
		}
	}
	b.at = stepExec
	_, _, e = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(b.path)),
		uintptr(unsafe.Pointer(&b.argv[0])), uintptr(unsafe.Pointer(&b.env[0])))

failed:
	b.errno = uintptr(e)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 253, 0, 0)
	}
}
