package server

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileIsWrittenWhateverIsInItsPlace(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"nothing":  func(string) error { return nil },
		"no text":  func(path string) error { return os.WriteFile(path, nil, 0o640) },
		"a folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "with", "more"), 0o700) },
		"a link":   func(path string) error { return os.Symlink("/etc/hostname", path) },
	} {
		f := File{Path: filepath.Join(t.TempDir(), "run", "conf.py"), Text: "x = 1\n", Mode: 0o640, GID: -1}
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := put(f.Path); err != nil {
			t.Fatal(err)
		}
		err := f.Write()
		text, rerr := os.ReadFile(f.Path)
		if err != nil || rerr != nil || string(text) != f.Text {
			t.Errorf("%s: error %v, %v, text %q", name, err, rerr, text)
		}
	}
}
