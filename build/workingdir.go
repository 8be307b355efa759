package build

import (
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
)

// braces are what is filled in in the build's commands while its release is made.
func (j *job) braces() config.Braces {
	return config.Braces{Python: j.venvPython(), Venv: j.venv, Release: j.temp, App: j.app(), Data: j.dir.Data()}
}

// workingDir is where manage.py and the commands of [build.steps] run.
func (j *job) workingDir() string { return j.braces().Dir(j.b.WorkingDir) }

// WithApp returns env with which Python finds the application at app when it runs in dir: by
// PYTHONPATH, where that is not the application itself.
func WithApp(env []string, app, dir string) []string {
	if filepath.Clean(dir) == filepath.Clean(app) {
		return env
	}
	const key = "PYTHONPATH="
	path := app
	var all []string
	for _, entry := range env {
		if own, ok := strings.CutPrefix(entry, key); !ok {
			all = append(all, entry)
		} else if own != "" {
			path = app + string(filepath.ListSeparator) + own
		}
	}
	return append(all, key+path)
}
