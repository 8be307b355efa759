package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Right is what somebody wants to do with a file or a folder, as bits of a mode.
type Right fs.FileMode

// The rights.
const (
	Execute Right = 1 // of a folder: to reach what is in it
	Write   Right = 2
	Read    Right = 4
)

// mostLinks is how many links Denied follows, as many as Linux does (path_resolution(7)).
const mostLinks = 40

// Denied returns the file or folder that keeps a user from using path, "" where none does as far as
// owners and modes say. What they do not say counts as permitted: access lists, and what is missing.
func Denied(path string, id Identity, want Right) string {
	left, at := strings.Split(filepath.Clean(path), "/")[1:], "/"
	for links := 0; ; {
		info, err := os.Lstat(at)
		if err != nil {
			return ""
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			to, err := os.Readlink(at)
			if links++; err != nil || links > mostLinks {
				return ""
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(at), to)
			}
			left, at = append(strings.Split(filepath.Clean(to), "/")[1:], left...), "/"
			continue
		}
		for len(left) > 0 && left[0] == "" {
			left = left[1:]
		}
		need := want
		if len(left) > 0 {
			need = Execute
		}
		if !permitted(at, info, id, need) {
			return at
		}
		if len(left) == 0 {
			return ""
		}
		at, left = filepath.Join(at, left[0]), left[1:]
	}
}

// permitted reports whether a user has all of some rights to one file or folder.
func permitted(path string, info fs.FileInfo, id Identity, need Right) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || Permitted(info.Mode(), int(stat.Uid), int(stat.Gid), id, need) {
		return true
	}
	n, err := unix.Lgetxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}

// Permitted reports whether a user has all of some rights to what has a mode, an owner and a group
// (inode(7)).
func Permitted(mode fs.FileMode, owner, group int, id Identity, need Right) bool {
	uid, gid, groups := id.ids()
	if uid == 0 && !id.plain {
		return need&Execute == 0 || mode.IsDir() || mode&0o111 != 0
	}
	bits := mode & 7
	switch {
	case owner == uid:
		bits = mode >> 6 & 7
	case group == gid, slices.Contains(groups, uint32(group)):
		bits = mode >> 3 & 7
	}
	return Right(bits)&need == need
}

// ids returns who it is, where it is ourselves too.
func (i Identity) ids() (uid, gid int, groups []uint32) {
	uid, gid, groups = i.UID, i.GID, i.Groups
	if uid < 0 {
		uid = os.Geteuid()
		own, err := os.Getgroups()
		for _, group := range own {
			if err == nil {
				groups = append(groups, uint32(group))
			}
		}
	}
	if gid < 0 {
		gid = os.Getegid()
	}
	return uid, gid, groups
}
