package listener

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func permOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestModeThatAServerChangedIsPutBack(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l, err := Bind(filepath.Join(dir, "next"), Options{UID: -1, GID: -1, Mode: 0o600})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	public := filepath.Join(dir, "s")
	if err := os.Chmod(l.spare, 0o666); err != nil { // by the name that it was bound to
		t.Fatal(err)
	}
	if err := l.Take(public); err != nil || permOf(t, public) != 0o600 {
		t.Errorf("under its public name it has mode %o, %v", permOf(t, public), err)
	}
	if err := os.Chmod(public, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); err != nil || permOf(t, public) != 0o600 {
		t.Errorf("restored it has mode %o, %v", permOf(t, public), err)
	}
	if err := os.Chmod(public, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if err := l.Restore(); err != nil || permOf(t, public) != 0o600 {
		t.Errorf("made again it has mode %o, %v", permOf(t, public), err)
	}
}

// What lies in the place of its names is somebody else's.
func TestModeOfAnotherFileIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l := mustBind(t, filepath.Join(dir, "s"))
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{l.path, l.spare} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(file, name); err != nil {
			t.Fatal(err)
		}
	}
	l.mode = 0o600
	if err := l.remode(); err != nil || permOf(t, file) != 0o640 {
		t.Errorf("the file has mode %o, %v", permOf(t, file), err)
	}
}
