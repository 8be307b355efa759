package build

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// FolderMode is the mode of a build's folder, and of those of its releases and environments:
// everybody may pass, to the socket, and nobody but us may list it. What is in it has rights of its
// own.
const FolderMode fs.FileMode = 0o711

// narrow takes rights beyond most from a folder of ours, such as an earlier version gave it. A link
// in its place is left alone, and so is a folder that is somebody else's.
func narrow(path string, most fs.FileMode) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd) // nothing was written
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	want := st.Mode&0o7000 | st.Mode&uint32(most.Perm())
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || want == st.Mode&0o7777 {
		return nil
	}
	if err := unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), want); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// narrowFolders closes to others what an earlier version, or somebody, left open of a build: they
// may pass through its folders and enter no release, no environment and no generated file. What is
// running goes on: its user enters by the group.
func narrowFolders(dir layout.Build) error {
	errs := []error{narrow(dir.Dir(), FolderMode), narrow(dir.Releases(), FolderMode), narrow(dir.Venvs(), FolderMode)}
	data, _ := topOwner(dir.Data())
	inside := func(path string) {
		// One that is our own group's, of a build that runs as another user, was made before releases
		// had the build's group: it would be closed to the build itself.
		if o, ok := topOwner(path); ok && (o.gid != os.Getegid() || data.uid == os.Geteuid()) {
			errs = append(errs, narrow(path, 0o750))
		}
	}
	inside(dir.Run())
	for _, parent := range []string{dir.Releases(), dir.Venvs()} {
		entries, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		for _, e := range entries {
			if releaseID.MatchString(e.Name()) || venvID.MatchString(e.Name()) {
				inside(filepath.Join(parent, e.Name()))
			}
		}
	}
	return errors.Join(errs...)
}
