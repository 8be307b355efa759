package server

import (
	"path/filepath"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Once is a command that runs once, beside the server. It takes no clients.
type Once struct {
	Argv   []string
	Braces bool     // {python} and the like in Argv are filled in
	Env    []string // in addition to the build's
}

// PrepareTask returns how to run a command from a release as its server runs: with the same
// environment, user, limits and box, in the same folder. The programs of the release's environment come
// first in PATH.
func PrepareTask(b *config.Build, environ []string, p Place, owner config.Identity, o Once) *Launch {
	p = p.of(b, owner)
	return prepareTask(b, environ, p, owner, o, p.box(b, owner))
}

func prepareTask(b *config.Build, environ []string, p Place, owner config.Identity, o Once, box *build.Box) *Launch {
	l := prepare(b, environ, p, owner, box)
	l.Server, l.Files, l.Argv = Command{Entry: b}, nil, o.argv(p)
	l.Env = withPath(append(l.Env[:len(l.Env):len(l.Env)], o.Env...), filepath.Join(p.Release.Venv, "bin"))
	return l
}

// argv returns the command. manage.py is that of the release, whatever the working folder.
func (o Once) argv(p Place) []string {
	argv := append([]string(nil), o.Argv...)
	if o.Braces {
		argv = p.braces().Fill(argv...)
	}
	switch argv[0] {
	case "python":
		argv[0] = p.Release.Python()
	case "manage.py":
		argv = append([]string{p.Release.Python(), filepath.Join(p.App, "manage.py")}, argv[1:]...)
	}
	return argv
}

// withPath puts a folder before those of PATH.
func withPath(env []string, dir string) []string {
	all := make([]string, 0, len(env)+1)
	path := dir
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			if path = dir; value != "" {
				path += ":" + value
			}
			continue
		}
		all = append(all, entry)
	}
	return append(all, "PATH="+path)
}
