package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// The umask belongs to the whole process, so no test of this package is parallel to this one.
func TestFileHasItsModeWhateverOurUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o777))
	dir := filepath.Join(t.TempDir(), "run")
	f := File{Path: filepath.Join(dir, "conf.py"), Text: "workers = 2\n", Mode: 0o640, GID: os.Getgid()}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	if mode := modeOf(t, dir); mode != 0o750 {
		t.Errorf("folder has mode %o", mode)
	}
	if mode := modeOf(t, f.Path); mode != 0o640 {
		t.Errorf("file has mode %o", mode)
	}
}

func TestFileIsMadeAgainWhenItIsNotAsItShouldBe(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "run", "conf.py"), Text: "workers = 2\n", Mode: 0o640, GID: -1}
	for _, c := range []struct {
		name   string
		before func() error
	}{
		{"missing", func() error { return nil }},
		{"deleted", func() error { return os.Remove(f.Path) }},
		{"deleted with its folder", func() error { return os.RemoveAll(filepath.Dir(f.Path)) }},
		{"changed", func() error { return os.WriteFile(f.Path, []byte("workers = 3\n"), 0o640) }},
		{"changed in mode", func() error { return os.Chmod(f.Path, 0o600) }},
	} {
		if err := c.before(); err != nil {
			t.Fatal(err)
		}
		if err := f.Write(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		text, err := os.ReadFile(f.Path)
		if err != nil || string(text) != f.Text || modeOf(t, f.Path) != f.Mode {
			t.Errorf("%s: %q, %o, %v", c.name, text, modeOf(t, f.Path), err)
		}
	}
}

func TestFileThatIsAsItShouldBeIsLeftAlone(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "run", "conf.py"), Text: "workers = 2\n", Mode: 0o640, GID: os.Getgid()}
	var before os.FileInfo
	for range 2 {
		if err := f.Write(); err != nil {
			t.Fatal(err)
		}
		now, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !os.SameFile(before, now) {
			t.Error("it was written again")
		}
		before = now
	}
}

func TestFileThatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	notAFolder := filepath.Join(dir, "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(notAFolder, "conf.py"), filepath.Join(dir, "no", "such", "conf.py")} {
		var named *fs.PathError
		if err := (File{Path: path, GID: -1}).Write(); !errors.As(err, &named) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
