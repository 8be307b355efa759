package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// copiesFolder is where, in the folder of an attempt, local projects are copied to before they are
// installed, with requirements that name the copies. It does not outlive the install step.
const copiesFolder = ".install"

// installation is what the installer is handed.
type installation struct {
	requirements string // file
	args         []string
}

// prepareInstall returns what the installer is handed: the build's own requirements and arguments,
// unless they name local projects. Of those it gets copies: an environment leads back to no
// checkout, and nothing writes there.
func (j *job) prepareInstall(ctx context.Context) (*installation, error) {
	if len(j.reads.Projects) == 0 && !j.reads.Generated {
		return &installation{j.b.RequirementsFile(), j.b.PipArgs}, nil
	}
	dir := filepath.Join(j.temp, copiesFolder)
	if err := makeFolder(dir, 0o750, -1, j.as.GID); err != nil {
		return nil, err
	}
	in := j.reads.Rewritten(dir)
	for _, project := range j.reads.Projects {
		to := in.Copies[project]
		if err := makeFolder(filepath.Dir(to), 0o750, -1, j.as.GID); err != nil {
			return nil, err
		}
		copied, err := inputs.CopyProject(ctx, project, j.Root, j.b.Source, to, j.as)
		if err != nil {
			return nil, err
		}
		if copied.Sum() != j.reads.Sums[project] {
			return nil, errChanged
		}
		fmt.Fprintf(j.log, "%s is installed as a copy\n", project) // it is a remark
	}
	for _, f := range j.reads.Files {
		if f.Settings {
			continue
		}
		if err := j.mayBeHanded(f); err != nil {
			return nil, fmt.Errorf("read requirements: %w", err)
		}
		path := in.Files[f.Path]
		if err := os.WriteFile(path, []byte(in.Rewrite(f)), 0o640); err != nil {
			return nil, fmt.Errorf("write requirements: %w", err)
		}
		if j.as.GID >= 0 {
			if err := os.Chown(path, -1, j.as.GID); err != nil {
				return nil, fmt.Errorf("write requirements: %w", err)
			}
		}
	}
	return &installation{in.Files[j.b.RequirementsFile()], in.Arguments(j.b.PipArgs)}, nil
}

// mayBeHanded returns an error unless the build's user may read a file of requirements: the installer
// reads it itself where it is handed over as it is, and a copy that we make must show no more.
func (j *job) mayBeHanded(f inputs.TextFile) error {
	if !j.other() || f.Err != nil {
		return nil
	}
	raw, err := f.ReadAs(j.as, j.b.Source)
	if err == nil && !bytes.Equal(raw, f.Raw) {
		return errChanged
	}
	return err
}
