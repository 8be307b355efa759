package watch

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// wanted says which names in which folders are about which IDs; the name "" is any, and one that begins
// with a slash stands for all that match the rest. A folder stands under its path without links: inotify
// knows a folder once, however it is reached.
type wanted map[string]map[string][]string

func wantedBy(targets []Target) wanted {
	w := wanted{}
	for _, t := range targets {
		seen := map[string]bool{}
		for _, file := range t.Files {
			w.follow(file, t.ID, seen)
		}
		for _, glob := range t.Globs {
			folder, name := filepath.Split(glob)
			w.follow(filepath.Clean(folder), t.ID, seen)
			w.want(folder, "/"+name, t.ID)
			for _, file := range matches(glob) {
				w.follow(file, t.ID, seen) // it may be a link
			}
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

// matches returns the files that match a glob now.
func matches(glob string) []string {
	folder, pattern := filepath.Split(glob)
	f, err := os.Open(folder)
	if err != nil {
		return nil // it is not there
	}
	defer f.Close()                       // it was only read
	names, _ := f.Readdirnames(mostNames) // of a folder that cannot be read there are none
	var files []string
	for _, name := range names {
		if ok, err := filepath.Match(pattern, name); ok && err == nil && !noise(name) {
			files = append(files, filepath.Join(folder, name))
		}
	}
	return files
}

// mostNames is in how many files of a folder those are looked for that match. Where there are more, links
// among them may not be followed.
const mostNames = 10_000

// matching returns the IDs that a name in a folder is about because it matches.
func matching(names map[string][]string, name string) []string {
	var ids []string
	if noise(name) {
		return nil
	}
	for glob, all := range names {
		if pattern, is := strings.CutPrefix(glob, "/"); is {
			if ok, err := filepath.Match(pattern, name); ok && err == nil {
				ids = append(ids, all...)
			}
		}
	}
	return ids
}

// follow adds all by which what path leads to may change: its name in its folder, that folder in
// its own (it may be replaced), every link on the way and what it leads to, and, where a part of
// path is missing, the first missing name in the last folder that is there.
func (w wanted) follow(path, id string, seen map[string]bool) {
	if seen[path] {
		return
	}
	seen[path] = true
	// Above the folder of a real folder that is wanted only links may move. A folder that came
	// while we looked does not count: there are no events of what it holds.
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

// leadsRound reports whether a link leads to itself in the end. It is watched all the same, and
// followed when it is fixed.
func leadsRound(link string) bool {
	_, err := os.Stat(link)
	return errors.Is(err, syscall.ELOOP)
}

// want adds a name in folder, and reports whether that is there.
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

// differ returns the IDs that have names in one of the two and not in the other.
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

// walk visits what is in a tree except noise; the tree may be reached by a link.
func walk(tree string, visit func(path string, d fs.DirEntry)) {
	tree, err := filepath.EvalSymlinks(tree)
	if err != nil {
		return // it is not there
	}
	_ = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it has gone meanwhile, and its folder has the event
		case path == tree || !noise(d.Name()):
			visit(path, d)
		case d.IsDir():
			return filepath.SkipDir
		}
		return nil
	})
}
