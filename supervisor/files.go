package supervisor

import (
	"io/fs"
	"os"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// files are those on this machine's disk (Files).
type files struct{ environ []string } // our own, as os.Environ has it

// Load reads builds.toml.
func (files) Load(path string) (*config.Config, error) { return config.Load(path) }

// MakeFolder makes a folder with all above it.
func (files) MakeFolder(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Inputs reads the files of an entry that are watched.
func (f files) Inputs(b config.Build) build.Watched { return build.Watch(b, f.environ) }
