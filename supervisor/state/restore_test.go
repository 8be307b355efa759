package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLockIsHeldAgainAfterItsFileWasRemovedOrReplaced(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".supervisor")
	held, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "lock")
	for name, spoil := range map[string]func() error{
		"nothing":            func() error { return nil },
		"file removed":       func() error { return os.Remove(path) },
		"folder removed":     func() error { return os.RemoveAll(dir) },
		"file replaced":      func() error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o644)) },
		"rights taken away":  func() error { return os.Chmod(path, 0) },
		"folder shut":        func() error { return os.Chmod(dir, 0o500) },
		"folder's name lost": func() error { return os.Rename(dir, dir+".aside") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := Private(dir); err != nil {
			t.Fatal(err)
		}
		if err := held.Restore(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, holder, err := Lock(dir); !errors.Is(err, ErrLocked) || holder != os.Getpid() {
			t.Errorf("%s: a second supervisor got %d, %v", name, holder, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: lock file is %v, %v", name, info, err)
		}
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
}

func TestLockIsNotTakenBackFromAnotherSupervisor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Release()
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	theirs, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Release()
	if err := ours.Restore(); !errors.Is(err, ErrLocked) {
		t.Errorf("restored: %v", err)
	}
}

func TestRootIsLockedWhileTheLockFileIsGone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, ".supervisor")
	ours, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is held already
		if holder, err := ours.LockRoot(); holder != 0 || err != nil {
			t.Fatal(holder, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	theirs, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if holder, err := theirs.LockRoot(); holder != os.Getpid() || !errors.Is(err, ErrLocked) {
		t.Errorf("a second supervisor locks the root: %d, %v", holder, err)
	}
	if err := errors.Join(theirs.Release(), ours.Release()); err != nil {
		t.Fatal(err)
	}
	again, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if holder, err := again.LockRoot(); holder != 0 || err != nil {
		t.Errorf("after release: %d, %v", holder, err)
	}
}

func TestRootThatWasMadeAgainIsLockedAgain(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "root")
	dir := filepath.Join(root, ".supervisor")
	ours, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Release()
	if _, err := ours.LockRoot(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(root, root+".aside"); err != nil {
		t.Fatal(err)
	}
	if err := ours.Restore(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.LockRoot(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the new root is not locked: %v", err)
	}
}

func TestRootKeepsItsIDThroughTheLossOfItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".supervisor")
	id, err := RootID(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"nothing":        func() error { return nil },
		"file removed":   func() error { return os.Remove(filepath.Join(dir, "id")) },
		"file changed":   func() error { return os.WriteFile(filepath.Join(dir, "id"), []byte("0123456789abcdef 1:1\n"), 0o600) },
		"folder removed": func() error { return os.Rename(dir, dir+".aside") },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := Private(dir); err != nil {
			t.Fatal(err)
		}
		if err := RestoreRootID(dir, id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := RootID(dir); now != id || err != nil {
			t.Errorf("%s: the root is called %s, %v; want %s", name, now, err, id)
		}
	}
}

func TestRecordIsIntactUntilSomebodyTouchesIt(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "a.json")
	if s.Intact("a") {
		t.Error("a record is intact that was never saved")
	}
	for name, spoil := range map[string]func() error{
		"removed":        func() error { return os.Remove(file) },
		"emptied":        func() error { return os.Truncate(file, 0) },
		"shut":           func() error { return os.Chmod(file, 0) },
		"opened to all":  func() error { return os.Chmod(file, 0o644) },
		"another file":   func() error { return errors.Join(os.Remove(file), os.WriteFile(file, []byte("{}"), 0o600)) },
		"a link":         func() error { return errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)) },
		"folder removed": func() error { return errors.Join(os.RemoveAll(dir), Private(dir)) },
	} {
		if err := s.Save("a", Record{Build: "a", Release: "r1"}); err != nil {
			t.Fatal(err)
		}
		if !s.Intact("a") {
			t.Errorf("before it was %s: not intact", name)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if s.Intact("a") {
			t.Errorf("%s: still intact", name)
		}
		if err := s.Save("a", Record{Build: "a", Release: "r1"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if r, found, err := s.Load("a"); !found || err != nil || r.Release != "r1" {
			t.Errorf("%s: saved again it is %+v, %v, %v", name, r, found, err)
		}
		if info, err := os.Lstat(file); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
