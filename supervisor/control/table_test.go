package control

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func sampleStatus() Status {
	return Status{Builds: []BuildStatus{
		{Name: "development", State: "running", Release: "20261123T090001-1a2b3c", Since: noon.Add(-3*time.Hour - 12*time.Minute), Location: "/api", Healthy: true},
		{Name: "testing", State: "backoff", Release: "20261123T090002-1a2b3c", Restarts: 7, Location: "/testapi",
			Reason: "exit code 3, next start in 8s:\nModuleNotFoundError: No module named 'rest_framework'\x1b[2J"},
		{Name: "fresh", State: "building", Building: true, BuildProgress: "install (4 of 8, 3.2s)"},
	}}
}

func TestTableTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	const want = `NAME         STATE     RELEASE                 UPTIME  RESTARTS  LOCATION
development  running   20261123T090001-1a2b3c   3h12m         0  /api
testing      backoff   20261123T090002-1a2b3c       -         7  /testapi
    exit code 3, next start in 8s:
    ModuleNotFoundError: No module named 'rest_framework'[2J
    -> it starts again by itself, and at once when its settings are mended or
    by: medctrl-supervisor restart testing
fresh        building  -                            -         0  -
    building: install (4 of 8, 3.2s)
`
	var b strings.Builder
	Table(&b, sampleStatus(), 80, false, noon)
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableShowsABadFileOnTop(t *testing.T) {
	t.Parallel()
	s := sampleStatus()
	s.Config = ConfigStatus{Path: "builds.toml", Error: "builds.toml:14:11: workers: want a whole number\nbuilds.toml:15:1: unknown key"}
	var b strings.Builder
	Table(&b, s, 80, false, noon)
	if !strings.HasPrefix(b.String(), "builds.toml is not taken, what was read before it holds:\n    builds.toml:14:11: workers: want a whole number\n    builds.toml:15:1: unknown key\n") {
		t.Error(b.String())
	}
}

func TestTableFitsItsWidth(t *testing.T) {
	t.Parallel()
	s := sampleStatus()
	s.Builds[0].Name = strings.Repeat("n", 32)
	s.Builds[0].Location = "/" + strings.Repeat("ö", 200)
	s.Builds[1].Reason = strings.Repeat("wort ", 100) + strings.Repeat("x", 300)
	s.Builds[1].BuildError = "migrate: exit code 1"
	s.Builds[2].Since = noon.Add(-99*24*time.Hour - 23*time.Hour)
	s.Config = ConfigStatus{Path: "/" + strings.Repeat("p", 200), Error: strings.Repeat("e", 200)}
	for _, width := range []int{80, 60, 120} {
		var b strings.Builder
		Table(&b, s, width, false, noon)
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("a line of %d in %d columns: %s", n, width, line)
			}
		}
	}
}

func TestColourIsOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	for _, color := range []bool{true, false} {
		var b strings.Builder
		Table(&b, sampleStatus(), 80, color, noon)
		if got := strings.Contains(b.String(), "\x1b"); got != color {
			t.Errorf("color %v: %q", color, b.String())
		}
	}
}

func TestUptimeIsShort(t *testing.T) {
	t.Parallel()
	for ago, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", time.Hour: "1h0m",
		25 * time.Hour: "1d1h", 100 * 24 * time.Hour: "100d",
	} {
		tab := table{now: noon}
		if got := tab.uptime(BuildStatus{Since: noon.Add(-ago)}); got != want {
			t.Errorf("%v is %s, want %s", ago, got, want)
		}
	}
}
