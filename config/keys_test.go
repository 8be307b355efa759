package config

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// allKeys returns the keys of a build, with those of its tables under their full names.
func allKeys() []key {
	all := slices.Clone(keys)
	for name, below := range subtables() {
		for _, k := range below {
			k.name = name + "." + k.name
			all = append(all, k)
		}
	}
	return all
}

func TestEveryKeySaysWhatAnEditCosts(t *testing.T) {
	t.Parallel()
	for _, k := range allKeys() {
		if k.cost < CostLive || k.cost > CostRebuild {
			t.Errorf("key %s has cost %d", k.name, k.cost)
		}
	}
	for name, below := range subtables() {
		for _, k := range below {
			want := CostLive
			switch {
			case name == "steps":
				want = CostRebuild
			case name == "sandbox", name == "limits" && (k.name == "nofile" || k.name == "core"):
				want = CostRestart
			}
			if k.cost != want {
				t.Errorf("key %s.%s costs a %v", name, k.name, k.cost)
			}
		}
	}
}

// A field without a key could not be set or compared by Diff; one with two would be set twice.
func TestEveryFieldOfABuildHasOneKey(t *testing.T) {
	t.Parallel()
	var b Build
	of := map[any]string{}
	for _, k := range allKeys() {
		at := k.field(&b)
		if other, ok := of[at]; ok {
			t.Errorf("keys %s and %s have one field", other, k.name)
		}
		of[at] = k.name
		if m, ok := at.(*migration); ok {
			of[m.on], of[m.databases] = k.name, k.name
		}
	}
	var fields func(v reflect.Value, prefix string)
	fields = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f, name := v.Field(i), prefix+v.Type().Field(i).Name
			if kind := f.Type(); kind == reflect.TypeFor[Health]() || kind == reflect.TypeFor[Hooks]() || kind == reflect.TypeFor[Steps]() || kind == reflect.TypeFor[Sandbox]() || kind == reflect.TypeFor[Limits]() {
				fields(f, name+".")
			} else if _, ok := of[f.Addr().Interface()]; !ok && name != "Name" && name != "Private" && name != "Elsewhere" && name != "Processes" && name != "Schedules" {
				t.Errorf("field %s has no key", name)
			}
		}
	}
	fields(reflect.ValueOf(&b).Elem(), "")
}

// changed puts another value into the field of a key.
func changed(t *testing.T, b *Build, k key) {
	t.Helper()
	switch f := k.field(b).(type) {
	case *string:
		*f += "x"
	case *bool:
		*f = !*f
	case *int:
		*f++
	case *time.Duration:
		*f++
	case *[]string:
		*f = append(slices.Clone(*f), "x")
	case *[][]string:
		*f = append(slices.Clone(*f), []string{"x"})
	case *migration:
		*f.on = !*f.on
	case *map[string]string:
		*f = map[string]string{"A": "x"}
	case *os.FileMode:
		*f ^= 1
	case *Restart:
		*f += "x"
	case *Expect:
		f.Min++
	case *Ports:
		f.Limited = !f.Limited
	case *Size:
		*f++
	case *CoreSize:
		*f++
	case *Cores:
		*f++
	case *Count:
		*f++
	default:
		t.Fatalf("key %s has a field of a type that this test does not know", k.name)
	}
}

func TestAKeyChangesTheHashOfItsCostAlone(t *testing.T) {
	t.Parallel()
	before := defaultBuild()
	before.Limits = Limits{Memory: 1, CPU: 1, Tasks: 1}
	for _, k := range allKeys() {
		then := before
		changed(t, &then, k)
		rebuild, restart := BuildKey(then) != BuildKey(before), RunKey(then) != RunKey(before)
		if rebuild != (k.cost == CostRebuild) || restart != (k.cost == CostRestart) {
			t.Errorf("a change of %s (%v) changes BuildKey: %v, RunKey: %v", k.name, k.cost, rebuild, restart)
		}
	}
	named := before
	named.Name = "other"
	if BuildKey(named) != BuildKey(before) || RunKey(named) != RunKey(before) {
		t.Error("the name changes a hash")
	}
}

// The hashes are part of a release's identity: if they changed with the program's version, it would
// build everything again. A new key changes them.
func TestHashesStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	b := defaultBuild()
	if got, want := BuildKey(b)[:16], "b2c1abb6fe995785"; got != want {
		t.Errorf("BuildKey of the defaults is %s…, was %s…", got, want)
	}
	if got, want := RunKey(b)[:16], "9abe631868a3f77c"; got != want {
		t.Errorf("RunKey of the defaults is %s…, was %s…", got, want)
	}
}

