package supervisor

import (
	"io/fs"
	"os"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// files is this machine's disk as a World's Files.
type files struct{}

// Load reads builds.toml.
func (files) Load(path string) (*config.Config, error) { return config.Load(path) }

// MakeFolder makes a folder and its parents.
func (files) MakeFolder(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Inputs reads the watched files of an entry.
func (files) Inputs(b config.Build) build.Watched { return build.Watch(b) }
