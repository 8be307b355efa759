//go:build amd64 || arm64

package sandbox

import "golang.org/x/sys/unix"

// Filter returns a seccomp filter that refuses the system calls by which a process changes the
// machine, looks into others, or reaches parts of the kernel that no server needs and that often had
// holes: what runs goes on without them. tcpOnly says that the TCP ports of the box are confined, so
// that protocols are refused that would lead around them.
func Filter(tcpOnly bool) []unix.SockFilter {
	p := program{
		{Code: load, K: offsetArch},
		{Code: equal, K: native, Jt: 1},
		refuse(unix.EPERM), // the numbers of another architecture mean other calls
		{Code: load, K: offsetNr},
	}
	if foreignBit != 0 {
		p = append(p, unix.SockFilter{Code: atLeast, K: foreignBit, Jf: 1}, refuse(unix.EPERM))
	}
	for _, nr := range append(denied, deniedHere...) {
		p = append(p, unix.SockFilter{Code: equal, K: nr, Jf: 1}, refuse(unix.EPERM))
	}
	// Programs ask for these first and do without where there are none: glibc falls back to clone(2),
	// whose flags can be seen here.
	for _, nr := range []uint32{unix.SYS_CLONE3, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER} {
		p = append(p, unix.SockFilter{Code: equal, K: nr, Jf: 1}, refuse(unix.ENOSYS))
	}
	p.any(unix.SYS_CLONE, 0, newNamespaces, unix.EPERM)
	p.any(unix.SYS_UNSHARE, 0, newNamespaces|unix.CLONE_NEWTIME, unix.EPERM)
	// The limits of another process of the same user, which would end it.
	p.any(unix.SYS_PRLIMIT64, 0, ^uint32(0), unix.EPERM)
	// Input for whoever reads the terminal next, such as the shell from which a command was started.
	p.is(unix.SYS_IOCTL, 1, unix.EPERM, unix.TIOCSTI, tiocLinux)
	// The log must not be shortened, and its file is open. Not every file system can do this, so
	// programs do without.
	p.any(unix.SYS_FALLOCATE, 1, ^uint32(unix.FALLOC_FL_KEEP_SIZE), unix.EOPNOTSUPP)
	if tcpOnly {
		p.is(unix.SYS_SOCKET, 2, unix.EPROTONOSUPPORT, unix.IPPROTO_MPTCP, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP)
		p.is(unix.SYS_SOCKET, 0, unix.EAFNOSUPPORT, unix.AF_SMC)
	}
	return append(p, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
}

// struct seccomp_data of linux/seccomp.h: int nr; __u32 arch; __u64 instruction_pointer; __u64
// args[6]. Both architectures are little-endian: the low half of an argument comes first.
const (
	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// Instructions of a filter (linux/filter.h).
const (
	load    = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	equal   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	atLeast = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	anyBit  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	ret     = unix.BPF_RET | unix.BPF_K
)

func refuse(err unix.Errno) unix.SockFilter {
	return unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(err)}
}

// program is a filter in the making. Between its parts the number of the call is loaded.
type program []unix.SockFilter

// any refuses a call one of whose argument's bits is set.
func (p *program) any(nr, arg, bits uint32, err unix.Errno) {
	*p = append(*p,
		unix.SockFilter{Code: equal, K: nr, Jf: 4},
		unix.SockFilter{Code: load, K: offsetArgs + 8*arg},
		unix.SockFilter{Code: anyBit, K: bits, Jf: 1},
		refuse(err),
		unix.SockFilter{Code: load, K: offsetNr})
}

// is refuses a call whose argument has one of the values.
func (p *program) is(nr, arg uint32, err unix.Errno, values ...uint32) {
	n := uint8(len(values))
	*p = append(*p, unix.SockFilter{Code: equal, K: nr, Jf: 2*n + 2}, unix.SockFilter{Code: load, K: offsetArgs + 8*arg})
	for _, v := range values {
		*p = append(*p, unix.SockFilter{Code: equal, K: v, Jf: 1}, refuse(err))
	}
	*p = append(*p, unix.SockFilter{Code: load, K: offsetNr})
}
