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
	"sync"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("another supervisor holds the lock")

// The files in the folder that a Locked is of, beside those of a Store.
const (
	lockFile = "lock"
	idFile   = "id"
)

// Files returns the paths of the files that this package keeps in dir, but those of a Store.
func Files(dir string) []string { return []string{LockFile(dir), IDFile(dir)} }

// LockFile is the file in dir that a Locked holds.
func LockFile(dir string) string { return filepath.Join(dir, lockFile) }

// IDFile is the file in dir that says which root it is (RootID).
func IDFile(dir string) string { return filepath.Join(dir, idFile) }

// Locked is a lock that is held. Its methods may be called from several goroutines.
type Locked struct {
	dir  string
	mu   sync.Mutex
	file *os.File
	root *os.File // the folder above dir, locked too (LockRoot); nil: it is not
}

// Lock makes this process the only supervisor of dir, which is made 0700 where it is missing. It is
// held by flock(2) on dir/lock until Release or the process's end, however that comes; what the
// file says, our pid, is for people, and that of a former holder counts for nothing.
//
// Where another process has the lock the error wraps ErrLocked, and holder is its pid as the file
// says, 0 where it has not said yet.
func Lock(dir string) (l *Locked, holder int, err error) {
	path := filepath.Join(dir, lockFile)
	if err := private(dir); err != nil {
		return nil, 0, fmt.Errorf("lock %s: %w", path, err)
	}
	f, err := openLock(path)
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
	return &Locked{dir: dir, file: f}, os.Getpid(), nil
}

// Relock takes over a lock of dir that was kept over an exec, by its file (File), which then
// belongs to the Locked. It is held all the time. The file may have lost its name meanwhile: Restore
// gives the lock another one.
func Relock(dir string, f *os.File) (*Locked, error) {
	path := filepath.Join(dir, lockFile)
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("the descriptor is no file")
	}
	if there, lerr := os.Lstat(path); err == nil && lerr == nil && !os.SameFile(there, info) {
		err = errors.New("the descriptor is another file")
	}
	if err == nil {
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return nil, fmt.Errorf("take over lock %s: %w", path, err)
	}
	return &Locked{dir: dir, file: f}, nil
}

// Restore makes the lock's file again where somebody has removed or replaced it, and holds that. An
// error wraps ErrLocked where another supervisor holds it by now.
func (l *Locked) Restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if there, err := os.Lstat(filepath.Join(l.dir, lockFile)); err == nil {
		if held, err := l.file.Stat(); err == nil && os.SameFile(there, held) {
			if there.Mode().Perm() == 0o600 {
				return nil
			}
			return l.file.Chmod(0o600)
		}
	}
	again, _, err := Lock(l.dir)
	if err != nil {
		return err
	}
	before := l.file
	l.file = again.file
	return before.Close() // nobody finds the file that it locks
}

// File is what holds the lock, for a program that is executed in our place: its descriptor alone
// must reach that.
func (l *Locked) File() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// Release gives the lock up. It unlocks by name: a child between fork and exec may hold a
// duplicate, which would keep the lock past Close. The file stays, since removing it would let two
// processes lock two files of one name.
func (l *Locked) Release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := errors.Join(flock(l.file, unix.LOCK_UN), l.file.Close())
	if l.root != nil {
		err = errors.Join(err, flock(l.root, unix.LOCK_UN), l.root.Close())
	}
	return err
}

// openLock opens the lock's file, also where somebody took our right to it away.
func openLock(path string) (*os.File, error) {
	const flags = os.O_RDWR | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(path, flags, 0o600)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	if os.Chmod(path, 0o600) != nil {
		return nil, err // the first error says more
	}
	return os.OpenFile(path, flags, 0o600)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sign writes our pid over whatever the file said, and gives the file its mode.
func sign(f *os.File) error {
	if err := f.Chmod(0o600); err != nil {
		return err
	}
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
