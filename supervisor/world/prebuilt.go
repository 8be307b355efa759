package world

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// linkPrebuilt has the builds of cfg that have no folder of releases yet take those that a Workshop
// made in another root, dir. They are read where they are, by links, which may be read-only: all that
// is written while they serve lies in the root itself. data/ is taken where it is a link in dir, to
// where something is mounted. Under root nobody else may be able to change any of it: it is what the
// builds run.
func linkPrebuilt(cfg *config.Config, dir string) error {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: dir, Err: errors.New("it is no folder")}
	}
	if err != nil {
		return fmt.Errorf("look for prebuilt releases: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := cfg.Custody().Grave(dir); err != nil {
			return fmt.Errorf("take prebuilt releases from %s: %w", dir, err)
		}
	}
	for _, b := range cfg.Builds {
		from, to := layout.Root(dir).Build(b.Name), layout.Root(cfg.Root).Build(b.Name)
		if info, err := os.Stat(from.Releases()); err != nil || !info.IsDir() {
			continue // it was not built there, and is built here
		}
		if !free(to.Venvs(), from.Venvs()) || !free(to.Releases(), from.Releases()) {
			continue // it has its own
		}
		if os.Geteuid() == 0 {
			who := cfg.Custody()
			for _, made := range []string{from.Releases(), from.Venvs()} { // which are code, and ours to remove
				if err := who.GraveBelow(made); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("take the prebuilt releases of %s: %w", b.Name, err)
				}
			}
		}
		if err := build.MakeFolder(to.Dir(), build.FolderMode, -1, -1); err != nil {
			return err
		}
		links := [][2]string{{from.Venvs(), to.Venvs()}, {from.Releases(), to.Releases()}} // a release needs its environment
		if info, err := os.Lstat(from.Data()); err == nil && info.Mode()&fs.ModeSymlink != 0 && free(to.Data(), from.Data()) {
			links = append([][2]string{{from.Data(), to.Data()}}, links...)
		}
		for _, l := range links {
			if err := relink(l[0], l[1]); err != nil {
				return fmt.Errorf("take the prebuilt releases of %s: %w", b.Name, err)
			}
		}
	}
	return nil
}

// free reports whether path may become a link to target: it is one, or nothing is there, or a link that
// leads nowhere, as one does of an image that had its releases elsewhere.
func free(path, target string) bool {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	to, err := os.Readlink(path)
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return to == target || errors.Is(err, fs.ErrNotExist)
}

// relink makes path, which is free, a link to target.
func relink(target, path string) error {
	to, err := os.Readlink(path)
	switch {
	case err == nil && to == target:
		return nil
	case err == nil:
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return os.Symlink(target, path)
}
