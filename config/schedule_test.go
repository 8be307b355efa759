package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const nightly = `[[build.schedule]]
name = "sessions"
command = ["manage.py", "clearsessions"]
cron = "30 2 * * *"
`

func TestSchedulesAreRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.good(head + `[[defaults.schedule]]
name = "common"
command = ["manage.py", "x"]
every = "15m"
[[build]]
name = "one"
` + nightly + `timezone = "Europe/Amsterdam"
timeout = "10m"
catch_up = true
overlap = true
spread = "5m"
once = false
[[build.schedule]]
name = "mail-queue"
command = ["{python}", "-m", "x", "{data}"]
every = "90s"
[[build]]
name = "two"
[[build]]
name = "three"
schedule = [{ name = "inline", command = ["x"], cron = "@daily" }]
`)
	want := [][]Schedule{
		{
			{Name: "sessions", Command: []string{"manage.py", "clearsessions"}, Cron: "30 2 * * *", Timezone: "Europe/Amsterdam", Timeout: 10 * time.Minute, CatchUp: true, Overlap: true, Spread: 5 * time.Minute},
			{Name: "mail-queue", Command: []string{"{python}", "-m", "x", "{data}"}, Every: 90 * time.Second, Timeout: time.Hour, Once: true},
		},
		{{Name: "common", Command: []string{"manage.py", "x"}, Every: 15 * time.Minute, Timeout: time.Hour, Once: true}},
		{{Name: "inline", Command: []string{"x"}, Cron: "@daily", Timeout: time.Hour, Once: true}},
	}
	for i, b := range c.Builds {
		if !reflect.DeepEqual(b.Schedules, want[i]) {
			t.Errorf("build %s has the schedules\n%+v, want\n%+v", b.Name, b.Schedules, want[i])
		}
	}
}

func TestMistakesInSchedulesAreReportedAtTheirPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for lines, words := range map[string][]string{
		`»[[build.schedule]]`: {"name is missing", "command is missing", "cron or every is missing"},
		`[[build.schedule]]
name = »"Sessions"
command = [»"", »"{pyton}"]
every = »"10ms"
timeout = »3
spread = »"25h"
catch_up = »"yes"
timezone = »"Europe/Amsterdm"
»catchup = true
»comand = "x"`: {"small letters", `command[0] = "": want a program`, `did you mean "{python}"`, "from 1s to 8784h", "want a time", "from 0s to 24h", "true or false", `did you mean "Europe/Amsterdam"`, `did you mean "catch_up"`, `did you mean "command"`},
		`[[build.schedule]]
name = "x"
command = »[]
cron = "30 »24 * * *"`: {"a program and its arguments", `cron = "30 24 * * *": want hour 0 to 23`},
		`[[build.schedule]]
name = "x"
command = [»3]
cron = '»30 2 * *'`: {"command[0] = 3", "there are 4"},
		`[[build.schedule]]
name = "x"
command = ["x", »"{pyton}"]
cron = "@daily"
»every = "1h"`: {`did you mean "{python}"`, "one of the two"},
		`[[build.schedule]]
name = "x"
command = ["x"]
every = "1h"
»timezone = "UTC"`: {"nothing to do with clocks"},
		`[[build.schedule]]
name = "x"
command = ["x"]
every = "1h"
spread = »"61m"`: {"not longer than every, 1h0m0s"},
		`[[build.schedule]]
name = "x"
command = ["x"]
cron = "@hourly"
timezone = »"Local"`: {"without the key it is the system's"},
		`[[build.schedule]]
name = "x"
command = ["x"]
cron = "@hourly"
timezone = »"CET+1"`: {"the name of a time zone"},
		`[[build.schedule]]
name = "x"
command = ["x"]
cron = »3`: {"a text in quotes"},
		nightly + strings.Replace(nightly, `"sessions"`, `»"sessions"`, 1): {"the schedule in line 8 has it already"},
		"»[build.schedule]\nname = \"x\"":                                  {"write [[build.schedule]]"},
		"schedule = »3":                                                    {"[[build.schedule]]"},
		"schedule = [»3]":                                                  {"[[build.schedule]]"},
		"»schedules = []":                                                  {`did you mean "schedule"`},
		"»[[build.shedule]]\nname = \"x\"":                                 {`did you mean "schedule"`},
		"»every = \"1h\"":                                                  {"every belongs to [[build.schedule]]"},
	} {
		if strings.HasPrefix(lines, "»[[build.schedule]]") { // three at one place
			lines = "»»" + lines
		}
		s.bad(one+lines+"\n", inOrder(lines, words)...)
	}
	var many strings.Builder
	for i := range mostSchedules + 1 {
		mark := ""
		if i == mostSchedules {
			mark = "»"
		}
		fmt.Fprintf(&many, "%s[[build.schedule]]\nname = \"s%d\"\ncommand = [\"x\"]\nevery = \"1h\"\n", mark, i)
	}
	s.bad(one+many.String(), "more than 100 schedules")
}

