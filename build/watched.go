package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Watched is what the files of an entry that are always watched are at a moment: its settings with
// all that they import from the application, its requirements with all that they include, and its
// env_file.
type Watched struct {
	Files []string // also what is named and not there: it may come
	Hash  string   // of what they read as
	Locks []string // of who writes the source, while they are there
}

// Watch reads them for a build that lives in root, with what of the environment decides about the
// requirements; own is our own. One that cannot be read is part of the hash as such.
func Watch(root string, b config.Build, own []string) Watched {
	w := Watched{Locks: sourceLocks(b)}
	h := sha256.New()
	for _, rel := range inputs.SettingsFiles(b.AppPath(), b) {
		w.Files = append(w.Files, filepath.Join(b.AppPath(), rel))
	}
	as, err := config.IdentityOf(b)
	env, eerr := environ(b, own, as)
	if err := errors.Join(err, eerr); err != nil {
		fmt.Fprintf(h, "%v\n", err) // an attempt says so too
	}
	r := inputs.InstallReads(b, folderOf(root, b.Name).Data(), env)
	w.Files = append(w.Files, r.Paths()...)
	fmt.Fprintf(h, "%q\n", r.Variables)
	if b.EnvFile != "" {
		w.Files = append(w.Files, b.EnvFile)
	}
	for _, path := range w.Files {
		if slices.Contains(r.Others, path) { // of any size: an attempt reads it
			if info, err := os.Stat(path); err == nil {
				fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			continue
		}
		text, err := inputs.ReadText(inputs.Anywhere, path)
		fmt.Fprintf(h, "%s %d %v\n", path, len(text), err)
		h.Write(text)
	}
	w.Hash = hex.EncodeToString(h.Sum(nil))
	return w
}
