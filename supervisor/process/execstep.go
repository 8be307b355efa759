package process

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// Descriptors of the exec step in addition to those that become the child's.
const (
	orderFD = childFDs     // where it reads its order
	errorFD = childFDs + 1 // where it says what went wrong; closed by the exec
	boxFD   = childFDs + 2 // the ruleset of a box; closed by the exec
)

// order is what the exec step receives through a memfd: neither the arguments nor the environment
// of a process are private.
//
// Words are bytes, because JSON strings would replace what is not UTF-8.
type order struct {
	Path, Dir  []byte
	Argv, Env  [][]byte
	Umask      uint32
	User       *Credential
	NoNewPrivs bool
	Listen     bool
	Cgroup     []byte   // to enter, or empty
	Groups     [][]byte // to enter, or fail

	NoCapabilities bool
	Rlimits        []Rlimit
	OOM            []byte
	Cookie         uint64

	Terminal bool // descriptor 0 controls it

	Boxed  bool
	Reopen bool
	Filter []unix.SockFilter
}

// stepEnv keeps the Go runtime of the exec step small; the child does not see it.
var stepEnv = []string{"GOMAXPROCS=1", "GOGC=off"}

// execStep starts img through the program self. It waits, without holding a thread, until the
// program was executed or said why not.
func execStep(self string, img *image) (pid, pidfd int, err error) {
	fail := func(err error) (int, int, error) {
		return 0, -1, fmt.Errorf("start %s: exec step: %w", img.path, err)
	}
	params, err := img.order()
	if err != nil {
		return fail(err)
	}
	defer params.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	rawW, err := w.SyscallConn()
	if err != nil {
		w.Close()
		return fail(err)
	}
	pidfd = -1
	files := make([]uintptr, 0, boxFD+1)
	for _, fd := range img.fds {
		files = append(files, uintptr(fd)) // -1 is closed
	}
	var ferr error
	err = rawW.Control(func(wfd uintptr) {
		pid, ferr = syscall.ForkExec(self, []string{"medctrl-supervisor", "exec-step"}, &syscall.ProcAttr{
			Env:   stepEnv,
			Files: append(files, params.Fd(), wfd, uintptr(img.ruleset)),
			Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
		})
	})
	w.Close()
	if err = errors.Join(err, ferr); err != nil {
		return fail(fmt.Errorf("execute %s: %w", self, err))
	}
	if pidfd < 0 {
		if pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
			unix.Kill(pid, unix.SIGKILL) // not waited for yet: the pid is its own
			unix.Wait4(pid, nil, 0, nil)
			return fail(os.NewSyscallError("pidfd_open", err))
		}
	}
	var answer [8]byte
	n, err := io.ReadFull(r, answer[:])
	switch {
	case err == io.EOF: // closed by the exec
		return pid, pidfd, nil
	case err != nil:
		err = fmt.Errorf("start %s: exec step: reply of %d bytes: %w", img.path, n, err)
		unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0) // it may have gone already
	default:
		err = img.failure(step(binary.NativeEndian.Uint32(answer[:])), syscall.Errno(binary.NativeEndian.Uint32(answer[4:])))
	}
	reapFailed(pidfd)
	return 0, -1, err
}