// inOrder sorts what is said of one place, as Errors do.
func inOrder(lines string, words []string) []string {
	if strings.HasPrefix(lines, "»»»") {
		return slices.Sorted(slices.Values(words))
	}
	return words
}

func TestSchedulesCostNothingThatRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	without, with := s.good(one), s.good(one+nightly)
	p := Diff(without, with)
	if p.String() != "one: live: schedule\n" {
		t.Errorf("plan is %v", p)
	}
	if a, b := without.Builds[0], with.Builds[0]; BuildKey(a) != BuildKey(b) || RunKey(a) != RunKey(b) {
		t.Error("a schedule changes a hash")
	}
	if p := Diff(with, s.good(one+nightly+"overlap = false\ntimeout = '60m'\n")); !p.Empty() {
		t.Errorf("defaults written out are a change: %v", p)
	}
	if p := Diff(without, s.good(one+"schedule = []\n")); !p.Empty() {
		t.Errorf("no schedules are a change: %v", p)
	}
}

func TestEveryFieldOfAScheduleHasAKey(t *testing.T) {
	t.Parallel()
	var s Schedule
	of := map[any]string{}
	for _, k := range scheduleTable {
		of[k.field(&s)] = k.name
	}
	v := reflect.ValueOf(&s).Elem()
	for i := range v.NumField() {
		if _, ok := of[v.Field(i).Addr().Interface()]; !ok {
			t.Errorf("field %s has no key", v.Type().Field(i).Name)
		}
	}
}

func TestDocumentationHasEveryKeyOfASchedule(t *testing.T) {
	t.Parallel()
	standard, seen := defaultSchedule(), []string{}
	special := map[string]string{"name": "required", "command": "required", "cron": "one of the two", "every": "one of the two", "timezone": "the system's", "spread": "none", "timeout": `"1h"`}
	each(t, tables(t)["[[build.schedule]]"], func(name, documented, _ string) {
		seen = append(seen, name)
		i := slices.IndexFunc(scheduleTable, func(k ownKey[Schedule]) bool { return k.name == name })
		if i < 0 {
			t.Errorf("key %s is documented and unknown", name)
			return
		}
		want := special[name]
		if want == "" {
			want = written(scheduleTable[i].field(&standard))
		}
		if documented != want {
			t.Errorf("the default of %s is documented as %s, is %s", name, documented, want)
		}
	})
	if !slices.Equal(slices.Sorted(slices.Values(seen)), slices.Sorted(slices.Values(ownNames(scheduleTable)))) {
		t.Errorf("documented are %v, there are %v", seen, ownNames(scheduleTable))
	}
	if standard.Timeout != time.Hour {
		t.Errorf("the default timeout is %v", standard.Timeout)
	}
}

// A thousand builds with the same schedule are spread evenly, and always in the same way.
func TestSpreadIsEvenAndStays(t *testing.T) {
	t.Parallel()
	s := Schedule{Name: "sessions", Spread: 10 * time.Minute}
	var slots [10]int
	for i := range 1000 {
		d := s.Delay(fmt.Sprintf("build%d", i))
		if d < 0 || d >= s.Spread {
			t.Fatalf("delay is %v", d)
		}
		slots[d/time.Minute]++
	}
	for i, n := range slots {
		if math.Abs(float64(n-100)) > 45 {
			t.Errorf("in minute %d are %d of 1000: %v", i, n, slots)
		}
	}
	if got := s.Delay("one"); got != 571209*time.Millisecond { // it stays in all versions
		t.Errorf("delay is %v", got)
	}
	if s.Spread = 0; s.Delay("one") != 0 {
		t.Error("without spread there is a delay")
	}
}

func TestTimezoneOfAnAppliedFileMayBeGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	text := []byte(one + nightly + "timezone = \"Gone/Away\"\n")
	c, err := LoadText(s.path("builds.toml"), text)
	if err != nil || len(c.Builds[0].Schedules) != 1 {
		t.Errorf("%v", err)
	}
}
