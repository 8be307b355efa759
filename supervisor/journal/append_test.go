package journal

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

func TestLogIsOpenedForAppendingAndMadeWithItsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	for range 2 {
		f, err := Append(path, custody.Custody{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("line\n"); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(path); string(text) != "line\nline\n" || err != nil {
		t.Errorf("the log holds %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatalf("without the right to it: %v", err)
	}
	f.Close()
}

func TestOnlyAPlainFileIsTakenForALog(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"device": func(path string) error { return os.Symlink("/dev/null", path) },
		"link": func(path string) error {
			return errors.Join(os.WriteFile(path+".target", nil, 0o600), os.Symlink(path+".target", path))
		},
		"dangling link": func(path string) error { return os.Symlink(path+".target", path) },
	} {
		path := filepath.Join(t.TempDir(), "a.log")
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if f, err := Append(path, custody.Custody{}); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := Append(filepath.Join(t.TempDir(), "missing", "a.log"), custody.Custody{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}
