package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another supervisor holds the lock")

// Locked is a lock that is held.
type Locked struct{ file *os.File }

// Lock makes this process the only supervisor of dir, which is made 0700 where it is missing. It is
// held by flock(2) on dir/lock until Release or the process's end, however that comes; what the
// file says, our pid, is for people, and that of a former holder counts for nothing.
//
// Where another process has the lock the error wraps ErrLocked, and holder is its pid as the file
// says, 0 where it has not said yet.
func Lock(dir string) (l *Locked, holder int, err error) {
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
	return &Locked{f}, os.Getpid(), nil
}

// Relock takes over a lock of dir that was kept over an exec, by its file (File), which then
// belongs to the Locked. It is held all the time.
func Relock(dir string, f *os.File) (*Locked, error) {
	path := filepath.Join(dir, "lock")
	there, err := os.Lstat(path)
	if err == nil {
		var held fs.FileInfo
		if held, err = f.Stat(); err == nil && !os.SameFile(there, held) {
			err = errors.New("the descriptor is another file")
		}
	}
	if err == nil {
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return nil, fmt.Errorf("take over lock %s: %w", path, err)
	}
	return &Locked{f}, nil
}

// File is what holds the lock, for a program that is executed in our place: its descriptor alone
// must reach that.
func (l *Locked) File() *os.File { return l.file }

// Release gives the lock up. It unlocks by name: a child between fork and exec may hold a
// duplicate, which would keep the lock past Close. The file stays, since removing it would let two
// processes lock two files of one name.
func (l *Locked) Release() error {
	return errors.Join(flock(l.file, unix.LOCK_UN), l.file.Close())
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
