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
// where something is mounted.
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
		if _, err := os.Lstat(to.Releases()); !errors.Is(err, fs.ErrNotExist) {
			continue // it has its own, or the links
		}
		if err := build.MakeFolder(to.Dir(), build.FolderMode, -1, -1); err != nil {
			return err
		}
		links := [][2]string{{from.Venvs(), to.Venvs()}, {from.Releases(), to.Releases()}} // a release needs its environment
		if info, err := os.Lstat(from.Data()); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			links = append([][2]string{{from.Data(), to.Data()}}, links...)
		}
		for _, l := range links {
			if err := os.Symlink(l[0], l[1]); err != nil && !errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("take the prebuilt releases of %s: %w", b.Name, err)
			}
		}
	}
	return nil
}
