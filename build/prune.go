package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Prune removes releases beyond the b.KeepReleases newest, but none of inUse,
// and environments that no release has any more. What is not ours stays.
func Prune(root string, b config.Build, inUse ...string) error {
	all, err := List(root, b.Name)
	if err != nil {
		return err
	}
	var errs []error
	venvs := map[string]bool{}
	for i, r := range all {
		if i >= len(all)-b.KeepReleases || slices.Contains(inUse, r.ID) {
			venvs[r.VenvID] = true
			continue
		}
		errs = append(errs, discard(r.Dir))
	}
	entries, err := os.ReadDir(filepath.Join(root, b.Name, venvsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("list environments: %w", err))
	}
	for _, e := range entries {
		dir := filepath.Join(root, b.Name, venvsDir, e.Name())
		if !venvs[e.Name()] && complete(dir) {
			errs = append(errs, discard(dir))
		}
	}
	return errors.Join(errs...)
}

// discard removes a folder of ours so that a kill half-way leaves what Tidy
// removes, never half a release.
func discard(dir string) error {
	doomed := filepath.Join(filepath.Dir(dir), tempPrefix+"old-"+filepath.Base(dir))
	if err := os.Rename(dir, doomed); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	if err := os.RemoveAll(doomed); err != nil {
		return fmt.Errorf("remove %s: %w", doomed, err)
	}
	return nil
}

// Tidy removes what a killed build or prune left: unfinished releases and
// environments. For start-up, when no build of that name runs.
func Tidy(root, name string) error {
	var errs []error
	for _, folder := range []string{"", releasesDir, venvsDir} {
		parent := filepath.Join(root, name, folder)
		entries, err := os.ReadDir(parent)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("look for leftovers: %w", err))
		}
		for _, e := range entries {
			path := filepath.Join(parent, e.Name())
			half := folder == venvsDir && venvID.MatchString(e.Name()) && !complete(path)
			if !half && !strings.HasPrefix(e.Name(), tempPrefix) {
				continue
			}
			if err := os.RemoveAll(path); err != nil {
				errs = append(errs, fmt.Errorf("remove leftover %s: %w", path, err))
			}
		}
	}
	return errors.Join(errs...)
}
