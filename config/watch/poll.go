package watch

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"
)

// looked records the files that look different from the last time.
func (w *Watcher) looked() {
	at := time.Now()
	for id, before := range w.polled {
		now := look(w.targets, id)
		w.polled[id] = now
		for _, path := range differing(before, now) {
			named := slices.ContainsFunc(w.targets, func(t Target) bool { return t.ID == id && slices.Contains(t.Files, path) })
			if named {
				w.touchNamed(at, []string{id}, path, true)
			} else {
				w.touchTree(at, []string{id}, path, true)
			}
		}
	}
}

func differing(a, b map[string]string) []string {
	var all []string
	for path, is := range a {
		if b[path] != is {
			all = append(all, path)
		}
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			all = append(all, path)
		}
	}
	return all
}

// look returns what the files of an ID look like, by path, without reading them. A file that is
// missing is not among them.
func look(targets []Target, id string) map[string]string {
	all := map[string]string{}
	stat := func(path string) {
		info, err := os.Stat(path)
		if err != nil {
			return
		}
		is := fmt.Sprintf("%v %d %d", info.Mode(), info.Size(), info.ModTime().UnixNano())
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			is += fmt.Sprintf(" %d %v", sys.Ino, sys.Ctim)
		}
		all[path] = is
	}
	for _, t := range targets {
		if t.ID != id {
			continue
		}
		for _, file := range t.Files {
			stat(file)
		}
		for _, glob := range t.Globs {
			for _, file := range matches(glob) {
				stat(file)
			}
		}
		for _, tree := range t.Trees {
			walk(tree, func(path string, d fs.DirEntry) {
				if !d.IsDir() {
					stat(path)
				}
			})
		}
	}
	return all
}

// remote reports whether folder is on a file system that another machine, or a program behind FUSE,
// may change without an event of inotify (statfs(2)).
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
