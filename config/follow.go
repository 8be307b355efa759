package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// wanted says which names in which folders are about which IDs; the name "" is
// any. A folder stands under its path without links: inotify knows a folder once,
// however it is reached.
type wanted map[string]map[string][]string

func wantedBy(targets []Target) wanted {
	w := wanted{}
	for _, t := range targets {
		seen := map[string]bool{}
		for _, file := range t.Files {
			w.follow(file, t.ID, seen)
		}
		for _, tree := range t.Trees {
			w.follow(tree, t.ID, seen)
			walk(tree, func(path string, d fs.DirEntry) {
				if d.IsDir() {
					w.want(path, "", t.ID)
				}
			})
		}
	}
	return w
}

// follow wants path told of: itself in its folder, that folder in its own (it
// may be replaced), every link on the way and what it leads to, and as much of
// it as is missing in what is there.
func (w wanted) follow(path, id string, seen map[string]bool) {
	if seen[path] {
		return
	}
	seen[path] = true
	// Above the folder of a real folder that is wanted only links may move. One
	// that came while we looked does not count: what it holds came unseen.
	settled, held := false, false
	for at := path; ; at = filepath.Dir(at) {
		folder := filepath.Dir(at)
		if folder == at {
			return
		}
		info, err := os.Lstat(at)
		link := err == nil && info.Mode()&fs.ModeSymlink != 0
		whole := held && err == nil && !link
		if link || !settled {
			held = w.want(folder, filepath.Base(at), id)
		}
		if link && len(seen) < 64 && !leadsRound(at) {
			if to, err := os.Readlink(at); err == nil {
				if !filepath.IsAbs(to) {
					to = filepath.Join(folder, to)
				}
				rest, _ := filepath.Rel(at, path) // path begins with at
				w.follow(filepath.Join(to, rest), id, seen)
			}
		}
		settled = settled || whole
	}
}

// leadsRound says that a link leads to itself in the end. It is watched all the
// same, and followed when it is mended.
func leadsRound(link string) bool {
	_, err := os.Stat(link)
	return errors.Is(err, syscall.ELOOP)
}

// want says whether folder is there.
func (w wanted) want(folder, name, id string) bool {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return false // the folder that it is missing in is wanted too
	}
	if w[folder] == nil {
		w[folder] = map[string][]string{}
	}
	if !slices.Contains(w[folder][name], id) {
		w[folder][name] = append(w[folder][name], id)
	}
	return true
}

// differ answers the IDs that have names in the one and not in the other.
func (w wanted) differ(other wanted) []string {
	ids := map[string]bool{}
	for _, pair := range [][2]wanted{{w, other}, {other, w}} {
		for folder, names := range pair[0] {
			for name, all := range names {
				for _, id := range all {
					if !slices.Contains(pair[1][folder][name], id) {
						ids[id] = true
					}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// walk visits what is in a tree and no noise; the tree may be reached by a link.
func walk(tree string, visit func(path string, d fs.DirEntry)) {
	tree, err := filepath.EvalSymlinks(tree)
	if err != nil {
		return // it is not there
	}
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it went meanwhile, and its folder tells
		case path == tree || !noise(d.Name()):
			visit(path, d)
		case d.IsDir():
			return filepath.SkipDir
		}
		return nil
	})
}

// look answers what the files of an ID look like, without reading them.
func look(targets []Target, id string) string {
	var s strings.Builder
	stat := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			return // it is missing
		}
		fmt.Fprintf(&s, "%s %v %d %d", path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&s, " %d %v", sys.Ino, sys.Ctim)
		}
		s.WriteByte('\n')
	}
	for _, t := range targets {
		if t.ID != id {
			continue
		}
		for _, file := range t.Files {
			stat(file)
		}
		for _, tree := range t.Trees {
			walk(tree, func(path string, d fs.DirEntry) {
				if !d.IsDir() {
					stat(path)
				}
			})
		}
	}
	return s.String()
}

// remote says that folder is on a file system that another machine, or a
// program behind FUSE, may change without inotify telling (statfs(2)).
func remote(folder string) bool {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return false
	}
	return slices.Contains(remoteTypes[:], uint32(s.Type))
}

var remoteTypes = [...]uint32{
	0x6969,     // NFS
	0x517b,     // SMB
	0xff534d42, // CIFS
	0xfe534d42, // SMB2
	0x01021997, // 9p: virtual machines' shared folders
	0x65735546, // FUSE: sshfs, virtiofs too
	0x00c36400, // Ceph
	0x0bd00bd0, // Lustre
	0x786f4256, // VirtualBox's shared folders
	0x5346414f, // AFS
	0x01161970, // GFS2
	0x7461636f, // OCFS2
}
