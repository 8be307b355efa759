package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Watched is what the files of an entry that are always watched are at a moment: its settings, its
// requirements with all that they include, and its env_file.
type Watched struct {
	Files []string
	Hash  string // of what they read as
}

// Watch reads them. One that cannot be read is part of the hash as such.
func Watch(b config.Build) Watched {
	w := Watched{Files: append([]string{b.SettingsFile()}, RequirementFiles(b)...)}
	if b.EnvFile != "" {
		w.Files = append(w.Files, b.EnvFile)
	}
	h := sha256.New()
	for _, path := range w.Files {
		var text []byte
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() { // a pipe would hold us up
			text, err = os.ReadFile(path)
		}
		fmt.Fprintf(h, "%s %d %v\n", path, len(text), err)
		h.Write(text)
	}
	w.Hash = hex.EncodeToString(h.Sum(nil))
	return w
}
