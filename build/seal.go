package build

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// seal gives everything below dir to us and the group gid (-1: ours), not writable by the group:
// what serves must not be changed by what runs. from is whose it may have been until now, -1 for
// nobody else's: their processes may still exchange and change what is in it, so all is done by
// descriptors that follow no link, and what has changed hands is looked at again.
func seal(dir string, gid, from int) error {
	s := sealer{to: owner{os.Geteuid(), os.Getegid()}, group: gid >= 0, from: from, given: map[uint64]bool{}}
	if gid >= 0 {
		s.to.gid = gid
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: dir, Err: err}
	} else {
		err = s.one(fd, dir, 0, false)
	}
	if err != nil {
		return fmt.Errorf("protect %s: %w", dir, err)
	}
	return nil
}

type sealer struct {
	to    owner
	group bool            // reads by the group
	from  int             // whose it may have been; -1: nobody else's
	given map[uint64]bool // inodes of theirs with several names, of which one was sealed
}

// one seals what the descriptor fd, which it closes, stands for, a folder before what is in it. sealed
// says that the folder above was sealed before, so that nobody else can have put anything there since.
func (s sealer) one(fd int, path string, depth int, sealed bool) error {
	defer unix.Close(fd) // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	// A second name of a file that is not theirs would hand that file to their group: Linux lets anyone
	// make one where fs.protected_hardlinks is 0 (proc_sys_fs(5)).
	if s.from >= 0 && !sealed && st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 && !s.given[st.Ino] {
		if int(st.Uid) != s.from {
			return fmt.Errorf("%s is a second name of a file that is not the build user's", path)
		}
		s.given[st.Ino] = true
	}
	before := st
	if (owner{int(st.Uid), int(st.Gid)}) != s.to && (s.group || s.to.uid == 0) {
		if err := unix.Fchownat(fd, "", s.to.uid, s.to.gid, unix.AT_EMPTY_PATH); err != nil {
			return &fs.PathError{Op: "chown", Path: path, Err: err}
		}
		if err := unix.Fstat(fd, &st); err != nil { // until now its owner could change its mode
			return &fs.PathError{Op: "stat", Path: path, Err: err}
		}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	want := st.Mode & 0o777 &^ 0o027
	if s.group {
		want |= want >> 3 & 0o050 // the build's user reads by the group
	}
	if want != st.Mode&0o6777 {
		if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), want|st.Mode&unix.S_ISVTX); err != nil {
			return &fs.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return s.inside(fd, path, depth, int(before.Uid) == s.to.uid && before.Mode&0o022 == 0)
}

// inside seals all that is in a folder that is sealed itself.
func (s sealer) inside(fd int, path string, depth int, sealed bool) error {
	if depth > deepest {
		return fmt.Errorf("%s: it is more than %d folders deep", path, deepest)
	}
	in, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	dir := os.NewFile(uintptr(in), path)
	defer dir.Close() // nothing was written
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := filepath.Join(path, name)
		one, err := unix.Openat(in, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: at, Err: err}
		}
		if err := s.one(one, at, depth+1, sealed); err != nil {
			return err
		}
	}
	return nil
}
