package config

import (
	"slices"
	"testing"
)

func TestSizesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for text, want := range map[string]struct {
		size  Size
		shown string
	}{
		`"512M"`: {512 << 20, "512M"}, `"512m"`: {512 << 20, "512M"}, `"512MB"`: {512 << 20, "512M"}, `"512 MiB"`: {512 << 20, "512M"},
		`"1.5G"`: {1536 << 20, "1536M"}, `"2T"`: {2 << 40, "2T"}, `8388608`: {8 << 20, "8M"}, `"8388609"`: {8<<20 + 1, "8388609"}, `"none"`: {0, "0"},
	} {
		got := s.good(one + "limits.memory = " + text + "\n").Builds[0].Limits.Memory
		if got != want.size || got.String() != want.shown {
			t.Errorf("memory = %s is %d, shown as %s; want %d, %s", text, got, got, want.size, want.shown)
		}
	}
}

func TestBuildTakesBackALimitOfTheDefaults(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	all := "[defaults.limits]\nmemory = \"1G\"\ncpu = 2\ntasks = 50\nnofile = 1024\ncore = \"1M\"\n"
	c := s.good(head + all + "[[build]]\nname = \"one\"\n[build.limits]\nmemory = \"none\"\ncpu = \"none\"\ntasks = \"none\"\nnofile = \"none\"\ncore = 0\n" +
		"[[build]]\nname = \"two\"\nlimits.cpu = 1\n")
	if got := c.Builds[0].Limits; got != (Limits{}) {
		t.Errorf("limits are %+v, want none", got)
	}
	if got := c.Builds[1].Limits; got != (Limits{Memory: 1 << 30, CPU: 1, Tasks: 50, Nofile: 1024, Core: 1 << 20}) {
		t.Errorf("limits are %+v", got)
	}
}

// What has been used before there was a limit is not counted by it, so the first one needs another
// start; every later value does not.
func TestLimitAppliesLiveUnlessItIsNew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, change := range []struct{ before, then, want string }{
		{`memory = "1G"`, `memory = "2G"`, "one: live: limits.memory\n"},
		{`cpu = 1.5`, `cpu = 2`, "one: live: limits.cpu\n"},
		{`tasks = 100`, `tasks = 50`, "one: live: limits.tasks\n"},
		{``, `memory = "1G"`, "one: restart: limits.memory\n"},
		{`memory = "1G"`, `tasks = 50`, "one: restart: limits.memory, limits.tasks\n"},
		{`tasks = 50`, ``, "one: restart: limits.tasks\n"},
		{`nofile = 64`, `nofile = 65`, "one: restart: limits.nofile\n"},
		{``, `core = "1G"`, "one: restart: limits.core\n"},
		{``, `core = 0`, ""},
	} {
		before, then := s.good(one+"[build.limits]\n"+change.before+"\n"), s.good(one+"[build.limits]\n"+change.then+"\n")
		if got := Diff(before, then).String(); got != change.want {
			t.Errorf("from %q to %q: %q, want %q", change.before, change.then, got, change.want)
		}
		restarts := RunKey(before.Builds[0]) != RunKey(then.Builds[0])
		if cost := Diff(before, then).Changed; len(cost) > 0 && restarts != (cost[0].Cost == CostRestart) {
			t.Errorf("from %q to %q: the run settings are others: %v", change.before, change.then, restarts)
		}
	}
	l := Limits{Tasks: 1, Memory: 1, Nofile: 1, Core: 1}
	if got := l.Groups(); !slices.Equal(got, []string{"memory", "tasks"}) {
		t.Errorf("limits that need a cgroup: %q", got)
	}
}
