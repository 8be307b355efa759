package world

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// files are those on this machine's disk (Files).
type files struct {
	root    string
	environ []string // our own, as os.Environ has it
}

// Load reads builds.toml.
func (files) Load(path string) (*config.Config, error) { return config.Load(path) }

// Includes returns what builds.toml includes.
func (files) Includes(path string) []string { return config.Includes(path) }

// MakeFolder makes a folder with all above it, which others may pass. One that is there keeps its
// mode, but for our own right to use it. As root nothing is made or changed where somebody else could
// exchange a folder on the way for a link.
func (files) MakeFolder(path string, mode fs.FileMode) error {
	if os.Geteuid() == 0 {
		if err := (&config.Config{}).Custody().Grave(path); err != nil {
			return fmt.Errorf("make folder %s: %w", path, err)
		}
	}
	var missing []string
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return fmt.Errorf("make folder %s: %w", path, err)
		}
		missing = append(missing, dir)
	}
	if len(missing) == 0 {
		return build.MakeFolder(path, 0o700, -1, -1)
	}
	for i, dir := range slices.Backward(missing) {
		one := mode
		if i > 0 {
			one = 0o755
		}
		if err := build.MakeFolder(dir, one, -1, -1); err != nil {
			return err
		}
	}
	return nil
}

// Keep keeps a configuration in the supervisor's folder.
func (f files) Keep(c *config.Config) error {
	path, text := layout.Root(c.Root).LastGood(), c.Copy()
	if have, err := untrusted.ReadFile(path, int64(len(text))); err == nil && bytes.Equal(have, text) {
		return config.Remember(c)
	}
	aside := path + ".new"
	err := os.WriteFile(aside, text, 0o600)
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep a copy of %s: %w", c.Path, err), os.Remove(aside))
	}
	return config.Remember(c)
}

// Inputs reads the watched files of an entry.
func (f files) Inputs(b config.Build) build.Watched { return build.Watch(f.root, b, f.environ) }
