package server

import (
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

func TestServerRunsInItsWorkingDirAndFindsTheApplication(t *testing.T) {
	t.Parallel()
	p := Place{Release: build.Release{ID: "r", Dir: "/root/one/releases/r", Venv: "/venv"}, Paths: layout.Root("/root").Build("one")}
	for dir, want := range map[string]string{"": "/root/one/releases/r/API", "{app}": "/root/one/releases/r/API", "{data}": "/root/one/data", "/srv": "/srv"} {
		l := prepared(&config.Build{Name: "one", AppDir: "API", WorkingDir: dir}, []string{"PYTHONPATH=/own"}, p, config.Identity{UID: -1, GID: -1})
		path := "PYTHONPATH=/root/one/releases/r/API:/own"
		if dir == "" || dir == "{app}" {
			path = "PYTHONPATH=/own"
		}
		if l.Dir != want || !slices.Contains(l.Env, path) {
			t.Errorf("%s: in %s with %v", dir, l.Dir, l.Env)
		}
	}
}
