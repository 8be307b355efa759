//go:build amd64 || arm64

package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Filter returns a seccomp filter that refuses the system calls by which a process changes the
// machine, looks into others, or reaches parts of the kernel that no server needs and that often had
// holes: what runs goes on without them. tcpOnly says that the TCP ports of the box are confined, so
// that protocols are refused that would lead around them.
//
// The kernel goes through a filter once for every call that there is, when it is loaded, to know
// those that it always allows (seccomp_cache_prepare). So the number of a call is searched for by
// halves: one test after the other takes a quarter of a millisecond at each start.
func Filter(tcpOnly bool) []unix.SockFilter {
	if tcpOnly {
		return slices.Clone(portsFilter())
	}
	return slices.Clone(openFilter())
}

var (
	openFilter  = sync.OnceValue(func() []unix.SockFilter { return assemble(false) })
	portsFilter = sync.OnceValue(func() []unix.SockFilter { return assemble(true) })
)

func assemble(tcpOnly bool) []unix.SockFilter {
	verdicts := map[uint32]verdict{}
	for _, nr := range slices.Concat(denied, deniedHere) {
		verdicts[nr] = refuse(unix.EPERM)
	}
	// Programs ask for these first and do without where there are none: glibc falls back to clone(2),
	// whose flags can be seen here.
	for _, nr := range []uint32{unix.SYS_CLONE3, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER} {
		verdicts[nr] = refuse(unix.ENOSYS)
	}
	verdicts[unix.SYS_CLONE] = anySet(0, newNamespaces, unix.EPERM)
	verdicts[unix.SYS_UNSHARE] = anySet(0, newNamespaces|unix.CLONE_NEWTIME, unix.EPERM)
	// The limits of another process of the same user, which would end it.
	verdicts[unix.SYS_PRLIMIT64] = anySet(0, ^uint32(0), unix.EPERM)
	// Input for whoever reads the terminal next, such as the shell from which a command was started.
	verdicts[unix.SYS_IOCTL] = slices.Concat(is(1, unix.EPERM, unix.TIOCSTI, tiocLinux), allow)
	// The log must not be shortened, and its file is open. Not every file system can do this, so
	// programs do without.
	verdicts[unix.SYS_FALLOCATE] = anySet(1, ^uint32(unix.FALLOC_FL_KEEP_SIZE), unix.EOPNOTSUPP)
	if tcpOnly {
		verdicts[unix.SYS_SOCKET] = slices.Concat(
			is(2, unix.EPROTONOSUPPORT, unix.IPPROTO_MPTCP, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP),
			is(0, unix.EAFNOSUPPORT, unix.AF_SMC), allow)
	}
	if foreignBit != 0 {
		verdicts[foreignBit] = refuse(unix.EPERM) // and all above it
	}
	return append(verdict{
		{Code: load, K: offsetArch},
		{Code: equal, K: native, Jt: 1},
		refuse(unix.EPERM)[0], // the numbers of another architecture mean other calls
		{Code: load, K: offsetNr},
	}, search(verdicts)...)
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

// verdict is the part of a filter that decides about a call: it never goes on to what follows it.
type verdict []unix.SockFilter

var allow = verdict{{Code: ret, K: unix.SECCOMP_RET_ALLOW}}

func refuse(err unix.Errno) verdict {
	return verdict{{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(err)}}
}

// anySet refuses a call one of whose argument's bits is set.
func anySet(arg, bits uint32, err unix.Errno) verdict {
	return slices.Concat(verdict{
		{Code: load, K: offsetArgs + 8*arg},
		{Code: anyBit, K: bits, Jf: 1},
	}, refuse(err), allow)
}

// is refuses a call whose argument has one of the values; it goes on where it has none.
func is(arg uint32, err unix.Errno, values ...uint32) []unix.SockFilter {
	part := []unix.SockFilter{{Code: load, K: offsetArgs + 8*arg}}
	for _, v := range values {
		part = append(part, unix.SockFilter{Code: equal, K: v, Jf: 1}, refuse(err)[0])
	}
	return part
}

// search returns what finds the verdict about the call whose number is loaded, by halves. A call
// without one is allowed; numbers from foreignBit on have its verdict.
func search(verdicts map[uint32]verdict) []unix.SockFilter {
	// The numbers from each one on, up to the next, have one verdict.
	type span struct {
		from uint32
		verdict
	}
	spans := []span{{0, allow}}
	begin := func(from uint32, v verdict) {
		last := &spans[len(spans)-1]
		switch {
		case last.from == from:
			last.verdict = v
		case !slices.Equal(last.verdict, v):
			spans = append(spans, span{from, v})
		}
	}
	for _, nr := range slices.Sorted(maps.Keys(verdicts)) {
		begin(nr, verdicts[nr])
		if foreignBit == 0 || nr != foreignBit {
			begin(nr+1, allow)
		}
	}
	// Each half is put together before what chooses it, so that a jump's length is known: a verdict
	// comes once, at the end, and jumps only go forward, over at most 255 instructions.
	var (
		verdictsAt = map[string]int{} // where one begins, counted from the end
		code       []unix.SockFilter  // from the end
	)
	place := func(v verdict) int {
		key := fmt.Sprint(v)
		if at, ok := verdictsAt[key]; ok {
			return at
		}
		for _, in := range slices.Backward(v) {
			code = append(code, in)
		}
		verdictsAt[key] = len(code)
		return len(code)
	}
	for _, s := range spans {
		place(s.verdict)
	}
	var halves func(spans []span) int
	halves = func(spans []span) int {
		if len(spans) == 1 {
			return place(spans[0].verdict)
		}
		half := len(spans) / 2
		upper := halves(spans[half:])
		lower := halves(spans[:half])
		here := len(code)
		code = append(code, unix.SockFilter{Code: atLeast, K: spans[half].from, Jt: jump(here, upper), Jf: jump(here, lower)})
		return len(code)
	}
	if begins := halves(spans); begins != len(code) {
		panic("the search does not begin at its first instruction") // it does, with two spans or more
	}
	slices.Reverse(code)
	return code
}

// jump is the length of a jump between places that are counted from the end: over nothing, it is 0.
func jump(from, to int) uint8 {
	n := from - to
	if n < 0 || n > 255 {
		panic("the filter is too long for its jumps") // a test makes each filter that there is
	}
	return uint8(n)
}
