package server

import (
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

func TestServerOfTheEntryIsGunicornUnlessACommandIsGiven(t *testing.T) {
	if s := Of(entry()); !s.SaysReady() {
		t.Errorf("%T does not say that it is ready", s)
	}
	b := entry()
	b.Command = []string{"{python}", "-m", "serve", "--in={app}", "{venv}", "{release}", "{data}/cache", "{other}"}
	s := Of(b)
	if s.SaysReady() || s.TakesTwo() {
		t.Errorf("%T is waited for, and cannot say that it is ready", s)
	}
	argv, files := s.Argv(place())
	r := place().Release
	want := []string{r.Venv + "/bin/python", "-m", "serve", "--in=" + r.Dir + "/API", r.Venv, r.Dir, "/opt/medctrl/one/data/cache", "{other}"}
	if !slices.Equal(argv, want) || len(files) != 0 {
		t.Errorf("argv %q, want %q; files %v", argv, want, files)
	}
	b.Command = append(b.Command, "fd://{private}")
	if argv, _ := s.Argv(place()); argv[len(argv)-1] != "fd://4" || !s.TakesTwo() {
		t.Errorf("%q: it takes two listeners: %v", argv, s.TakesTwo())
	}
	gunicorn := entry()
	gunicorn.Command = []string{"{python}", "-m", "gunicorn", "x:y"}
	if s.FinishesAtTerm() || !Of(gunicorn).FinishesAtTerm() || !Of(gunicorn).TakesTwo() {
		t.Error("gunicorn by command, and no other, is known to finish its requests; it takes two listeners")
	}
	if words := s.LastWords([]string{"", "it broke"}); !slices.Equal(words, []string{"it broke"}) {
		t.Errorf("last words %q", words)
	}
}

func TestLaunchIsAllThatAStartNeeds(t *testing.T) {
	b, p := entry(), place()
	p.App, p.GID = "", -1 // Prepare's to fill in
	owner := config.Identity{UID: 1000, GID: 33, Home: "/home/one"}
	l := prepared(b, []string{"HOME=/root", "PATH=/bin", "SECRET=x=y"}, p, owner)
	if l.Dir != p.Release.Dir+"/API" || l.User.UID != 1000 || l.Umask != 0o027 || len(l.Files) != 1 || l.Files[0].GID != 33 || len(l.Argv) != 6 {
		t.Errorf("%+v", l)
	}
	for _, want := range []string{
		"HOME=/home/one", "PATH=/bin", "SECRET=x=y", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1",
		"DJANGO_SETTINGS_MODULE=api_settings.settings.deploy_one", "SPT_NOENV=1", "VIRTUAL_ENV=" + p.Release.Venv,
		"MEDCTRL_BUILD=one", "MEDCTRL_DATA=/opt/medctrl/one/data",
	} {
		if !slices.Contains(l.Env, want) {
			t.Errorf("environment without %s: %q", want, l.Env)
		}
	}
	release, runKey, ok := VersionOf(l.Env)
	if !ok || release != p.Release.ID || runKey != p.RunKey {
		t.Errorf("it says that it runs %q under %q: %v", release, runKey, ok)
	}
}

func TestHomeThatTheEntryNamesIsKept(t *testing.T) {
	b := entry()
	b.Env = map[string]string{"HOME": "/srv"}
	environ := []string{"HOME=/srv"}
	l := prepared(b, environ, place(), config.Identity{UID: -1, GID: -1, Home: "/home/one"})
	if !slices.Contains(l.Env, "HOME=/srv") || slices.Contains(l.Env, "HOME=/home/one") {
		t.Errorf("environment %q", l.Env)
	}
	if !slices.Equal(environ, []string{"HOME=/srv"}) {
		t.Errorf("the caller's environment was changed: %q", environ)
	}
}

func TestVersionIsKnownOnlyWhereBothAreSaid(t *testing.T) {
	for _, environ := range [][]string{nil, {"MEDCTRL_RELEASE=r"}, {"MEDCTRL_RUN_KEY=k"}, {"MEDCTRL_RELEASE=", "MEDCTRL_RUN_KEY=k"}} {
		if release, runKey, ok := VersionOf(environ); ok {
			t.Errorf("%q: %q under %q", environ, release, runKey)
		}
	}
}
