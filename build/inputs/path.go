package inputs

import (
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// IsWithin says whether path is the folder dir or lies in it.
func IsWithin(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// ResolvedAsFar is a path without the links on the way to it, as far as it is there.
func ResolvedAsFar(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil || path == filepath.Dir(path) {
		return to
	}
	return filepath.Join(ResolvedAsFar(filepath.Dir(path)), filepath.Base(path))
}

func EnvValue(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

func OwnerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
