package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// MakeFolder makes a folder of that owner and group (-1: our own), whatever our umask. One that is
// there gets them too (-1: keeps its own), and what it lacks of mode, as far as it is ours to change;
// rights beyond that are left to it. A link in its place is left alone: somebody keeps the folder elsewhere.
func MakeFolder(path string, mode fs.FileMode, uid, gid int) error {
	if err := makeFolder(path, mode, uid, gid); err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}

// MakeRun makes a build's folder of what is made anew for every start, which its group may enter as
// well (-1: one that is there keeps it, as a candidate that runs as another user may need it).
func MakeRun(path string, gid int) error {
	return MakeFolder(path, 0o750, os.Geteuid(), gid)
}

func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	made := true
	if err := os.Mkdir(path, mode); errors.Is(err, fs.ErrExist) {
		made = false
	} else if err != nil {
		return err
	}
	// By a descriptor: who owns the folder above may put something else in its place.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
	case unix.S_IFLNK:
		return nil
	default:
		return &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("something that is not a folder is there; move it away")}
	}
	want := st.Mode&0o7777 | uint32(mode.Perm())
	if made {
		want = uint32(mode.Perm())
	}
	if uid >= 0 && int(st.Uid) != uid || gid >= 0 && int(st.Gid) != gid {
		err = unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)
	}
	if err == nil && want != st.Mode&0o7777 {
		err = unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), want)
	}
	if errors.Is(err, fs.ErrPermission) && !made {
		return nil // not ours: whoever made it may have given us what we need
	}
	return err
}

// changeable returns what the user could change of the file at path, which has no links in it: the
// file, or a folder on the way to it.
func changeable(path string, as config.Identity) string {
	if as.UID < 0 || as.UID == os.Geteuid() {
		return ""
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return path
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok || int(stat.Uid) == as.UID {
			return path
		}
		mode, sticky := info.Mode().Perm(), info.Mode()&fs.ModeSticky != 0
		group := int(stat.Gid) == as.GID || slices.Contains(as.Groups, stat.Gid)
		if (mode&0o002 != 0 || mode&0o020 != 0 && group) && !sticky {
			return path
		}
		parent := filepath.Dir(path)
		if parent == path {
			return ""
		}
		path = parent
	}
}
