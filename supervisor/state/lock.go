package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another supervisor holds the lock")

// Lock makes this process the only supervisor of dir, which is made 0700 where it is missing. It is held by flock(2) on dir/lock until release or the
// process's end, however that comes; what the file says, our pid, is for people, and that of a former holder counts for nothing.
//
// Where another process has the lock the error wraps ErrLocked, and holder is its pid as the file says, 0 where it has not said yet.
func Lock(dir string) (release func() error, holder int, err error) {
	path := filepath.Join(dir, "lock")
	if err := private(dir); err != nil {
		return nil, 0, fmt.Errorf("lock %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			holder = holderOf(f)
			err = fmt.Errorf("%w (pid %d)", ErrLocked, holder)
		}
		return nil, holder, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	if err := sign(f); err != nil {
		return nil, 0, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() error {
		// Unlocked by name: a child between fork and exec may hold a duplicate, which would keep the lock past Close. The file stays, since removing
		// it would let two processes lock two files of one name.
		return errors.Join(flock(f, unix.LOCK_UN), f.Close())
	}, os.Getpid(), nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sign writes our pid over whatever the file said.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holderOf is the pid in the lock file, or 0.
func holderOf(f *os.File) int {
	var b [32]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return 0 // the pid is a courtesy
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}
