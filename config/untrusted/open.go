package untrusted

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens the regular file at path for reading. The error of anything else says what it is.
func Open(path string) (*os.File, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return reopen(fd, path)
}

// OpenBelow opens the regular file at rel below the folder dir for reading. No link below dir is
// followed, nor does rel lead out of it; dir itself may be reached by links.
func OpenBelow(dir, rel string) (*os.File, error) { return openBelow(dir, rel, unix.Openat2) }

func openBelow(dir, rel string, openat2 func(dir int, path string, how *unix.OpenHow) (int, error)) (*os.File, error) {
	path := filepath.Join(dir, rel)
	if !filepath.IsLocal(rel) {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%q leads out of %s", rel, dir)}
	}
	top, err := retry(func() (int, error) { return unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(top)
	fd, err := retry(func() (int, error) {
		return openat2(top, filepath.Clean(rel), &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		})
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 5.6; some filters of system calls
		fd, err = stepwise(top, filepath.Clean(rel))
	}
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrLink}
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return reopen(fd, path)
}

// ErrLink is that a link is in the way where none is followed.
var ErrLink = errors.New("it is a link, or in a folder that is one: links are not followed here")

// stepwise is what openat2 does, one name after the other, each without following it.
func stepwise(dir int, rel string) (int, error) {
	names := strings.Split(rel, "/")
	at := dir
	for i, name := range names {
		next, err := retry(func() (int, error) { return unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) })
		if at != dir {
			unix.Close(at) // nothing was written through it
		}
		if err != nil {
			return -1, err
		}
		var st unix.Stat_t
		err = unix.Fstat(next, &st)
		switch kind := st.Mode & unix.S_IFMT; {
		case err != nil:
		case kind == unix.S_IFLNK:
			err = unix.ELOOP
		case kind != unix.S_IFDIR && i < len(names)-1:
			err = unix.ENOTDIR
		}
		if err != nil {
			unix.Close(next)
			return -1, err
		}
		at = next
	}
	return at, nil
}

// reopen opens for reading what place, a descriptor that allows nothing (O_PATH), stands for, and
// closes place. To look first is what keeps us from opening a pipe or a device at all: that alone may
// let a writer go on, or rewind a tape.
func reopen(place int, path string) (*os.File, error) {
	defer unix.Close(place)
	var st unix.Stat_t
	if err := unix.Fstat(place, &st); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: path, Err: notRegular(st.Mode)}
	}
	fd, err := retry(func() (int, error) {
		// O_NONBLOCK: a lease of somebody else's is not waited for (fcntl(2), F_SETLEASE).
		const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
		return unix.Open("/proc/self/fd/"+strconv.Itoa(place), flags, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ErrNotRegular is that something else than a regular file is at a path.
var ErrNotRegular = errors.New("not a regular file")

func notRegular(mode uint32) error {
	kind := "something else"
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		kind = "a folder"
	case unix.S_IFIFO:
		kind = "a named pipe"
	case unix.S_IFSOCK:
		kind = "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		kind = "a device"
	case unix.S_IFLNK:
		kind = "a link"
	}
	return fmt.Errorf("%w but %s", ErrNotRegular, kind)
}

// retry calls again what a signal or a renaming elsewhere interrupted (openat2(2), EAGAIN).
func retry(call func() (int, error)) (int, error) {
	for try := 1; ; try++ {
		fd, err := call()
		if err == unix.EINTR || err == unix.EAGAIN && try < 100 {
			continue
		}
		return fd, err
	}
}
