package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// logMode is the mode of a log that is made.
const logMode = 0o640

// Append opens the log at path for a process to write to, and makes it where it is missing, whatever
// our umask. Nothing but a plain file of our own with one name is opened, no link is followed, and it
// never blocks: what is in a log's place may be of others. As root nothing is opened or made where who
// finds somebody else who could exchange the folder: what a server prints would be written to a file
// of their choice.
//
// The error wraps ErrOther where what is in the log's place is not what would be made there.
func Append(path string, who custody.Custody) (*os.File, error) {
	if err := guarded(path, who); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	f, err := openAppend(path)
	if err != nil && !errors.Is(err, ErrOther) && !isPlain(path) {
		if _, there := os.Lstat(path); there == nil {
			err = fmt.Errorf("%w: %w", ErrOther, err) // a folder, or a FIFO that nobody reads
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// ErrOther says that what is in the place of a log is none that we would make.
var ErrOther = errors.New("something else is in the place of the log")

func openAppend(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, logMode)
	if err == nil {
		return f, f.Chmod(logMode)
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	f, err = os.OpenFile(path, flags, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%w: %s is a link, and links are not followed here; move it away", ErrOther, path)
	}
	if errors.Is(err, fs.ErrPermission) && isPlain(path) && os.Chmod(path, logMode) == nil {
		f, err = os.OpenFile(path, flags, 0) // it is ours, and somebody took our right to it away
	}
	if err != nil {
		return nil, err
	}
	if err := ours(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ours says why an open file is none that we would make as a log.
func ours(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%w: %s is not a plain file; move it away", ErrOther, f.Name())
	case st.Nlink > 1:
		return fmt.Errorf("%w: %s is a second name of another file; move it away", ErrOther, f.Name())
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: %s belongs to user %d, not to us: chown it, or move it away", ErrOther, f.Name(), st.Uid)
	}
	return nil
}

// guarded says who else could exchange the folder of a log of root's.
func guarded(path string, who custody.Custody) error {
	if os.Geteuid() != 0 {
		return nil // whoever exchanges it cannot choose a file that they may not write
	}
	return who.Grave(filepath.Dir(path))
}

func isPlain(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}
