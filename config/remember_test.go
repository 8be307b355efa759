package config

import (
	"os"
	"path/filepath"
	"testing"
)

// Not parallel: where it is remembered is in the environment.
func TestRootOfAFileThatIsGoneIsRemembered(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	dir := t.TempDir()
	path := filepath.Join(dir, "builds.toml")
	if err := os.WriteFile(path, []byte(`root = "here"`), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Remember(c); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"emptied": func() error { return os.Truncate(path, 0) },
		"deleted": func() error { return os.Remove(path) },
		"no TOML": func() error { return os.WriteFile(path, []byte("= ["), 0o600) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if root, err := RootOf(path); err != nil || root != filepath.Join(dir, "here") {
			t.Errorf("%s: root %q, %v", what, root, err)
		}
	}
	// By another name of its folder, and by what the link leads to where it was started by the link.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if root, err := RootOf(filepath.Join(link, "builds.toml")); err != nil || root != filepath.Join(dir, "here") {
		t.Errorf("by a link: root %q, %v", root, err)
	}
	c.Path, c.Root = filepath.Join(link, "by-link.toml"), filepath.Join(dir, "linked")
	if err := Remember(c); err != nil {
		t.Fatal(err)
	}
	if root, err := RootOf(filepath.Join(dir, "by-link.toml")); err != nil || root != c.Root {
		t.Errorf("by what the link leads to: root %q, %v", root, err)
	}
	if root, err := RootOf(filepath.Join(dir, "other.toml")); err == nil {
		t.Errorf("of another file: %q", root)
	}
	// The file wins over what is remembered of it.
	if err := os.WriteFile(path, []byte(`root = "there"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if root, err := RootOf(path); err != nil || root != filepath.Join(dir, "there") {
		t.Errorf("root %q, %v", root, err)
	}
}
