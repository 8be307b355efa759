package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// logMode is the mode of a log that is made.
const logMode = 0o640

// Append opens the log at path for a process to write to, and makes it where it is missing, whatever
// our umask. Nothing but a plain file is opened, no link is followed, and it never blocks: what is in
// a log's place may be of others.
func Append(path string) (*os.File, error) {
	f, err := openAppend(path)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

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
	if errors.Is(err, fs.ErrPermission) && isPlain(path) && os.Chmod(path, logMode) == nil {
		f, err = os.OpenFile(path, flags, 0) // it is ours, and somebody took our right to it away
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a plain file; move it away", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func isPlain(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}
