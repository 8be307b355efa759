package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// asideSuffix marks a file that is being written. Its name is fixed, so that killed writers leave
// one at most.
const asideSuffix = ".new"

// writeFile replaces file by b as a whole: whatever happens, file holds the old bytes or the new
// ones. It returns once the new ones are on the disk.
func writeFile(file string, b []byte) (err error) {
	aside, err := writeAside(file, b)
	if err != nil {
		return err
	}
	if err := os.Rename(aside, file); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return syncDir(filepath.Dir(file))
}

// writeAside writes and syncs b under another name in file's folder.
func writeAside(file string, b []byte) (aside string, err error) {
	dir, name := filepath.Split(file)
	aside = filepath.Join(dir, "."+name+asideSuffix)
	f, err := os.OpenFile(aside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(aside))
	}
	return aside, nil
}

// syncDir makes a rename in dir last through a power cut (fsync(2): the folder needs one of its
// own).
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Private makes dir where it is missing, with its parents as usual, and takes everybody else's rights
// to it away.
func Private(dir string) error {
	if err := private(dir); err != nil {
		return fmt.Errorf("make private folder: %w", err)
	}
	return nil
}

// Passage makes dir as Private does, but lets the members of a group pass through it to what they
// know the name of and may use. A group below 0 is none.
func Passage(dir string, group int) error {
	if group < 0 {
		return Private(dir)
	}
	if err := grant(dir, 0o710, group); err != nil {
		return fmt.Errorf("make folder that a group may pass through: %w", err)
	}
	return nil
}

// private makes dir, and its parents as usual, and takes everybody else's rights to it away.
func private(dir string) error { return grant(dir, 0o700, -1) }

// grant makes dir, and its parents as usual, with a mode and, unless it is below 0, a group.
func grant(dir string, mode fs.FileMode, group int) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder; move it away", dir)
	}
	st, known := info.Sys().(*syscall.Stat_t)
	if group >= 0 && (!known || int(st.Gid) != group) {
		// In this order the group from before gains nothing.
		if err := errors.Join(os.Chmod(dir, 0o700), os.Chown(dir, -1, group)); err != nil {
			return err
		}
	} else if info.Mode().Perm() == mode {
		return nil
	}
	return os.Chmod(dir, mode)
}
