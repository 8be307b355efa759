package listener

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// remode gives the socket's file its mode again. Whoever listens on a socket that they think they have
// bound may change it: Twisted, and so daphne, lets everybody connect (twisted.internet.unix, Port).
func (l *Listener) remode() error {
	if l.mode == 0 {
		return nil
	}
	for _, name := range []string{l.path, l.spare} {
		if name == "" {
			continue
		}
		done, err := l.remodeAt(name)
		if done || err != nil {
			return err
		}
	}
	return nil // no name leads to it
}

// remodeAt reports whether name leads to the socket, which then has its mode. No link is followed, and
// the file that is changed is the one that was looked at.
func (l *Listener) remodeAt(name string) (bool, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil // it leads to nothing, and so not to the socket
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, os.NewSyscallError("fstat", err)
	}
	if uint64(st.Dev) != l.dev || st.Ino != l.ino {
		return false, nil
	}
	if fs.FileMode(st.Mode).Perm() == l.mode {
		return true, nil
	}
	if err := unix.Chmod(procPath(fd), uint32(l.mode)); err != nil {
		return false, &fs.PathError{Op: "chmod", Path: name, Err: err}
	}
	return true, nil
}
