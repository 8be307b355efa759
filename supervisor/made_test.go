package supervisor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// made are releases on disk that are made at once: of the settings file, with an environment whose
// python is this program.
type made struct {
	world.Releases
	root layout.Root
}

const madeForm = "20060102T150405"

// Make makes a release, unless the newest one is of the same settings. Settings that contain "no
// release" make none.
func (m made) Make(_ context.Context, r build.Request) (build.Release, bool, error) {
	name, b := r.Build.Name, m.root.Build(r.Build.Name)
	settings, err := os.ReadFile(r.Build.SettingsFile())
	if err != nil {
		return build.Release{}, false, err
	}
	r.Progress(build.Progress{Step: "copy", N: 1, Of: 1})
	if strings.Contains(string(settings), "no release") {
		text := "this is no release\n"
		return build.Release{}, false, errors.Join(errors.New("copy: no release can be made of this"),
			os.MkdirAll(b.Dir(), 0o755), os.WriteFile(b.FailedLog(), []byte(text), 0o644))
	}
	sum := sha256.Sum256(settings)
	hash := hex.EncodeToString(sum[:])
	all, err := m.List(name)
	if err != nil {
		return build.Release{}, false, err
	}
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	if n := len(all); n > 0 {
		newest := all[n-1]
		if newest.Hash == hash && !r.Force {
			return newest, false, nil
		}
		before, err := time.Parse(madeForm, newest.ID[:len(madeForm)])
		if err != nil {
			return build.Release{}, false, err
		}
		at = before.Add(time.Second)
	}
	rel := build.Release{ID: at.Format(madeForm) + "-" + hash[:6], Hash: hash, VenvID: "0123456789abcdef", Created: at,
		Steps: []build.StepTime{{Name: "copy", Took: time.Second}}, By: r.By}
	rel.Dir, rel.Venv = b.Release(rel.ID).Dir(), b.Venv(rel.VenvID)
	if err := madeVenv(rel); err != nil {
		return rel, false, err
	}
	record, err := json.Marshal(rel)
	if err != nil {
		return rel, false, err
	}
	half := layout.Release(filepath.Join(b.Releases(), ".tmp-"+rel.ID))
	for path, text := range map[string]string{
		filepath.Join(half.Dir(), "API", r.Build.SettingsDir, filepath.Base(r.Build.SettingsFile())): string(settings),
		half.Log():    fmt.Sprintf("copy\nof %s\n", name),
		half.Record(): string(record),
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return rel, false, err
		}
	}
	if err := os.Remove(b.FailedLog()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return rel, false, err
	}
	return rel, true, os.Rename(half.Dir(), rel.Dir)
}

// Why compares the settings with those of the newest release.
func (m made) Why(_ context.Context, entry *config.Build) (build.Difference, error) {
	settings, err := os.ReadFile(entry.SettingsFile())
	if err != nil {
		return build.Difference{}, err
	}
	all, err := m.List(entry.Name)
	if err != nil {
		return build.Difference{}, err
	}
	sum := sha256.Sum256(settings)
	if n := len(all); n > 0 && all[n-1].Hash == hex.EncodeToString(sum[:]) {
		return build.Difference{Release: all[n-1].ID}, nil
	}
	return build.Difference{Because: []string{filepath.Base(entry.SettingsFile()) + " changed"}}, nil
}

// Check finds nothing wrong: there is no Django to look with.
func (made) Check(context.Context, build.Look) error { return nil }

func madeVenv(rel build.Release) error {
	complete := filepath.Join(rel.Venv, ".medctrl-complete")
	if _, err := os.Stat(complete); err == nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(rel.Python()), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(self, rel.Python()); err != nil {
		return err
	}
	return os.WriteFile(complete, []byte("gunicorn\n"), 0o644)
}
