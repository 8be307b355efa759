package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Watched is what the files of an entry that are always watched are at a moment: its settings with
// all that they import from the application, its requirements with all that they include, and its
// env_file.
type Watched struct {
	Files []string // also what is named and not there: it may come
	Hash  string   // of what they read as
}

// Watch reads them. One that cannot be read is part of the hash as such.
func Watch(b config.Build) Watched {
	var w Watched
	for _, rel := range readSettings(b.AppPath(), b).files() {
		w.Files = append(w.Files, filepath.Join(b.AppPath(), rel))
	}
	w.Files = append(w.Files, RequirementFiles(b)...)
	if b.EnvFile != "" {
		w.Files = append(w.Files, b.EnvFile)
	}
	h := sha256.New()
	for _, path := range w.Files {
		text, err := readText(os.OpenFile, path)
		fmt.Fprintf(h, "%s %d %v\n", path, len(text), err)
		h.Write(text)
	}
	w.Hash = hex.EncodeToString(h.Sum(nil))
	return w
}
