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
		{Name: "development", State: "running", Release: "20261123T090001-1a2b3c", Since: noon.Add(-3*time.Hour - 12*time.Minute), Location: "/api", Healthy: true, Pid: 913,
			Socket: "/opt/medctrl/backend/development/gunicorn.sock", Memory: 123 << 20, CPU: .12},
		{Name: "testing", State: "backoff", Release: "20261123T090002-1a2b3c", Restarts: 7, Location: "/testapi",
			Reason: "exit code 3, next start in 8s:\nModuleNotFoundError: No module named 'rest_framework'\x1b[2J"},
		{Name: "fresh", State: "building", Building: true, BuildProgress: "install (4 of 8, 3.2s)", Queue: -1},
	}}
}

func TestTableTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	const want = `NAME        STATE    RELEASE            UP RESTARTS  MEM CPU WAIT LOCATION
development running  20261123T090001 3h12m        0 123M 12%    0 /api
testing     backoff  20261123T090002     -        7    -   -    0 /testapi
    exit code 3, next start in 8s:
    ModuleNotFoundError: No module named 'rest_framework'[2J
    -> it starts again by itself, and at once when its settings are mended or
    by: medctrl-supervisor restart testing
fresh       building -                   -        0    -   -    - -
    building: install (4 of 8, 3.2s)
`
	var b strings.Builder
	Table(&b, sampleStatus(), 80, false, noon)
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableNamesTheMistakeInALine(t *testing.T) {
	t.Parallel()
	s := Status{Builds: []BuildStatus{{Name: "development", State: "running", Release: "20261123T090001-1a2b3c", Since: noon,
		BuildError: "build step check: exit code 1; last output: File \"/opt/x.py\", line 13, in <module> | import nowhere | " +
			"ModuleNotFoundError: No module named 'nowhere' (/opt/medctrl/backend/development/build-failed.log)"}}}
	var b strings.Builder
	Table(&b, s, 80, false, noon)
	const want = `
    the last build failed: build step check: exit code 1: ModuleNotFoundError:
    No module named 'nowhere'
    -> mend what is named`
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	Long(&b, BuildDetail{Status: s.Builds[0]}, 80, false, noon)
	if !strings.Contains(b.String(), "import nowhere") || !strings.Contains(b.String(), "build-failed.log") {
		t.Errorf("the long form leaves something out:\n%s", b.String())
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

func TestSpanIsShort(t *testing.T) {
	t.Parallel()
	for ago, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", time.Hour: "1h0m",
		12*time.Hour + time.Minute: "12h", 25 * time.Hour: "1d1h", 100 * 24 * time.Hour: "100d",
	} {
		if got := Span(ago); got != want {
			t.Errorf("%v is %s, want %s", ago, got, want)
		}
	}
}

func TestMemoryIsShort(t *testing.T) {
	t.Parallel()
	for size, want := range map[uint64]string{0: "-", 1: "1M", 999 << 20: "999M", 1023 << 20: "1.0G", 9 << 30: "9.0G", 120 << 30: "120G"} {
		if got := memory(size); got != want {
			t.Errorf("%d is %s, want %s", size, got, want)
		}
	}
}

func TestLongFormTellsAllOfABuild(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	d := BuildDetail{
		Status: sampleStatus().Builds[0],
		History: []ReleaseStatus{
			{Release: "20261123T113000-0a0a0a", Built: at(30 * time.Minute), Bad: "not ready within start_timeout (1m0s): 0 of 2 workers have loaded the application"},
			{Release: "20261123T090001-1a2b3c", Built: at(3 * time.Hour), Serves: true, Since: at(3 * time.Hour)},
			{Release: "20261122T090000-2b2b2b", Built: at(27 * time.Hour), Since: at(27 * time.Hour), Until: at(3 * time.Hour), Ended: "replaced by 20261123T090001-1a2b3c"},
			{Release: "20261121T090000-3c3c3c", Built: at(51 * time.Hour)},
		},
		LastBuild: &BuildResult{Started: at(31 * time.Minute), Took: 12.4, Result: "failed", Error: "migrate: exit code 1: OperationalError",
			Steps: []StepTook{{"settings", 0, false}, {"copy", .24, false}, {"environment", 0, true}, {"migrate", 11.9, false}}},
		Events: []Event{{Time: at(4 * time.Hour), Build: "development", Event: "exited", Release: "20261122T090000-2b2b2b", Reason: "killed by SIGKILL"}},
		Output: []string{"[INFO] Booting worker with pid: 914\x1b[2J", strings.Repeat("x", 200)},
	}
	d.Status.LastExit = "killed by SIGKILL"
	const want = `development  running for 3h12m, since 2026-11-23 08:48:00
  release    20261123T090001-1a2b3c
  process    913, the server's main process; restarts: 0
  uses       123M of memory, 12% of a core
  socket     /opt/medctrl/backend/development/gunicorn.sock, 0 clients wait
  location   /api
  health     answers as expected
  last exit  killed by SIGKILL (4h0m ago)

Releases: back to one of them: medctrl-supervisor rollback --to ID development
    20261123T113000-0a0a0a    30m old  not taken
        not ready within start_timeout (1m0s): 0 of 2 workers have loaded the
        application
    20261123T090001-1a2b3c   3h0m old  serves since 2026-11-23 09:00:00
    20261122T090000-2b2b2b   1d3h old  served until 3h0m ago
        replaced by 20261123T090001-1a2b3c
    20261121T090000-3c3c3c   2d3h old  never served

Last build: failed after 12s, 31m ago
    settings 0s · copy 0.24s · environment nothing to do · migrate 12s
    migrate: exit code 1: OperationalError

Events: the last ones; more: medctrl-supervisor events development
    2026-11-23 08:00:00  exited  killed by SIGKILL

Output: the last lines; more: medctrl-supervisor logs development
    [INFO] Booting worker with pid: 914[2J
`
	var b strings.Builder
	Long(&b, d, 80, false, noon)
	if got := b.String(); got != want+"    "+strings.Repeat("x", 75)+"…\n" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d: %s", n, line)
		}
	}
}
