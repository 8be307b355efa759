package build

import (
	"os"
	"path/filepath"
	"strings"
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
	copied, err := copyTree(t.Context(), app, to, nil)
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
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), nil); err == nil || !strings.Contains(err.Error(), "link to the folder") {
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
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), nil); err != nil {
		t.Errorf("their owner's own: %v", err)
	}
	if err := os.Lchown(filepath.Join(app, "a.py"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := copyTree(t.Context(), app, filepath.Join(t.TempDir(), "copy"), nil); err == nil || strings.Contains(err.Error(), "secret\n") {
		t.Errorf("somebody else's: %v", err)
	}
}
