package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// leaveOutOthers removes the settings of other builds from the copy of the application, where
// nothing of what this build reads names them: with them this build could log in to their databases.
// What tools make of such a file goes with it (deploy_b.py.orig, deploy_b.pyc).
func (j *job) leaveOutOthers() error {
	out := j.source.Unnamed(j.app(), j.b)
	for _, rel := range out {
		if j.source[rel] != inputs.ClosedEntry {
			if err := os.Remove(filepath.Join(j.app(), rel)); err != nil {
				return fmt.Errorf("leave out the settings of another build: %w", err)
			}
		}
		if j.without == nil {
			j.without = map[string]string{}
		}
		j.without[rel] = short(j.source[rel])
		delete(j.source, rel)
	}
	if len(out) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(j.log, "settings of other builds are not in the release: %s\n", strings.Join(out, ", "))
	return err
}
