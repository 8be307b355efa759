package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// memories are the folders in which this user's supervisors note the root of each file they ran
// with, the one that is written to first: below XDG_STATE_HOME where that is set (XDG Base Directory
// Specification); /var/lib/medctrl-supervisor for root, else ~/.local/state.
func memories() []string {
	var all []string
	if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		all = append(all, base)
	}
	if os.Geteuid() == 0 {
		all = append(all, "/var/lib")
	} else if home, err := os.UserHomeDir(); err == nil {
		all = append(all, filepath.Join(home, ".local", "state"))
	}
	return all
}

func noteIn(memory, abs string) string {
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(memory, "medctrl-supervisor", "root-"+hex.EncodeToString(sum[:8]))
}

// Remember notes the root of c's file, so that RootOf finds it once the file is gone or says no root
// any more: a supervisor that runs can be asked then, and one that starts finds the last good copy of
// the file in its root.
func Remember(c *Config) error {
	all := memories()
	if len(all) == 0 {
		return fmt.Errorf("remember the root of %s: neither XDG_STATE_HOME nor HOME is set", c.Path)
	}
	var errs []error
	for _, path := range pathsOf(c.Path) {
		if root, ok := noted(path); ok && root == c.Root {
			continue
		}
		if err := note(noteIn(all[0], path), c.Root+"\x00"+path); err != nil {
			errs = append(errs, fmt.Errorf("remember the root of %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// note writes a note.
func note(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	aside := path + ".new"
	err := os.WriteFile(aside, []byte(text), 0o600)
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return nil
}

// pathsOf returns the path of a file, and the one that it has without the links on the way to it: a
// person may name it by either.
func pathsOf(abs string) []string {
	all := []string{abs}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil && dir != filepath.Dir(abs) {
		all = append(all, filepath.Join(dir, filepath.Base(abs)))
	}
	return all
}

// Remembered returns the root with which the file at path was applied last, as Remember noted it. It
// may be another one than the file says now: a changed root waits for a restart.
func Remembered(path string) (root string, ok bool) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	return remembered(abs)
}

// remembered returns the root of the file at the absolute path abs.
func remembered(abs string) (string, bool) {
	for _, path := range pathsOf(abs) {
		if root, ok := noted(path); ok {
			return root, true
		}
	}
	return "", false
}

// noted returns the root that is noted of a file under one of its paths.
func noted(abs string) (string, bool) {
	for _, memory := range memories() {
		text, err := readText(noteIn(memory, abs))
		if err != nil {
			continue // there is none, or it is not ours to read
		}
		if root, of, ok := strings.Cut(string(text), "\x00"); ok && of == abs && filepath.IsAbs(root) {
			return root, true
		}
	}
	return "", false
}
