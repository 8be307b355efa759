package config

import (
	"slices"
	"strings"
	"testing"
)

// plainly hides the values of variables with SECRET in their names, and the word hunter2.
var plainly = Hider{
	Text:   func(text string) string { return strings.ReplaceAll(text, "hunter2", "****") },
	Secret: func(name, _ string) bool { return strings.Contains(name, "SECRET") },
}

func TestPlanShowsEachValueBeforeAndThen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, c := range []struct{ before, then, want string }{
		{"workers = 1", "workers = 2", "one: workers 1 → 2: restart"},
		{"timeout = '1m'", "timeout = '1h'", `one: timeout "1m" → "1h": restart`},
		{"", "pip_args = ['-q', '--pre']", `one: pip_args [] → ["-q", "--pre"]: rebuild`},
		{"pip_args = ['--token', 'hunter2']", "", `one: pip_args [--token ****] → []: rebuild`},
		{"umask = '0027'", "umask = '0022'", `one: umask "0027" → "0022": rebuild`},
		{"migrate = true", "migrate = ['default', 'reports']", `one: migrate true → ["default", "reports"]: rebuild`},
		{"health.expect = '<500'", "health.expect = '200'", `one: health.expect "100-499" → "200-200": live`},
		{"location = '/a'\nworkers = 2", "location = '/b'\nworkers = 3", `one: location "/a" → "/b": live|one: workers 2 → 3: restart`},
		{"env = {DEBUG = '0', SECRET = 'hunter2', GONE = 'x'}", "env = {DEBUG = '1', SECRET = 'hunter3', NEW_SECRET = 'y', NEW = 'hunter2'}",
			`one: env.DEBUG "0" → "1": restart|one: env.GONE "x" → none: restart|one: env.NEW none → "****": restart|one: env.NEW_SECRET added: restart|one: env.SECRET changed: restart`},
		{"env = {A = 'hunter2'}", "env = {A = '****'}", "one: env.A changed: restart"},
		{"", "limits.memory = '1G'", "one: limits.memory none → 1G: restart"},
		{"limits.memory = '1G'", "limits.memory = '2G'", "one: limits.memory 1G → 2G: live"},
		{"", "sandbox.connect = [3306, 6379]", "one: sandbox.connect all → [3306, 6379]: restart"},
		{"", "steps.before_migrate = [['a', 'b']]", `one: steps.before_migrate [] → [["a", "b"]]: rebuild`},
		{"", "[supervisor]\nlog_level = 'debug'\nfront = '127.0.0.1:1'", `supervisor: log_level "info" → "debug"|supervisor: front none → "127.0.0.1:1"`},
		{"", "[supervisor]\nlog_format = 'json'", `supervisor: log_format "text" → "json" (from the next start or upgrade on)`},
	} {
		got := Diff(s.good(one+c.before+"\n"), s.good(one+c.then+"\n")).Lines(plainly)
		if strings.Join(got, "|") != c.want {
			t.Errorf("from %q to %q:\n%s\nwant\n%s", c.before, c.then, strings.Join(got, "|"), c.want)
		}
	}
	two := s.good(one + "[[build]]\nname = 'two'\n")
	if got := Diff(s.good(one), two).Lines(plainly); !slices.Equal(got, []string{"two: new, is built and started"}) {
		t.Errorf("a new build: %q", got)
	}
	if got := Diff(two, s.good(one)).Lines(plainly); !slices.Equal(got, []string{"two: removed, drains and stops"}) {
		t.Errorf("a build that was removed: %q", got)
	}
}

func TestLongValuesAreCutShort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	long := strings.Repeat("x", 200)
	got := Diff(s.good(one), s.good(one+"pip_args = ['"+long+"']\n")).Lines(plainly)
	if len(got) != 1 || len([]rune(got[0])) > 2*mostShown || !strings.Contains(got[0], "…") {
		t.Errorf("%q", got)
	}
	got = Diff(s.good(one+"pip_args = ['"+long+"1']\n"), s.good(one+"pip_args = ['"+long+"2']\n")).Lines(plainly)
	if !slices.Equal(got, []string{"one: pip_args changed: rebuild"}) {
		t.Errorf("where the difference is not shown: %q", got)
	}
}

// What a release records of its keys: those that go into it, with their values.
func TestBuildValuesAreThoseOfTheKeysOfARelease(t *testing.T) {
	t.Parallel()
	values := BuildValues(newSite(t).good(one + "pip_args = ['-q']\nworkers = 3\n").Builds[0], plainly)
	if values["pip_args"] != `["-q"]` || values["steps.after_migrate"] != "[]" {
		t.Errorf("%v", values)
	}
	for _, k := range allKeys() {
		if _, ok := values[k.name]; ok != (k.cost == CostRebuild) {
			t.Errorf("%s, which costs a %v, is among them: %v", k.name, k.cost, ok)
		}
	}
	if standard := DefaultBuildValues(plainly); len(standard) != len(values) || standard["pip_args"] != "[]" {
		t.Errorf("the defaults: %v", standard)
	}
}
