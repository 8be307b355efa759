package config

import (
	"os"
	"slices"
	"testing"
)

func TestMistakesInOnceOnAreFound(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{`"localhost"`, `"Localhost.localdomain"`, `"web 1"`, `"web-1:80"`, `"-web"`, `"web..example"`} {
		s.bad(one+"once_on = »"+name+"\n", "`hostname` prints it")
	}
	s.bad(one+"once_on = »[\"web-1\"]\n", "a text in quotes")
	s.bad(one+`process = [{ name = "a", command = ["x"], once = »"web-1" }]`+"\n", "true or false")
	for _, name := range []string{"", "web-1", "web-1.example.org", "WEB_1"} {
		s.good(one + "once_on = \"" + name + "\"\n")
	}
}

func TestWhatIsDoneOnceIsLeftToItsHost(t *testing.T) {
	t.Parallel()
	b := Build{
		Name: "one", OnceOn: "web-1",
		Processes: []Process{{Name: "worker"}, {Name: "beat", Once: true}},
		Schedules: []Schedule{{Name: "sessions", Once: true}, {Name: "tmp"}},
	}
	free := Build{Name: "two", Processes: []Process{{Name: "beat", Once: true}}}
	c := &Config{Builds: []Build{b, free}}
	for _, host := range []string{"web-1", "WEB-1", "web-1.example.org", "web-1.example.org."} {
		if got := c.On(host).Builds[0]; len(got.Processes) != 2 || len(got.Schedules) != 2 || got.Elsewhere.Host != "" {
			t.Errorf("on %s: %+v", host, got)
		}
	}
	for _, host := range []string{"web-2", "web-10", "web-1-a", ""} {
		on := c.On(host)
		got := on.Builds[0]
		if len(got.Processes) != 1 || got.Processes[0].Name != "worker" || len(got.Schedules) != 1 || got.Schedules[0].Name != "tmp" {
			t.Errorf("on %q runs %+v, %+v", host, got.Processes, got.Schedules)
		}
		if e := got.Elsewhere; e.Host != "web-1" || len(e.Processes) != 1 || e.Processes[0] != "beat" || len(e.Schedules) != 1 || e.Schedules[0] != "sessions" {
			t.Errorf("on %q leaves %+v", host, e)
		}
		if len(on.Builds[1].Processes) != 1 {
			t.Errorf("without once_on %q has no beat", host)
		}
		// It moves without a rebuild or a restart of what serves.
		change := Diff(c.On("web-1"), on).Changed
		if len(change) != 1 || change[0].Cost != CostLive || !slices.Equal(change[0].Keys, []string{"process", "schedule"}) {
			t.Errorf("a move to %q is %+v", host, change)
		}
	}
	if len(c.Builds[0].Schedules) != 2 || c.Builds[0].Elsewhere.Host != "" {
		t.Error("the configuration itself was changed")
	}
	full := c.Builds[0]
	full.OnceOn = "web-1.example.org"
	if full.Here("web-1.example.com") {
		t.Error("a host of another domain is taken for it")
	}
	if BuildKey(b) != BuildKey(free.withName("one")) || RunKey(b) != RunKey(free) {
		t.Error("once_on is part of what a release is made of")
	}
}

func (b Build) withName(name string) Build { b.Name = name; return b }

func TestTheNameOfThisHostIsTheSystemsUnlessTheEnvironmentSaysIt(t *testing.T) {
	t.Parallel()
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{"web-2": "web-2", "": own} {
		if got, err := HostName([]string{"A=b", HostEnv + "=" + said}); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", said, got, err, want)
		}
	}
	if got, err := HostName([]string{HostEnv + "=web 2"}); err == nil || got != "" {
		t.Errorf("a name that is none: %q, %v", got, err)
	}
}
