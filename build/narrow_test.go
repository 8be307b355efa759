package build

import (
	"os"
	"testing"
)

func TestWhatAnEarlierVersionLeftOpenIsClosedToOthers(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.add(rel1, venvA)
	for _, dir := range []string{"data", "run", "elsewhere"} {
		must(t, os.MkdirAll(s.dir(dir), 0o755))
	}
	want := map[string]os.FileMode{
		"": 0o711, "releases": 0o711, "venvs": 0o711, "run": 0o750, "releases/" + rel1: 0o750, "venvs/" + venvA: 0o750,
		"data": 0o755, // the application's own, who may show it to whom it likes
	}
	for path := range want {
		must(t, os.Chmod(s.dir(path), 0o755))
	}
	// Somebody keeps it elsewhere.
	must(t, os.Symlink("../elsewhere", s.dir("venvs", venvB)))
	must(t, os.Chmod(s.dir("elsewhere"), 0o755))
	want["elsewhere"] = 0o755
	s.tidy()
	for path, mode := range want {
		info, err := os.Stat(s.dir(path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want mode %o", path, info.Mode(), err, mode)
		}
	}
}

func TestReleaseThatOthersReadByIsNotClosedToItsOwnBuild(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give data to another user")
	}
	s := newStore(t)
	s.add(rel1, venvA)
	must(t, os.Mkdir(s.dir("data"), 0o750))
	must(t, os.Chown(s.dir("data"), 65001, 65001))
	must(t, os.Chown(s.dir("venvs", venvA), 0, 65001))
	for _, path := range []string{"releases/" + rel1, "venvs/" + venvA} {
		must(t, os.Chmod(s.dir(path), 0o755))
	}
	s.tidy()
	for path, mode := range map[string]os.FileMode{"releases/" + rel1: 0o755, "venvs/" + venvA: 0o750} {
		if info, err := os.Stat(s.dir(path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want mode %o", path, info.Mode(), err, mode)
		}
	}
}
