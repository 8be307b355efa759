package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// attemptLog writes the log of an attempt that is under way.
func attemptLog(t *testing.T, root, id, text string) {
	t.Helper()
	path := folderOf(root, "one").Release(tempPrefix + id).Log()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFollowedLogIsThatOfTheNewestAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, said, over := t.TempDir(), make(chan string, 10), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			over <- FollowLog(ctx, root, "one", true, func(more []byte) error {
				said <- string(more)
				return nil
			})
		}()
		if first := <-said; first != "" {
			t.Errorf("%q of no log", first)
		}
		attemptLog(t, root, "20261123T090000-aaaaaa", "copy\n")
		if more := <-said; more != "copy\n" {
			t.Errorf("%q", more)
		}
		attemptLog(t, root, "20261123T090000-aaaaaa", "copy\ninstall\n")
		if more := <-said; more != "install\n" {
			t.Errorf("what came is not told alone: %q", more)
		}
		attemptLog(t, root, "20261123T100000-bbbbbb", "copy anew\n")
		if more := <-said; more != "copy anew\n" {
			t.Errorf("of another attempt: %q", more)
		}
		<-time.After(10 * followEvery)
		cancel()
		if err := <-over; err != nil || len(said) != 0 {
			t.Errorf("%v; told %d times of nothing", err, len(said))
		}
	})
}

func TestLogThatIsNotFollowedIsToldOnce(t *testing.T) {
	t.Parallel()
	root, gone := t.TempDir(), errors.New("the reader is gone")
	attemptLog(t, root, "20261123T090000-aaaaaa", "copy\n")
	var said []string
	each := func(more []byte) error {
		said = append(said, string(more))
		return nil
	}
	if err := FollowLog(t.Context(), root, "one", false, each); err != nil || len(said) != 1 || said[0] != "copy\n" {
		t.Errorf("%q, %v", said, err)
	}
	if err := FollowLog(t.Context(), root, "one", true, func([]byte) error { return gone }); !errors.Is(err, gone) {
		t.Error(err)
	}
	notAFolder := filepath.Join(root, "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := FollowLog(t.Context(), notAFolder, "one", true, each); err == nil || len(said) != 1 {
		t.Errorf("of what cannot be read: %q, %v", said, err)
	}
}

func TestBuildLogOfTerabytesIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	attemptLog(t, root, "20261123T090000-aaaaaa", "copy\n")
	path := folderOf(root, "one").Release(tempPrefix + "20261123T090000-aaaaaa").Log()
	if err := os.Truncate(path, 4<<40); err != nil {
		t.Skipf("this file system has no such files: %v", err)
	}
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	add("install\n")
	enough := errors.New("enough")
	var said strings.Builder
	err := FollowLog(t.Context(), root, "one", true, func(more []byte) error {
		if said.Write(more); said.Len() > len("copy\ninstall\n") {
			return enough
		}
		if err := os.Truncate(path, 8<<40); err != nil {
			t.Fatal(err)
		}
		add("migrate\n")
		return nil
	})
	if !errors.Is(err, enough) || said.String() != "copy\ninstall\nmigrate\n" {
		t.Errorf("%.100q, %v", said.String(), err)
	}
}

func TestBuildLogThatIsALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	root, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	attemptLog(t, root, "20261123T090000-aaaaaa", "")
	path := folderOf(root, "one").Release(tempPrefix + "20261123T090000-aaaaaa").Log()
	if err := errors.Join(os.WriteFile(secret, []byte("secret"), 0o600), os.Remove(path), os.Symlink(secret, path)); err != nil {
		t.Fatal(err)
	}
	if text, err := readLog(root, "one"); err == nil || !strings.Contains(err.Error(), "links are not followed") {
		t.Errorf("%q, %v", text, err)
	}
}

// readLog returns the log of the newest attempt.
func readLog(root, name string) (text []byte, err error) {
	err = FollowLog(context.Background(), root, name, false, func(more []byte) error {
		text = append(text, more...)
		return nil
	})
	return text, err
}