func (img *image) order() (*os.File, error) {
	o := order{
		Path: []byte(img.path), Dir: []byte(img.spec.Dir), Argv: toBytes(img.spec.Argv), Env: toBytes(img.env),
		Umask: uint32(img.spec.Umask.Perm()), User: img.spec.User,
		NoNewPrivs: img.spec.NoNewPrivs, Listen: img.listen, Cgroup: []byte(img.cgroup),
		NoCapabilities: img.spec.NoCapabilities, Rlimits: img.limits, OOM: img.oom, Cookie: img.cookie,
		Terminal: img.spec.Terminal, Boxed: img.ruleset >= 0, Reopen: img.reopen >= 0, Groups: toBytes(img.mustEnter()),
	}
	if img.spec.Box != nil {
		o.Filter = img.spec.Box.Filter
	}
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("medctrl-exec-step", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "exec step's order")
	if _, err := f.WriteAt(data, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// ExecStep is the hidden command "exec-step": it does in a process of its own what a fork cannot
// where Go does not let us, and becomes the child. The program must call it before anything else,
// with what follows "exec-step" on its command line. It returns only where it could not, with the
// exit code for the program.
func ExecStep(args []string) int {
	runtime.LockOSThread() // user and privileges are a thread's own until the exec
	unix.CloseOnExec(orderFD)
	unix.CloseOnExec(errorFD)
	unix.CloseOnExec(boxFD)
	at, err := runOrder(args)
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		errno = unix.EINVAL
	}
	var answer [8]byte
	binary.NativeEndian.PutUint32(answer[:], uint32(at))
	binary.NativeEndian.PutUint32(answer[4:], uint32(errno))
	if _, err := unix.Write(errorFD, answer[:]); err != nil {
		fmt.Fprintln(os.Stderr, "exec-step is started by the supervisor itself, not by hand")
	}
	return 253
}

// CgroupStep is the hidden command "cgroup-step", which a unit of systemd calls before it starts the
// supervisor (limits.Free). It returns the exit code for the program.
func CgroupStep() int {
	if err := limits.Free(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runOrder(args []string) (step, error) {
	if len(args) != 0 {
		return stepSetup, unix.EINVAL
	}
	var o order
	if err := json.NewDecoder(os.NewFile(orderFD, "order")).Decode(&o); err != nil {
		return stepSetup, err
	}
	if len(o.Cgroup) > 0 {
		// As ourselves. Where it fails the child is without; the table finds it by its mark.
		if fd, err := openCgroup(string(o.Cgroup), true); err == nil {
			unix.Write(fd, []byte("0"))
			unix.Close(fd)
		}
	}
	for _, dir := range o.Groups {
		if err := enterCgroup(string(dir)); err != nil {
			return stepLimits, err
		}
	}
	unix.Umask(int(o.Umask))
	if at, err := o.restrain(); err != nil {
		return at, err
	}
	if o.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return stepPrivs, err
		}
	}
	if at, err := o.enterBox(); err != nil {
		return at, err
	}
	if u := o.User; u != nil {
		if at, err := become(u); err != nil {
			return at, err
		}
	}
	if len(o.Dir) > 0 {
		if err := unix.Chdir(string(o.Dir)); err != nil {
			return stepDir, err
		}
	}
	if o.Terminal {
		if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
			return stepTerminal, err
		}
	}
	env := toStrings(o.Env)
	if o.Listen {
		env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	// What this program inherited in addition to its own goes no further; kernels before 5.11
	// refuse.
	unix.CloseRange(childFDs, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC)
	resetSignals()
	if o.NoCapabilities {
		if err := dropCapabilities(); err != nil {
			return stepPrivs, err
		}
	}
	if err := o.filter(); err != nil {
		return stepFilter, err
	}
	return stepExec, syscall.Exec(string(o.Path), toStrings(o.Argv), env)
}

func toBytes(ss []string) [][]byte {
	bs := make([][]byte, len(ss))
	for i, s := range ss {
		bs[i] = []byte(s)
	}
	return bs
}

func toStrings(bs [][]byte) []string {
	ss := make([]string, len(bs))
	for i, b := range bs {
		ss[i] = string(b)
	}
	return ss
}

// become changes this thread only, by the bare system calls: it is the one that execs, and there is
// nothing to keep in step with.
func become(u *Credential) (step, error) {
	var groups unsafe.Pointer
	if len(u.Groups) > 0 {
		groups = unsafe.Pointer(&u.Groups[0])
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(groups), 0); e != 0 {
		return stepGroups, e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETGID, uintptr(u.GID), 0, 0); e != 0 {
		return stepGroup, e
	}
	if _, _, e := syscall.RawSyscall(unix.SYS_SETUID, uintptr(u.UID), 0, 0); e != 0 {
		return stepUser, e
	}
	return stepExec, nil
}

// resetSignals makes every signal's disposition the default one, also of those that we were started
// to ignore, and empties this thread's mask.
func resetSignals() {
	var defaults [64]byte // struct kernel_sigaction, all zero: SIG_DFL
	var mask uint64
	for sig := uintptr(1); sig <= 64; sig++ { // SIGKILL and SIGSTOP refuse, which is right
		syscall.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&defaults)), 0, 8, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}
