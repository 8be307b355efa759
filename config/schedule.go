package config

import (
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a time zone database: their builds have schedules too

	"github.com/medctrl/medctrl-supervisor/config/cron"
)

// Schedule is a table [[build.schedule]]: a command and its times.
type Schedule struct {
	Name     string
	Command  []string // with braces
	Cron     string   // "" where Every says when
	Every    time.Duration
	Timezone string // "" for the system's
	Timeout  time.Duration
	CatchUp  bool
	Overlap  bool
	Spread   time.Duration
	Once     bool // on the host of once_on alone
}

// Location is the time zone that Cron is about.
func (s Schedule) Location() (*time.Location, error) {
	if s.Timezone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(s.Timezone)
}

// Delay is by how much the runs of a build's schedule are later than their times: always the same
// within Spread, and another one for each build and schedule.
func (s Schedule) Delay(build string) time.Duration {
	if s.Spread <= 0 {
		return 0
	}
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s/%s", build, s.Name)
	// The last bits of the sum vary with the last letter alone: mix them (MurmurHash3's finaliser).
	x := sum.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return time.Duration(x % uint64(s.Spread)).Truncate(time.Millisecond)
}

// Times says what the times of a schedule depend on. Where it differs from what it was, nothing was
// missed at the new times.
func (s Schedule) Times() string {
	if s.Every > 0 {
		return "every " + s.Every.String()
	}
	return "cron " + strings.Join(strings.Fields(s.Cron), " ") + " " + s.Timezone
}

// scheduleKey is the name of the tables of schedules in a build.
const scheduleKey = "schedule"

// The bounds of [[build.schedule]].
const (
	leastEvery    = time.Second
	longestEvery  = 366 * 24 * time.Hour
	longestRun    = 7 * 24 * time.Hour
	longestSpread = 24 * time.Hour
	mostSchedules = 100
)

var scheduleTable = []ownKey[Schedule]{
	{"name", func(s *Schedule) any { return &s.Name }, scheduleName, nil},
	{"command", func(s *Schedule) any { return &s.Command }, someCommand, command},
	{"cron", func(s *Schedule) any { return &s.Cron }, notEmpty, nil},
	{"every", func(s *Schedule) any { return &s.Every }, between(leastEvery, longestEvery), nil},
	{"timezone", func(s *Schedule) any { return &s.Timezone }, nil, nil},
	{"timeout", func(s *Schedule) any { return &s.Timeout }, between(time.Second, longestRun), nil},
	{"catch_up", func(s *Schedule) any { return &s.CatchUp }, nil, nil},
	{"overlap", func(s *Schedule) any { return &s.Overlap }, nil, nil},
	{"spread", func(s *Schedule) any { return &s.Spread }, between(0, longestSpread), nil},
	{"once", func(s *Schedule) any { return &s.Once }, nil, nil},
}

// defaultSchedule is a schedule with no keys set.
func defaultSchedule() Schedule { return Schedule{Timeout: time.Hour, Once: true} }

var scheduleNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

func scheduleName(v any) string {
	if !scheduleNames.MatchString(v.(string)) {
		return "small letters, digits, _ and -, a letter or digit first, at most 32"
	}
	return ""
}

func someCommand(v any) string {
	if len(v.([]string)) == 0 {
		return `a program and its arguments, ["manage.py", "clearsessions"]`
	}
	return ""
}

// schedules reads the tables of schedules of a build, or those of [defaults]: a build that has its
// own has none of these.
func (l *loader) schedules(b *Build, v any, path string, from origins) {
	from[scheduleKey] = origin{path: path}
	all, ok := ownTables(l, v, path, scheduleKey, "schedules", mostSchedules, "let one command do several things", l.schedule)
	if ok {
		b.Schedules = all // otherwise those of [defaults] stay as they are
	}
}

// schedule reads one table.
func (l *loader) schedule(t tomlTable, path string) (s Schedule, name string, good bool) {
	s = defaultSchedule()
	bad := readOwn(l, &s, scheduleTable, t, path, scheduleKey, "name", "command")
	l.when(&s, t, path, bad)
	return s, s.Name, len(bad) == 0
}

// when checks what says when a schedule runs.
func (l *loader) when(s *Schedule, t tomlTable, path string, bad map[string]bool) {
	zone := join(path, "timezone")
	if s.Timezone != "" && !bad["timezone"] && !l.applied {
		if want := timezone(*s); want != "" {
			l.mismatch(zone, "timezone", s.Timezone, want)
			bad["timezone"] = true
		}
	}
	_, cronSaid := t["cron"]
	_, everySaid := t["every"]
	cronLost, everyLost := l.lost[join(path, "cron")], l.lost[join(path, "every")]
	switch {
	case cronSaid && everySaid:
		l.wrong(l.at.key(join(path, "every")), join(path, "every"), "every next to cron: one of the two says when a schedule runs")
		bad["every"] = true
	case everySaid && s.Spread > s.Every && !bad["every"] && !bad["spread"]:
		l.mismatch(join(path, "spread"), "spread", t["spread"], "a time not longer than every, "+s.Every.String())
		bad["spread"] = true
	case everySaid && s.Timezone != "" && !bad["timezone"]:
		l.wrong(l.at.key(zone), zone, "timezone next to every, which has nothing to do with clocks: take it out, or use cron")
		bad["timezone"] = true
	case !cronSaid && !everySaid && !cronLost && !everyLost && !l.lost[path]:
		l.wrong(l.at.key(path), path, `cron or every is missing: want cron = "30 2 * * *" or every = "15m"`)
		bad["cron"] = true
	case cronSaid && !bad["cron"]:
		var wrong *cron.Error
		if _, err := cron.Parse(s.Cron); errors.As(err, &wrong) {
			at := l.at.value(join(path, "cron"))
			at.col += 1 + wrong.At // after the quote
			l.wrong(at, join(path, "cron"), "cron = %s: want %s", show(s.Cron), strings.ReplaceAll(wrong.Msg, ": want ", " "))
			bad["cron"] = true
		}
	}
}

// zones are some time zones, for whoever writes one in another way.
var zones = []string{"UTC", "Europe/Amsterdam", "Europe/Berlin", "Europe/Brussels", "Europe/London", "Europe/Paris", "Europe/Madrid", "Europe/Rome", "America/New_York", "America/Chicago", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney"}

// timezone returns what is wanted in place of a time zone, or "".
func timezone(s Schedule) string {
	const want = `the name of a time zone, such as "Europe/Amsterdam" or "UTC"`
	if s.Timezone == "Local" {
		return want + "; without the key it is the system's"
	}
	if _, err := s.Location(); err == nil {
		return ""
	}
	for _, name := range zones {
		if lower := strings.ToLower(name); Near(s.Timezone, []string{lower}) != "" || strings.EqualFold(name, strings.ReplaceAll(s.Timezone, " ", "_")) {
			return fmt.Sprintf("%s; did you mean %q?", want, name)
		}
	}
	return want
}
