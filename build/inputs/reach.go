package inputs

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Who writes a source may name what lies elsewhere, by a link or in requirements, and we can enter
// folders that the build's user cannot. So the folders on the way to such a file count as its own mode
// does. Those above the source do not, nor does the one of the application: see reader.

// from has the reader read what lies in app, both without links, for which the folders above source
// do not count.
func (r Reader) from(source, app string) Reader {
	r.source, r.app = source, app
	return r
}

// reached says whether the user may enter the folders above what was opened as rel in the
// application. It goes by where the file really lies, whatever is exchanged meanwhile.
func (r Reader) reached(f *os.File, rel string) bool {
	if !r.Other() || r.app == "" {
		return true
	}
	real, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return false
	}
	return real == filepath.Join(r.app, rel) && IsWithin(r.app, r.source) || r.enters(real)
}

// leadsTo says whether the user may enter the folders above what the link at rel in the application
// leads to.
func (r Reader) leadsTo(app, rel string) bool {
	if r.app == "" {
		return true
	}
	real, err := filepath.EvalSymlinks(filepath.Join(app, rel))
	return err == nil && r.enters(real)
}

// enters says whether the user may enter the folders above a path without links.
func (r Reader) enters(path string) bool {
	inside := IsWithin(path, r.source)
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if inside && dir == r.source {
			return true
		}
		if !(inside && IsWithin(r.app, dir)) && !r.mayEnter(dir) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (r Reader) mayEnter(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir() && r.may(info, config.Execute, func(into []byte) (int, error) { return unix.Lgetxattr(dir, aclName, into) })
}

// isLink says whether a link is at path.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().Type() == fs.ModeSymlink
}

// stillOwn says whether a file that counts as the build's own settings is the one that was looked at:
// of the same owner, and with no other name.
func stillOwn(info fs.FileInfo, owner int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == owner && stat.Nlink == 1
}
