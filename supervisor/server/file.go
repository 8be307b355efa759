package server

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// File is a generated file that a server needs.
type File struct {
	Path string
	Head string      // of its text, common to many
	Text string      // the rest
	Mode fs.FileMode // of the file; its folder can be entered by the group as well
	GID  int         // group of both; -1: the supervisor's own
}

// Write makes the file and its folder, regardless of our umask, if the file is missing or differs.
func (f File) Write() error {
	dir := filepath.Dir(f.Path)
	if err := build.MakeRun(dir, f.GID); err != nil {
		return err
	}
	if f.asItShouldBe() {
		return nil
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(f.Path)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	_, err = temp.WriteString(f.Head + f.Text)
	if err == nil {
		err = temp.Chmod(f.Mode)
	}
	if err == nil && f.GID >= 0 {
		err = temp.Chown(-1, f.GID)
	}
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if info, lerr := os.Lstat(f.Path); err == nil && lerr == nil && info.IsDir() {
		err = os.Rename(f.Path, temp.Name()+".aside") // no file can replace a folder; it may hold something
	}
	if err == nil {
		err = os.Rename(temp.Name(), f.Path)
	}
	if err != nil {
		os.Remove(temp.Name()) // what failed is reported, not this
		return fmt.Errorf("write %s: %w", f.Path, err)
	}
	return nil
}

// asItShouldBe reports whether the file is there with its text, mode, owner and group.
func (f File) asItShouldBe() bool {
	info, err := os.Lstat(f.Path)
	if err != nil || info.Mode() != f.Mode {
		return false
	}
	// Who owns it could change it, and a server of ours might lack the right to read it.
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (int(owner.Uid) != os.Geteuid() || f.GID >= 0 && int(owner.Gid) != f.GID) {
		return false
	}
	have, err := untrusted.ReadBelow(filepath.Dir(f.Path), filepath.Base(f.Path), int64(len(f.Head)+len(f.Text)))
	return err == nil && string(have) == f.Head+f.Text
}
