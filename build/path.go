package build

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// isWithin says whether path is the folder dir or lies in it.
func isWithin(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// resolvedAsFar is a path without the links on the way to it, as far as it is there.
func resolvedAsFar(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil || path == filepath.Dir(path) {
		return to
	}
	return filepath.Join(resolvedAsFar(filepath.Dir(path)), filepath.Base(path))
}

func envValue(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
