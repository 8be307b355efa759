package oldkernel

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Start starts cmd as if on a kernel that lacks those features, which holds for everything it
// starts too. Unless we are root, it cannot gain privileges by set-user-ID programs then. The error
// wraps errors.ErrUnsupported if such filters are not available.
func Start(cmd *exec.Cmd, without ...Feature) error {
	program, err := compile(without)
	if err != nil {
		return err
	}
	return onThreadOfItsOwn(func() error {
		if err := install(program); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// onThreadOfItsOwn calls f on a thread that ends with it: a filter belongs to a thread, is inherited by
// what the thread forks, and cannot be removed. The main thread never ends, and what it has is what
// proc_pid_status(5) says of the whole process, so it is not one to call f on.
func onThreadOfItsOwn(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f()
			return
		}
		err := onThreadOfItsOwn(f)
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

func install(program []unix.SockFilter) error {
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	set := func() unix.Errno {
		_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
		return errno
	}
	errno := set()
	if errno == unix.EACCES { // not root: only without new privileges
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
		errno = set()
	}
	runtime.KeepAlive(program)
	switch errno {
	case 0:
		return nil
	case unix.ENOSYS, unix.EINVAL:
		return fmt.Errorf("install a filter: %w (%w)", errors.ErrUnsupported, errno)
	}
	return fmt.Errorf("install a filter: %w", errno)
}

// compile makes the filter's program (linux/filter.h): each rule is a few instructions that fall
// through to the next.
func compile(without []Feature) ([]unix.SockFilter, error) {
	// struct seccomp_data of linux/seccomp.h: int nr; __u32 arch; __u64 instruction_pointer; __u64
	// args[6].
	const (
		nr, arch, args = 0, 4, 16
		load           = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal          = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		and            = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		ret            = unix.BPF_RET | unix.BPF_K
	)
	ours, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("an older kernel on %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	p := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: ours, Jt: 1},
		// a program of another architecture uses other numbers
		{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	}
	for _, f := range without {
		rules := f.rules()
		if len(rules) == 0 {
			return nil, fmt.Errorf("a kernel without feature %d: there is no such feature", f)
		}
		for _, r := range rules {
			refuse := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(r.err)}
			p = append(p, unix.SockFilter{Code: load, K: nr})
			if r.mask == 0 {
				p = append(p, unix.SockFilter{Code: equal, K: r.call, Jf: 1}, refuse)
				continue
			}
			// The low half of the argument; both architectures are little-endian.
			test := unix.SockFilter{Code: equal, K: r.want, Jf: 1}
			if r.any {
				test = unix.SockFilter{Code: equal, K: 0, Jt: 1}
			}
			p = append(p,
				unix.SockFilter{Code: equal, K: r.call, Jf: 4},
				unix.SockFilter{Code: load, K: args + 8*r.arg},
				unix.SockFilter{Code: and, K: r.mask},
				test, refuse)
		}
	}
	return append(p, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}), nil
}
