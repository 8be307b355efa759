package inputs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A settings file kept elsewhere, or swapped as a config map is, goes into the release with its
// contents.
func TestLinkOutOfTheApplicationIsFollowedToAFileOnly(t *testing.T) {
	t.Parallel()
	app, elsewhere := filepath.Join(t.TempDir(), "API"), t.TempDir()
	for path, text := range map[string]string{
		filepath.Join(app, "inside.py"): "inside", filepath.Join(elsewhere, "open.py"): "open", filepath.Join(elsewhere, "folder", "x"): "x",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(name, to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(app, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("relative.py", "inside.py")
	link("settings.py", filepath.Join(elsewhere, "open.py"))
	link("nothing.py", "nowhere.py")
	to := filepath.Join(t.TempDir(), "copy")
	copied, err := CopyTree(t.Context(), app, to, Ourselves, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(to, "settings.py")); err != nil || string(text) != "open" || strings.HasPrefix(copied["settings.py"], "link") {
		t.Errorf("the file that a link led to holds %q, %v", text, err)
	}
	for name, want := range map[string]string{"relative.py": "inside.py", "nothing.py": "nowhere.py"} {
		if got, err := os.Readlink(filepath.Join(to, name)); got != want || err != nil {
			t.Errorf("%s leads to %q (%v), want %s", name, got, err, want)
		}
	}
	link("folder", filepath.Join(elsewhere, "folder"))
	if _, err := CopyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), Ourselves, nil); err == nil || !strings.Contains(err.Error(), "link to the folder") {
		t.Errorf("a link to a folder elsewhere: %v", err)
	}
}

// As root we can read what whoever wrote the source cannot.
func TestLinkIsNotFollowedToWhatItsOwnerMayNotRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it gives files to another user")
	}
	app, elsewhere := filepath.Join(t.TempDir(), "API"), t.TempDir()
	secret := filepath.Join(elsewhere, "secret")
	if err := os.Mkdir(app, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(app, "a.py")); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), Ourselves, nil); err != nil {
		t.Errorf("their owner's own: %v", err)
	}
	if err := os.Lchown(filepath.Join(app, "a.py"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := CopyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), Ourselves, nil); err == nil || strings.Contains(err.Error(), "secret\n") {
		t.Errorf("somebody else's: %v", err)
	}
}

func TestWhatWeMayNotReadIsNamedInASentenceOfOurs(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"/app/a/b": &fs.PathError{Op: "openat", Path: "a/b", Err: syscall.EACCES},
		"/app/dir": fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "/app/dir", Err: syscall.EACCES}),
	} {
		got := denied(name, err)
		if !errors.Is(got, fs.ErrPermission) || !strings.HasPrefix(got.Error(), name+": permission denied: the user") {
			t.Errorf("%v became %v", err, got)
		}
	}
	for _, err := range []error{nil, errClosed, &fs.PathError{Op: "open", Path: "/root/releases/x", Err: syscall.EACCES}, &fs.PathError{Op: "openat", Path: "a", Err: syscall.EIO}} {
		if got := denied("/app/a", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// A walk meets what was there when the folder was read.
func TestFileThatGoesWhileItIsLookedAtIsNoPartOfTheApplication(t *testing.T) {
	t.Parallel()
	app := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		must(t, os.WriteFile(filepath.Join(app, name), nil, 0o644))
	}
	var seen []string
	err := walk(t.Context(), app, func(rel string, _ fs.DirEntry) error {
		if rel == "a" {
			must(t, os.Remove(filepath.Join(app, "b")))
		}
		_, err := os.Stat(filepath.Join(app, rel))
		if err == nil {
			seen = append(seen, rel)
		}
		return err
	}, nil)
	if err != nil || !slices.Equal(seen, []string{"a", "c"}) {
		t.Errorf("seen %q, error %v", seen, err)
	}
	if err := walk(t.Context(), filepath.Join(app, "none"), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an application that is not there: %v", err)
	}
}
