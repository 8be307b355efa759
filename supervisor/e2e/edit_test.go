package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Save is one way in which programs rewrite a file.
type Save func(path string, content []byte) error

// Overwrite truncates and writes in place, as a shell's > does.
func Overwrite(path string, content []byte) error { return os.WriteFile(path, content, 0o644) }

// RenameOver writes a new file and renames it over the old one, as most editors do: the old inode
// is gone, and a watch on it with it.
func RenameOver(path string, content []byte) error {
	aside := path + ".tmp~"
	if err := os.WriteFile(aside, content, 0o644); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// SwapLink makes path a symlink to a new file in a folder next to it, and renames the link into
// place, as config maps and deployment tools do: the path's own folder sees one rename, the file's
// contents are never written at the path.
func SwapLink(path string, content []byte) error {
	version := fmt.Sprintf("%s/.versions/%s.%d", filepath.Dir(path), filepath.Base(path), time.Now().UnixNano())
	if err := os.MkdirAll(filepath.Dir(version), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(version, content, 0o644); err != nil {
		return err
	}
	aside := path + ".link~"
	if err := os.Symlink(version, aside); err != nil {
		return err
	}
	return os.Rename(aside, path)
}

// Settings is the settings file of build name.
func (w *World) Settings(name string) string {
	return filepath.Join(w.Source, "API", "api_settings", "settings", "deploy_"+name+".py")
}

// SetBanner gives build name's settings another BANNER and saves them.
func (w *World) SetBanner(name, banner string, save Save) {
	w.t.Helper()
	w.SaveSettings(name, fmt.Sprintf("BANNER = %q", banner), save)
}

// SaveSettings rewrites build name's settings: everything common, and then these lines of Python.
func (w *World) SaveSettings(name, lines string, save Save) {
	w.t.Helper()
	text := fmt.Sprintf("from api_settings.settings.common import *  # noqa: F401,F403\n\nBANNER = %q\n%s\n", name, lines)
	if err := save(w.Settings(name), []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

// Replace replaces the one occurrence of old in a file, and saves the file.
func (w *World) Replace(path, old, with string, save Save) {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if n := strings.Count(string(text), old); n != 1 {
		w.t.Fatalf("%s contains %q %d times, want once", path, old, n)
	}
	if err := save(path, []byte(strings.Replace(string(text), old, with, 1))); err != nil {
		w.t.Fatal(err)
	}
}
