package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestATaskMeansTheReleasesInterpreter(t *testing.T) {
	t.Parallel()
	r := place().Release
	python, manage := r.Venv+"/bin/python", r.Dir+"/API/manage.py"
	for _, c := range []struct {
		once Once
		want []string
	}{
		{Once{Argv: []string{"python", "-V"}}, []string{python, "-V"}},
		{Once{Argv: []string{"manage.py", "shell"}}, []string{python, manage, "shell"}},
		{Once{Argv: []string{"./manage.py", "{app}"}}, []string{"./manage.py", "{app}"}},
		{Once{Argv: []string{"env", "python"}}, []string{"env", "python"}},
		{Once{Argv: []string{"{python}", "{app}/x.py", "{data}"}, Braces: true}, []string{python, r.Dir + "/API/x.py", "/opt/medctrl/one/data"}},
	} {
		l := PrepareTask(entry(), []string{"PATH=/bin"}, place(), config.Identity{UID: -1, GID: -1}, c.once)
		if !slices.Equal(l.Argv, c.want) || len(l.Files) > 0 || l.Server.SaysReady() {
			t.Errorf("%q: %q, %v", c.once.Argv, l.Argv, l.Files)
		}
	}
}

func TestATaskHasTheServersEnvironmentAndItsOwn(t *testing.T) {
	t.Parallel()
	owner := config.Identity{UID: 1000, GID: 33}
	for environ, path := range map[string]string{"PATH=/bin:/usr/bin": ":/bin:/usr/bin", "PATH=": "", "A=b": ""} {
		server := prepared(entry(), []string{environ}, place(), owner)
		l := PrepareTask(entry(), []string{environ}, place(), owner, Once{Argv: []string{"env"}, Env: []string{"TERM=xterm"}})
		for _, e := range server.Env {
			if !slices.Contains(l.Env, e) && !strings.HasPrefix(e, "PATH=") {
				t.Errorf("%q is missing", e)
			}
		}
		if want := "PATH=" + place().Release.Venv + "/bin" + path; !slices.Contains(l.Env, want) || !slices.Contains(l.Env, "TERM=xterm") {
			t.Errorf("%q, want %s", l.Env, want)
		}
		if l.User.UID != 1000 || l.Umask != server.Umask || l.Dir != server.Dir || l.NewPrivs != server.NewPrivs {
			t.Errorf("%+v", l)
		}
	}
}

func TestAnInstanceOfAProcessKnowsItsNumber(t *testing.T) {
	t.Parallel()
	of := config.Process{Name: "worker", Command: []string{"celery", "--hostname", "w{index}@%h"}}
	at := place()
	l := NewRecipe(Recipe{Entry: entry(), Environ: []string{"PATH=/bin"}, Release: &at.Release, Paths: at.Paths, Owner: config.Identity{UID: -1, GID: -1}, Process: &of}).Launch()
	for index, want := range []string{"w0@%h", "w1@%h"} {
		one := l.Numbered(index)
		name, number := ProcessOf(one.Env)
		if one.Argv[2] != want || name != "worker" || number != index {
			t.Errorf("instance %d is %q, %s %d", index, one.Argv, name, number)
		}
	}
}
