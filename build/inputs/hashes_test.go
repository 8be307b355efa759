package inputs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Whoever may write in the source could otherwise have us read, as root, what they may not.
func TestFolderExchangedForALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	app, elsewhere := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, "file"), []byte("secret"), 0o644))
	must(t, os.Symlink(elsewhere, filepath.Join(app, "folder")))
	root, err := os.OpenRoot(app)
	must(t, err)
	defer root.Close()
	if text, err := ReadText(within(root), "folder/file"); err == nil {
		t.Errorf("read %q", text)
	}
}

func TestWhatFilesReadAsIsRememberedUntilTheyChange(t *testing.T) {
	t.Parallel()
	app := t.TempDir()
	path := filepath.Join(app, "file")
	must(t, os.WriteFile(path, []byte("a"), 0o644))
	c := NewHashes()
	fresh, err := c.ReadTree(t.Context(), app, Ourselves)
	must(t, err)
	if len(c.said) > 0 {
		t.Error("a file is remembered that could change again in the same tick of the clock")
	}
	info, err := os.Stat(path)
	must(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	now := state{dev: uint64(stat.Dev), ino: stat.Ino, size: stat.Size, changed: stat.Ctim}
	earlier := now
	earlier.changed.Nsec--
	for want, was := range map[string]state{"remembered": now, fresh["file"]: earlier} {
		c.said = map[string]hashed{path: {was, "remembered"}, filepath.Join(app, "gone"): {}}
		if got, err := c.ReadTree(t.Context(), app, Ourselves); err != nil || got["file"] != want || len(c.said) != 1 {
			t.Errorf("read %q %v, want %q; remembered %v", got["file"], err, want, c.said)
		}
	}
}
