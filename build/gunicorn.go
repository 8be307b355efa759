package build

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// noGunicorn is the error of a build in whose environment nothing could serve.
func noGunicorn(b config.Build) error {
	hint := ""
	if b.SystemSitePackages {
		hint = ", or apt install python3-gunicorn"
	}
	return errors.New("gunicorn is not in " + cmp.Or(b.Requirements, filepath.Base(b.RequirementsFile())) + " (" + b.RequirementsFile() +
		"): add a line «gunicorn»" + hint + ", or set command to another server")
}

// gunicornMissing returns an error where the requirements do not list the gunicorn that the build
// needs. It is sure only where nothing shows that another package brings gunicorn along: no release
// of the build has it. installed are the packages that the interpreter itself has.
func (j *job) gunicornMissing(installed []string) (missing error, sure bool) {
	if len(j.b.Command) > 0 || j.b.SystemSitePackages && slices.ContainsFunc(installed, inputs.IsGunicorn) {
		return nil, false
	}
	if j.reads.MayHaveGunicorn() {
		return nil, false
	}
	return noGunicorn(j.b), !slices.ContainsFunc(j.all, func(r Release) bool { return hasGunicorn(r.Venv) })
}
