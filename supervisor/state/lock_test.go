package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyOneHasTheLockAndTheOtherLearnsWho(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".supervisor")
	held, holder, err := Lock(dir)
	if err != nil || holder != os.Getpid() {
		t.Fatal(holder, err)
	}
	_, holder, err = Lock(dir)
	if !errors.Is(err, ErrLocked) || holder != os.Getpid() || !strings.Contains(err.Error(), filepath.Join(dir, "lock")) {
		t.Errorf("second: %d, %v", holder, err)
	}
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	held, _, err = Lock(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
}

// duplicate is what a descriptor is to the program that is executed in our place.
func duplicate(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "kept")
}

func TestLockIsHeldByItsFileAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept := duplicate(t, before.File())
	if err := before.File().Close(); err != nil { // as the exec does
		t.Fatal(err)
	}
	if _, _, err := Lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("before it is taken over: %v", err)
	}
	held, err := Relock(dir, kept)
	if err != nil {
		t.Fatal(err)
	}
	if _, holder, err := Lock(dir); !errors.Is(err, ErrLocked) || holder != os.Getpid() {
		t.Errorf("after it was taken over: %d, %v", holder, err)
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	again, _, err := Lock(dir)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheLocksOwnFileTakesItOver(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	theirs, _, err := Lock(other)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Release()
	ours, _, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Release()
	if _, err := Relock(dir, theirs.File()); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("with another lock's file: %v", err)
	}
	unlocked, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlocked.Close()
	if _, err := Relock(dir, unlocked); err == nil {
		t.Error("a descriptor without the lock took it over from the one that has it")
	}
}

func TestWhatAFormerHolderWroteCountsForNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("1\n"+strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	held, holder, err := Lock(dir)
	if err != nil || holder != os.Getpid() {
		t.Fatal(holder, err)
	}
	defer held.Release()
	if _, holder, err := Lock(dir); !errors.Is(err, ErrLocked) || holder != os.Getpid() {
		t.Errorf("second: %d, %v", holder, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, holder, err := Lock(dir); !errors.Is(err, ErrLocked) || holder != 0 {
		t.Errorf("with nonsense in the file: %d, %v", holder, err)
	}
}

func TestRootKeepsItsID(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), ".supervisor")
	first, err := RootID(dir)
	if err != nil || !rootIDs.MatchString(first) {
		t.Fatal(first, err)
	}
	if again, err := RootID(dir); again != first || err != nil {
		t.Errorf("%s, then %s, %v", first, again, err)
	}
	if other, err := RootID(filepath.Join(t.TempDir(), "other")); other == first || err != nil {
		t.Errorf("two roots with one name, %v", err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if other, err := RootID(copied); other == first || err != nil {
		t.Errorf("the copy of a root has its name, %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "id"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fixed, err := RootID(dir)
	if err != nil || fixed == first || !rootIDs.MatchString(fixed) {
		t.Errorf("after it was emptied: %q, %v", fixed, err)
	}
	if again, err := RootID(dir); again != fixed || err != nil {
		t.Errorf("%s, then %s, %v", fixed, again, err)
	}
}

func TestFolderThatIsAFileIsSaid(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, open := Open(file)
	_, _, lock := Lock(file)
	_, id := RootID(file)
	for _, err := range []error{open, lock, id} {
		if err == nil || !strings.Contains(err.Error(), file+" is not a folder") {
			t.Errorf("error %v", err)
		}
	}
}
