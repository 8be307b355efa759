package watch

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// looked returns the IDs whose files look different from the last time.
func (w *Watcher) looked() []string {
	var ids []string
	for id, before := range w.polled {
		if now := look(w.targets, id); now != before {
			w.polled[id] = now
			ids = append(ids, id)
		}
	}
	return ids
}

// look returns what the files of an ID look like, without reading them.
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
