package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestMigrateIsABoolOrAListOfDatabases(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := s.good(one)
	for text, want := range map[string]Build{
		"true": {Migrate: true}, "false": {}, `["default"]`: {Migrate: true, Databases: []string{"default"}},
		`["default", "reports"]`: {Migrate: true, Databases: []string{"default", "reports"}},
	} {
		b := s.good(one + "migrate = " + text + "\n").Builds[0]
		if b.Migrate != want.Migrate || !reflect.DeepEqual(b.Databases, want.Databases) {
			t.Errorf("%s: %v %v", text, b.Migrate, b.Databases)
		}
		if same := BuildKey(b) == BuildKey(plain.Builds[0]); same != (text == "true") {
			t.Errorf("%s: has the identity of the default: %v", text, same)
		}
	}
	for _, text := range []string{"»[]", `»[""]`, `»["a", "a"]`, `»["--fake"]`, `»"default"`, `[»true]`, "»1", `»["a\u0001"]`} {
		s.bad(one+"migrate = "+text+"\n", "migrate")
	}
}

func TestStepsAreListsOfCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for text, want := range map[string]string{
		`»["python", "x"]`:          "lists of a program and its arguments",
		`»"python"`:                 "lists of a program",
		`»[[]]`:                     "lists of a program",
		`»[["a", 1]]`:               "lists of a program",
		`[["a"], [»"", "b"]]`:       `after_migrate[1][0]`,
		`[["a"], ["b", »"{app1}"]]`: `after_migrate[1][1]`,
	} {
		s.bad(one+"[build.steps]\nafter_migrate = "+text+"\n", want)
	}
	if p := Diff(s.good(one), s.good(one+"[build.steps]\nafter_migrate = []\n")); !p.Empty() {
		t.Errorf("an empty list differs from none: %v", p)
	}
	p := Diff(s.good(one), s.good(one+"[build.steps]\nafter_migrate = [[\"a\"]]\n"))
	if !strings.Contains(p.String(), "rebuild: steps.after_migrate") {
		t.Error(p)
	}
}

func TestWorkingDirIsAnAbsolutePath(t *testing.T) {
	t.Parallel()
	b := Braces{Python: "/p", Venv: "/v", Release: "/r", App: "/r/API", Data: "/d"}
	for text, want := range map[string]string{"": "/r/API", "{app}": "/r/API", "{data}/x": "/d/x", "{release}": "/r", "/srv/x": "/srv/x", "/": "/"} {
		if text != "" && workingDir(text) != "" {
			t.Errorf("%s is refused", text)
		}
		if got := b.Dir(text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "x", "./x", "{data}/../x", "{data}/", "/a//b", "{venv}", "{python}", "{data}{app}", "{data}/{app}", "{data}x", "{dta}"} {
		if workingDir(text) == "" {
			t.Errorf("%q is accepted", text)
		}
	}
}

// Hooks had no braces once: what is the shell's, or JSON's, stays as it is.
func TestHooksKeepBracesThatAreNotOurs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.good(one + "[build.hooks]\non_failure = [\"sh\", \"-c\", \"echo ${date} '{text}' {python}\"]\n")
	want := "echo ${date} '{text}' /p"
	if got := (Braces{Python: "/p"}).Fill(c.Builds[0].Hooks.OnFailure...)[2]; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
