package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// files are those on this machine's disk (Files).
type files struct{}

// Load reads builds.toml.
func (files) Load(path string) (*config.Config, error) { return config.Load(path) }

// MakeFolder makes a folder with all above it.
func (files) MakeFolder(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// Inputs reads the files of an entry that are watched.
func (files) Inputs(b config.Build) Inputs {
	in := Inputs{Files: append([]string{b.SettingsFile()}, build.RequirementFiles(b)...)}
	if b.EnvFile != "" {
		in.Files = append(in.Files, b.EnvFile)
	}
	h := sha256.New()
	for _, path := range in.Files {
		var text []byte
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() { // a pipe would hold us up
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(h, "%s %d %v\n", path, len(text), err)
		h.Write(text)
	}
	in.Hash = hex.EncodeToString(h.Sum(nil))
	return in
}
