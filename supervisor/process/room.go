package process

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MakeRoom lets this process open n descriptors without a stop. As the kernel's table of them grows
// it is exchanged for one of twice the size, and in a process of several threads that waits for a
// grace period, some 10 ms, and every thread that opens anything meanwhile waits with it
// (fs/file.c, expand_fdtable): with a thousand children, each a thread for the runtime to replace.
// So it grows once. The error is that of fcntl(2), EINVAL where RLIMIT_NOFILE is below n; nothing
// is lost then but time.
func MakeRoom(n int) error {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make room for descriptors: %w", &os.PathError{Op: "open", Path: "/dev/null", Err: err})
	}
	defer unix.Close(null) // nothing was written
	far, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, n)
	if err != nil {
		return fmt.Errorf("make room for %d descriptors: %w", n, os.NewSyscallError("fcntl", err))
	}
	return unix.Close(far)
}
