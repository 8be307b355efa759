package listener

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// actImage is one image of a program that executes itself.
func actImage(args []string) error {
	path, rounds := args[0], args[1]
	var l *Listener
	var err error
	if len(args) == 2 {
		l, err = Bind(path, keep)
	} else {
		var fd int
		if fd, err = strconv.Atoi(args[2]); err != nil {
			return err
		}
		l, err = Inherited(fd, path)
	}
	if err != nil {
		return err
	}
	if flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		return fmt.Errorf("descriptor is for every child: %#x, %v", flags, err)
	}
	if !l.Named() || l.Path() != path {
		return fmt.Errorf("%s is not its name: %s", path, l.Path())
	}
	// This one waits over the exec.
	client, err := connect(path)
	if err != nil {
		return err
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	n, err := l.QueueLen()
	if err != nil {
		return err
	}
	fmt.Println(l.Inode(), n, len(open))
	left, err := strconv.Atoi(rounds)
	if err != nil || left == 0 {
		return err
	}
	fd, err := l.Inherit(true)
	if err != nil {
		return err
	}
	_ = client // closed by the exec; it keeps its place in the queue
	return unix.Exec("/proc/self/exe", []string{os.Args[0], "image", path, strconv.Itoa(left - 1), strconv.Itoa(fd)}, os.Environ())
}

func TestListenerGoesOverAnExec(t *testing.T) {
	t.Parallel()
	const rounds = 5
	dir := short(t)
	path := filepath.Join(dir, "s")
	cmd := exec.Command("/proc/self/exe", "image", path, strconv.Itoa(rounds))
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != rounds+1 {
		t.Fatalf("%d images ran, want %d: %q", len(lines), rounds+1, lines)
	}
	var inode, open int
	for round, line := range lines {
		var i, n, fds int
		if _, err := fmt.Sscan(line, &i, &n, &fds); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			inode, open = i, fds
		}
		if i != inode || n != round+1 || fds != open {
			t.Errorf("image %d: socket %d, %d clients, %d descriptors; want %d, %d, %d", round, i, n, fds, inode, round+1, open)
		}
	}
	l := mustBind(t, filepath.Join(dir, "other"))
	for _, keep := range []bool{true, false} { // the exec failed
		if fd, err := l.Inherit(keep); err != nil || fd != l.fd {
			t.Errorf("%d, %v", fd, err)
		}
		if flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFD, 0); err != nil || (flags&unix.FD_CLOEXEC == 0) != keep {
			t.Errorf("keep %v: %#x, %v", keep, flags, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Inherit(true); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed one: %v", err)
	}
}
