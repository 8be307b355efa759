package listener

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// another is a server of somebody else's that listens at path, and removes it when it is closed.
func another(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestNameIsLeftToTheServerThatHasIt(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	theirs := another(t, path)
	before, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		now, err := os.Lstat(path)
		return err == nil && os.SameFile(before, now)
	}
	ours, err := Bind(path, Options{UID: -1, GID: -1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := ours.Restore(); err != nil || !has() || !ours.Named() || !ours.Yields() {
		t.Fatalf("the name was taken: %v, named %v, yields %v", err, ours.Named(), ours.Yields())
	}
	dial(t, path)
	if c, err := theirs.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	theirs.Close()
	if err := ours.Restore(); err != nil || !ours.Named() || ours.Yields() {
		t.Fatalf("the name is not ours once they have gone: %v, named %v", err, ours.Named())
	}
	dial(t, path)
	if n, err := ours.QueueLen(); err != nil || n != 1 {
		t.Errorf("%d clients wait, %v", n, err)
	}
}

func TestNextSocketTakesANameThatWasLeftToAnother(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	another(t, path)
	waits, err := Bind(path, Options{UID: -1, GID: -1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	next, err := Bind(filepath.Join(dir, "next"), Options{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if err := next.Take(path); err != nil || !next.Named() || waits.Named() || waits.Yields() {
		t.Fatalf("%v: the next has the name: %v, the first: %v", err, next.Named(), waits.Named())
	}
	if err := waits.Unlink(); err != nil {
		t.Error(err)
	}
	if err := waits.Close(); err != nil || !next.Named() {
		t.Errorf("%v: the name is gone with the first", err)
	}
}

func TestStopLeavesTheServerThatHasTheNameAlone(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	another(t, path)
	l, err := Bind(path, Options{UID: -1, GID: -1, Yield: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Unlink(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"s"}) {
		t.Errorf("left are %v", left)
	}
	dial(t, path)
}

// A socket that nobody listens on any more, and one of ours, lose the name at once.
func TestOnlyALivingServerOfOthersKeepsTheName(t *testing.T) {
	t.Parallel()
	dir := short(t)
	path := filepath.Join(dir, "s")
	theirs := another(t, path)
	theirs.SetUnlinkOnClose(false)
	theirs.Close()
	// A process that another test starts at this moment has a copy of it until it executes.
	eventually(t, "the closed server refuses", func() bool {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		return errors.Is(err, unix.ECONNREFUSED)
	})
	for range 2 {
		l, err := Bind(path, Options{UID: -1, GID: -1, Yield: true})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if !l.Named() || l.Yields() {
			t.Errorf("named %v, yields %v", l.Named(), l.Yields())
		}
	}
}
