//go:build amd64 || arm64

package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// call is a system call as a filter sees it.
type call struct {
	arch, nr uint32
	args     [6]uint64
}

// decide runs a filter as the kernel does (net/core/filter.c), for the instructions that it has.
func decide(t *testing.T, p []unix.SockFilter, c call) (verdict uint32) {
	t.Helper()
	words := map[uint32]uint32{offsetNr: c.nr, offsetArch: c.arch}
	for i, arg := range c.args {
		words[offsetArgs+8*uint32(i)], words[offsetArgs+8*uint32(i)+4] = uint32(arg), uint32(arg>>32)
	}
	var a uint32
	for at := 0; at < len(p); at++ {
		in := p[at]
		test := false
		switch in.Code {
		case load:
			a = words[in.K]
			continue
		case ret:
			return in.K
		case equal:
			test = a == in.K
		case atLeast:
			test = a >= in.K
		case anyBit:
			test = a&in.K != 0
		default:
			t.Fatalf("instruction %d has code %#x", at, in.Code)
		}
		if test {
			at += int(in.Jt)
		} else {
			at += int(in.Jf)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

func TestFilterRefusesWhatIsListedAndNothingElse(t *testing.T) {
	t.Parallel()
	refused := func(err unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(err) }
	const allowed = uint32(unix.SECCOMP_RET_ALLOW)
	open, ports := Filter(false), Filter(true)
	listed := map[uint32]bool{unix.SYS_CLONE3: true, unix.SYS_IO_URING_SETUP: true, unix.SYS_IO_URING_ENTER: true, unix.SYS_IO_URING_REGISTER: true}
	for _, nr := range append(denied, deniedHere...) {
		listed[nr] = true
		if got := decide(t, open, call{arch: native, nr: nr}); got != refused(unix.EPERM) {
			t.Errorf("call %d: %#x", nr, got)
		}
	}
	for nr := uint32(0); nr < 600; nr++ {
		if got := decide(t, ports, call{arch: native, nr: nr}); !listed[nr] && got != allowed {
			t.Errorf("call %d: %#x", nr, got)
		}
	}
	for name, c := range map[string]struct {
		call        call
		open, ports uint32
	}{
		"a process":            {call{native, unix.SYS_CLONE, [6]uint64{uint64(unix.SIGCHLD)}}, allowed, allowed},
		"a thread":             {call{native, unix.SYS_CLONE, [6]uint64{unix.CLONE_VM | unix.CLONE_THREAD | unix.CLONE_SIGHAND}}, allowed, allowed},
		"a user namespace":     {call{native, unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWUSER | unix.CLONE_VM}}, refused(unix.EPERM), refused(unix.EPERM)},
		"clone3":               {call{native, unix.SYS_CLONE3, [6]uint64{}}, refused(unix.ENOSYS), refused(unix.ENOSYS)},
		"files unshared":       {call{native, unix.SYS_UNSHARE, [6]uint64{unix.CLONE_FILES}}, allowed, allowed},
		"mounts unshared":      {call{native, unix.SYS_UNSHARE, [6]uint64{unix.CLONE_NEWNS}}, refused(unix.EPERM), refused(unix.EPERM)},
		"a terminal's size":    {call{native, unix.SYS_IOCTL, [6]uint64{0, unix.TIOCGWINSZ}}, allowed, allowed},
		"typing":               {call{native, unix.SYS_IOCTL, [6]uint64{0, unix.TIOCSTI}}, refused(unix.EPERM), refused(unix.EPERM)},
		"pasting":              {call{native, unix.SYS_IOCTL, [6]uint64{0, tiocLinux}}, refused(unix.EPERM), refused(unix.EPERM)},
		"typing, high half":    {call{native, unix.SYS_IOCTL, [6]uint64{0, 1<<32 | unix.TIOCSTI}}, refused(unix.EPERM), refused(unix.EPERM)},
		"room for a file":      {call{native, unix.SYS_FALLOCATE, [6]uint64{1, unix.FALLOC_FL_KEEP_SIZE}}, allowed, allowed},
		"a hole in a file":     {call{native, unix.SYS_FALLOCATE, [6]uint64{1, unix.FALLOC_FL_KEEP_SIZE | unix.FALLOC_FL_PUNCH_HOLE}}, refused(unix.EOPNOTSUPP), refused(unix.EOPNOTSUPP)},
		"own limits":           {call{native, unix.SYS_PRLIMIT64, [6]uint64{0, 7, 1}}, allowed, allowed},
		"another's limits":     {call{native, unix.SYS_PRLIMIT64, [6]uint64{1, 7, 1}}, refused(unix.EPERM), refused(unix.EPERM)},
		"TCP":                  {call{native, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM}}, allowed, allowed},
		"MPTCP":                {call{native, unix.SYS_SOCKET, [6]uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}}, allowed, refused(unix.EPROTONOSUPPORT)},
		"SMC":                  {call{native, unix.SYS_SOCKET, [6]uint64{unix.AF_SMC, unix.SOCK_STREAM}}, allowed, refused(unix.EAFNOSUPPORT)},
		"another architecture": {call{unix.AUDIT_ARCH_I386, unix.SYS_GETPID, [6]uint64{}}, refused(unix.EPERM), refused(unix.EPERM)},
	} {
		if got := decide(t, open, c.call); got != c.open {
			t.Errorf("%s: %#x, want %#x", name, got, c.open)
		}
		if got := decide(t, ports, c.call); got != c.ports {
			t.Errorf("%s, with ports confined: %#x, want %#x", name, got, c.ports)
		}
	}
	if foreignBit != 0 {
		if got := decide(t, open, call{arch: native, nr: foreignBit | unix.SYS_GETPID}); got != refused(unix.EPERM) {
			t.Errorf("a call of x32: %#x", got)
		}
	}
}
