package control

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSocketIsThereAgainAfterItsNameWasLost(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(shortDir(t), "d")
	path := filepath.Join(dir, "c")
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	stop := serveOn(t, ln, &fake{})
	for name, spoil := range map[string]func() error{
		"nothing":        func() error { return nil },
		"removed":        func() error { return os.Remove(path) },
		"folder removed": func() error { return os.RemoveAll(dir) },
		"shut":           func() error { return os.Chmod(path, 0) },
		"opened to all":  func() error { return os.Chmod(path, 0o666) },
		"renamed":        func() error { return os.Rename(path, path+".aside") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := ln.Restore(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := (Client{Socket: path}).Status(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := ln.Restore(); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is back after the end: %v", err)
	}
}

func TestSocketIsNotTakenFromSomethingElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "c")
	ln, err := Listen(path, NoGroup)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte("mine"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := ln.Restore(); err == nil {
		t.Error("restored over a file")
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Errorf("the file holds %q", text)
	}
}
