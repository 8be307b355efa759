package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Box confines a process and everything that it starts, for good. It is applied in the child: the
// ruleset before it becomes its user, who might not reach what is needed until then, the filter last,
// because what comes before needs calls that a filter may refuse. Both want no_new_privs, which is
// set first and keeps nobody from becoming another user.
type Box struct {
	// Ruleset is a Landlock ruleset (landlock_restrict_self(2)). It stays the caller's.
	Ruleset *os.File
	// Filter is a seccomp filter (seccomp(2)); nil is none.
	Filter []unix.SockFilter
	// Reopen has Log, or Stdout, opened again in the box, for appending: what a file that is open may
	// be used for was decided when it was opened, so that only then a log cannot be shortened. The
	// ruleset must let it be written.
	Reopen bool
}

// filterFlags keep a filter from switching off speculation in the processor for its processes, which
// kernels before 5.16 do otherwise and which costs a server some per cent.
const filterFlags = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW

// reopenFlags open a log in a box.
const reopenFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_NOCTTY | unix.O_CLOEXEC

// box takes the Spec's box into the image. The child's descriptors are in place.
func (img *image) box() (err error) {
	b := img.spec.Box
	img.ruleset, img.reopen = -1, -1
	if b == nil {
		return nil
	}
	if b.Ruleset == nil {
		return errors.New("its box has no ruleset")
	}
	img.spec.NoNewPrivs = true
	if img.ruleset, err = img.dupFile(b.Ruleset); err != nil {
		return fmt.Errorf("hand over its ruleset: %w", err)
	}
	if b.Reopen {
		img.reopen = img.fds[1]
	}
	return nil
}

// enterBox does in an exec step what a fork does by itself, see clone.go.
func (o *order) enterBox() (step, error) {
	if !o.Boxed {
		return stepBox, nil
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, boxFD, 0, 0); errno != 0 {
		return stepBox, errno
	}
	if !o.Reopen {
		return stepBox, nil
	}
	var out, errs unix.Stat_t
	same := unix.Fstat(1, &out) == nil && unix.Fstat(2, &errs) == nil && out.Dev == errs.Dev && out.Ino == errs.Ino
	fd, err := unix.Open("/proc/self/fd/1", reopenFlags, 0)
	if err != nil {
		return stepLog, err
	}
	if err := unix.Dup3(fd, 1, 0); err != nil {
		return stepLog, err
	}
	if same {
		err = unix.Dup3(fd, 2, 0)
	}
	unix.Close(fd) // the child has it as 1
	return stepLog, err
}

// filter applies the filter to this thread, which execs.
func (o *order) filter() error {
	if len(o.Filter) == 0 {
		return nil
	}
	program := unix.SockFprog{Len: uint16(len(o.Filter)), Filter: &o.Filter[0]}
	_, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, filterFlags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(o.Filter)
	if errno != 0 {
		return errno
	}
	return nil
}
