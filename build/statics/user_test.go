package statics

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

const nobody = 65534

func stat(info os.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

// asNobody makes a site of another user than ours.
func asNobody(t *testing.T) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := newSite(t)
	s.as = config.Identity{UID: nobody, GID: nobody, Groups: []uint32{nobody}}
	for dir := filepath.Dir(s.build.Dir()); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	return s
}

func TestFilesAreThoseOfTheBuildsUser(t *testing.T) {
	t.Parallel()
	s := asNobody(t)
	s.release(t, "r1", first)
	s.release(t, "r2", second)
	must(t, os.Mkdir(s.root, 0o755))
	must(t, os.Chown(s.root, nobody, nobody))
	s.publish(t, "r1")
	before := inode(t, s.root)
	s.publish(t, "r2") // file by file: the folder above is ours
	s.holds(t, both)
	if inode(t, s.root) != before {
		t.Error("the folder was exchanged")
	}
	must(t, os.Chown(filepath.Dir(s.root), nobody, nobody))
	s.publish(t, "r1")
	s.holds(t, back)
	if inode(t, s.root) == before {
		t.Error("the folder was not exchanged")
	}
	for _, path := range []string{"", "a.css", "img", "img/logo.svg", "app.222.js"} {
		info, err := os.Stat(filepath.Join(s.root, path))
		must(t, err)
		if st := stat(info); st.Uid != nobody || st.Gid != nobody {
			t.Errorf("%q is of %d:%d", path, st.Uid, st.Gid)
		}
	}
}

// The settings of a build say where STATIC_ROOT is, and its user may put links there.
func TestNothingIsWrittenThatTheBuildsUserMayNotWrite(t *testing.T) {
	t.Parallel()
	s := asNobody(t)
	s.release(t, "r1", first)
	must(t, os.Mkdir(s.root, 0o755)) // ours
	if err := Usable(s.root, s.as); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("a folder of ours is usable: %v", err)
	}
	if err := s.p.Publish(t.Context(), s.request("r1")); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("published to a folder of ours: %v", err)
	}
	if got := tree(t, s.root); len(got) > 0 {
		t.Errorf("our folder holds %v", got)
	}
	theirs := filepath.Join(filepath.Dir(filepath.Dir(s.root)), "theirs")
	must(t, os.Mkdir(theirs, 0o755))
	must(t, os.Symlink(s.root, filepath.Join(theirs, "link")))
	must(t, os.Lchown(filepath.Join(theirs, "link"), nobody, nobody))
	must(t, os.Chown(theirs, nobody, nobody))
	s.root = filepath.Join(theirs, "link")
	if err := s.p.Publish(t.Context(), s.request("r1")); err == nil {
		t.Error("published through a link to a folder of ours")
	}
}

func TestOurOwnRightsAreAsBefore(t *testing.T) {
	t.Parallel()
	s := asNobody(t)
	if err := Usable(filepath.Join(s.build.Dir(), "static"), s.as); err == nil {
		t.Error("nobody may write in the build's folder")
	}
	for range 20 { // on whichever thread
		must(t, Usable(filepath.Join(s.build.Dir(), "static"), config.Identity{UID: -1, GID: -1}))
	}
}