func TestWhatIsLeftOutIsLikeWhatIsEmpty(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := s.good(one)
	said := s.good(one + "pip_args = []\ncommand = []\ngunicorn_args = []\nenv = {}\nenv_file = \"\"\nworkers = 2\nuser = \"\"\n[build.health]\n")
	if p := Diff(plain, said); !p.Empty() {
		t.Errorf("empty keys differ from omitted ones: %v", p)
	}
	if BuildKey(plain.Builds[0]) != BuildKey(said.Builds[0]) || RunKey(plain.Builds[0]) != RunKey(said.Builds[0]) {
		t.Error("its hashes differ")
	}
}

func TestDiffNamesEachKeyWithItsCost(t *testing.T) {
	t.Parallel()
	for _, k := range allKeys() {
		one := Build{Name: "one", Limits: Limits{Memory: 1, CPU: 1, Tasks: 1}}
		before, then := &Config{Builds: []Build{one}}, &Config{Builds: []Build{one}}
		changed(t, &then.Builds[0], k)
		p := Diff(before, then)
		if len(p.Changed) != 1 || p.Changed[0].Cost != k.cost || !slices.Equal(p.Changed[0].Keys, []string{k.name}) {
			t.Errorf("a change of %s is %+v", k.name, p)
		}
		if got, want := p.String(), fmt.Sprintf("one: %v: %s\n", k.cost, k.name); got != want {
			t.Errorf("a change of %s reads %q, want %q", k.name, got, want)
		}
	}
}

func TestDearestKeyDecidesWhatAChangeCosts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.good(one)
	for text, want := range map[string]string{
		"":                                      "",
		"location = '/a'\nhealth.path = '/b'\n": "one: live: location, health.path\n",
		"location = '/a'\nworkers = 3\n":        "one: restart: location, workers\n",
		"workers = 3\npip_args = ['-q']\n":      "one: rebuild: pip_args, workers\n",
		"workers = 2\n# a comment\nmigrate = true\n": "",
	} {
		if got := Diff(before, s.good(one+text)).String(); got != want {
			t.Errorf("%q changes %q, want %q", text, got, want)
		}
	}
}

func TestDiffOfBuildsThatComeAndGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.good(one + "[[build]]\nname = 'two'\n")
	then := s.good(strings.Replace(head, "run", "run2", 1) +
		"[[build]]\nname = 'three'\n[[build]]\nname = 'two'\nthreads = 2\n[supervisor]\nfront = '127.0.0.1:1'\nlog_level = 'warn'\n")
	want := "three: new, is built and started\none: removed, drains and stops\ntwo: restart: threads\nsupervisor: root, log_level, log_dir, front\n"
	p := Diff(before, then)
	if p.String() != want || p.Empty() {
		t.Errorf("plan is\n%swant\n%s", p, want)
	}
	moved := s.good(head + "[[build]]\nname = 'two'\n[[build]]\nname = 'one'\n")
	if p := Diff(before, moved); !p.Empty() || p.String() != "" {
		t.Errorf("another order of the same builds is a change: %v", p)
	}
}

func TestEveryFieldOfTheSupervisorIsSeenByDiff(t *testing.T) {
	t.Parallel()
	fields := reflect.TypeFor[Supervisor]().NumField()
	if fields+2 != len(supervisorKeys) { // include and front_proxies have no fields there
		t.Fatalf("%d fields and %d keys", fields, len(supervisorKeys))
	}
	seen := Diff(&Config{}, &Config{Include: []string{"/x"}, FrontProxies: make([]netip.Prefix, 1)}).Supervisor
	for i := range fields {
		before, then := &Config{}, &Config{}
		f := reflect.ValueOf(&then.Supervisor).Elem().Field(i)
		if f.Kind() == reflect.Int {
			f.SetInt(1)
		} else {
			f.SetString("x")
		}
		seen = append(seen, Diff(before, then).Supervisor...)
	}
	if !slices.Equal(slices.Sorted(slices.Values(seen)), slices.Sorted(slices.Values(supervisorKeys))) {
		t.Errorf("changes of all fields are %v", seen)
	}
}

func TestNearMissesAreSuggested(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"worker": "workers", "wrokers": "workers", "WORKERS": "workers", "gunicorn_arg": "gunicorn_args", "enviroment": "", "evn": "env",
		"migrates": "migrate", "x": "", "": "", "user_": "user", "usr": "user", "requirement": "requirements", "colectstatic": "collectstatic",
		strings.Repeat("w", 10000): "",
	} {
		got := Near(name, buildKeys())
		if want != "" {
			want = fmt.Sprintf("; did you mean %q?", want)
		}
		if got != want {
			t.Errorf("%.20s is near %q, want %q", name, got, want)
		}
	}
}

func TestEditsCountsLettersToChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "xbc", 1}, {"abcd", "badc", 2}, {"kitten", "sitting", 3}} {
		if got := edits(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q are %d edits, want %d", c.a, c.b, got, c.want)
		}
	}
}
