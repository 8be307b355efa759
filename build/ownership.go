package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/config"
)

// makeFolder makes a folder, whatever our umask. One that is there stays as it
// is.
func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err == nil && (uid >= 0 || gid >= 0) {
		err = os.Chown(path, uid, gid)
	}
	if err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	return nil
}

// seal gives everything below dir to us and the group gid (-1: ours), not
// writable by the group: what serves must not be changed by what runs. Folders
// come before what is in them, so whoever owned them until now cannot exchange
// an entry between our look at it and the change.
func seal(dir string, gid int) error {
	uid, own := uint32(os.Geteuid()), uint32(os.Getegid())
	if gid >= 0 {
		own = uint32(gid)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !owned(info, uid, own) && (gid >= 0 || uid == 0) {
			if err := os.Lchown(path, int(uid), int(own)); err != nil {
				return err
			}
		}
		if d.Type() == fs.ModeSymlink {
			return nil
		}
		want := info.Mode().Perm() &^ 0o027
		want |= want >> 3 & 0o050 // the group may read what the owner may
		if want == info.Mode().Perm() && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0 {
			return nil
		}
		return os.Chmod(path, want)
	})
	if err != nil {
		return fmt.Errorf("protect %s: %w", dir, err)
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

func owned(info fs.FileInfo, uid, gid uint32) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == uid && stat.Gid == gid
}

// credential answers whom a step runs as, nil for ourselves.
func credential(id config.Identity) *syscall.Credential {
	if id.Own() {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid()), Groups: id.Groups}
	if id.UID >= 0 {
		c.Uid = uint32(id.UID)
	}
	if id.GID >= 0 {
		c.Gid = uint32(id.GID)
	}
	return c
}
