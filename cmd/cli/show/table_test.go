package show

import (
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// remedied gives builds the remedies that a supervisor sends.
func remedied(all ...control.BuildStatus) []control.BuildStatus {
	for i, b := range all {
		all[i].Remedy = control.Remedy(b)
	}
	return all
}

func sampleStatus() control.Status {
	return control.Status{Builds: remedied([]control.BuildStatus{
		{Name: "development", State: "running", Release: "20261123T090001-1a2b3c", Since: noon.Add(-3*time.Hour - 12*time.Minute), Location: "/api", Healthy: true, Pid: 913,
			Socket: "/opt/medctrl/backend/development/gunicorn.sock", Memory: 123 << 20, CPU: .12},
		{Name: "testing", State: "backoff", Release: "20261123T090002-1a2b3c", Restarts: 7, Location: "/testapi",
			Reason: "exit code 3, next start in 8s:\nModuleNotFoundError: No module named 'rest_framework'\x1b[2J"},
		{Name: "fresh", State: "building", Building: true, BuildProgress: "install (4 of 8, 3.2s)", Queue: -1},
	}...)}
}

func TestTableTellsWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	const want = `NAME         STATE     RELEASE             UP  RESTARTS   MEM  CPU  LOCATION
testing      backoff   20261123T090002      -         7     -    -  /testapi
    exit code 3, next start in 8s:
    ModuleNotFoundError: No module named 'rest_framework'[2J
    -> it is restarted automatically, and at once when its settings are fixed or
    by: medctrl-supervisor restart testing
development  running   20261123T090001  3h12m         0  123M  12%  /api
fresh        building  -                    -         0     -    -  -
    building: install (4 of 8, 3.2s)
`
	var b strings.Builder
	Table(&b, sampleStatus(), Look{Columns: 80}, noon)
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableSaysWhatAnotherHostDoes(t *testing.T) {
	t.Parallel()
	one := control.BuildStatus{Name: "a", State: "running", Healthy: true, Elsewhere: &control.Elsewhere{Host: "web-1"}}
	s := control.Status{Version: "1.0", Host: "web-2", Started: noon, Builds: []control.BuildStatus{one, {Name: "b", State: "running", Healthy: true}, one}}
	var b strings.Builder
	Table(&b, s, Look{Columns: 80}, noon)
	if want := "supervisor 1.0, up 0s, 3 builds: 3 running, host web-2\n    migrations and schedules run on web-1\nNAME"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("got\n%s", b.String())
	}
	b.Reset()
	s.Builds = s.Builds[1:2]
	if Table(&b, s, Look{Columns: 80}, noon); strings.Contains(b.String(), "web-") {
		t.Errorf("without once_on\n%s", b.String())
	}
}

func TestTableNamesTheMistakeInALine(t *testing.T) {
	t.Parallel()
	s := control.Status{Builds: remedied(control.BuildStatus{Name: "development", State: "running", Healthy: true, Release: "20261123T090001-1a2b3c", Since: noon,
		BuildError: "build step check: exit code 1; last output: File \"/opt/x.py\", line 13, in <module> | import nowhere | " +
			"ModuleNotFoundError: No module named 'nowhere' (/opt/medctrl/backend/development/build-failed.log)"})}
	var b strings.Builder
	Table(&b, s, Look{Columns: 80}, noon)
	const want = `
    the last build failed: build step check: exit code 1: ModuleNotFoundError:
    No module named 'nowhere'
    -> fix the cause`
	if !strings.Contains(b.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	Long(&b, control.BuildDetail{Status: s.Builds[0]}, Look{Columns: 80}, noon)
	if !strings.Contains(b.String(), "import nowhere") || !strings.Contains(b.String(), "build-failed.log") {
		t.Errorf("the long form leaves something out:\n%s", b.String())
	}
}

func TestTableShowsABadFileOnTop(t *testing.T) {
	t.Parallel()
	s := sampleStatus()
	s.Config = control.ConfigStatus{Path: "builds.toml", Error: "builds.toml:14:11: workers: want a whole number\nbuilds.toml:15:1: unknown key"}
	var b strings.Builder
	Table(&b, s, Look{Columns: 80}, noon)
	if !strings.HasPrefix(b.String(), "builds.toml has mistakes; the file as it was before stays in force:\n    builds.toml:14:11: workers: want a whole number\n    builds.toml:15:1: unknown key\n") {
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
	s.Config = control.ConfigStatus{Path: "/" + strings.Repeat("p", 200), Error: strings.Repeat("e", 200)}
	for _, width := range []int{40, 60, 80, 120, 200} {
		var b strings.Builder
		Table(&b, s, Look{Columns: width}, noon)
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
		Table(&b, sampleStatus(), Look{Columns: 80, Color: color}, noon)
		if got := strings.Contains(b.String(), "\x1b"); got != color {
			t.Errorf("color %v: %q", color, b.String())
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

func TestEachStateSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		build control.BuildStatus
		want  string
	}{
		{control.BuildStatus{State: "failed", Reason: "no"}, "to retry now: medctrl-supervisor rebuild one"},
		{control.BuildStatus{State: "running", Release: "r1", BuildError: "no"}, "release r1 keeps serving"},
		{control.BuildStatus{State: "running", Release: "r1", Reason: "r2 was rejected"}, "release r1 is serving; fix the cause"},
		{control.BuildStatus{State: "running", Release: "r1", Reason: "static files are not those of the release that serves: x"}, "the files are tried again automatically"},
		{control.BuildStatus{State: "running", Release: "r1", Reason: "r2 did not take over: x; last output: a | b; tried again in 4 s", NextTry: noon},
			"did not take over: x: b; tried again in 4 s"},
		{control.BuildStatus{State: "running", Release: "r1", Reason: "exit code 3; last output: a | ImproperlyConfigured: set KEY | caused by KeyError: 'KEY'; tried again in 4 s", NextTry: noon},
			"exit code 3: ImproperlyConfigured: set KEY, caused by KeyError: 'KEY'; tried again in 4 s"},
		{control.BuildStatus{State: "running", Release: "r1", Reason: "r2 did not take over", NextTry: noon}, "to try the other now: medctrl-supervisor restart one"},
		{control.BuildStatus{State: "failed", Reason: "step x; last output: a | b (/opt/build-failed.log); tried again in 10 s"}, "step x: b; tried again in 10 s"},
		{control.BuildStatus{State: "unhealthy"}, "to replace it now: medctrl-supervisor restart one"},
		{control.BuildStatus{State: "stopped", Reason: "stopped by hand"}, "-> medctrl-supervisor start one"},
		{control.BuildStatus{State: "stopped"}, ""},
		{control.BuildStatus{State: "running", Building: true}, "building: waiting for its turn"},
	} {
		c.build.Name = "one"
		var b strings.Builder
		Table(&b, control.Status{Builds: remedied(c.build)}, Look{Columns: 200, Color: true}, noon)
		if notes := strings.SplitAfterN(b.String(), "\n", 3)[2]; !strings.Contains(notes, c.want) || c.want == "" && notes != "" {
			t.Errorf("%s: %q, want %q", c.build.State, notes, c.want)
		}
	}
}

func TestNoBuildsAreSaidToBeNone(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if Table(&b, control.Status{}, Look{}, noon); b.String() != "No builds.\n" {
		t.Error(b.String())
	}
}

// BenchmarkTable measures the table of 1,000 builds; what the request for it costs is measured in
// package supervisor.
func BenchmarkTable(b *testing.B) {
	var s control.Status
	for range 1000 {
		s.Builds = append(s.Builds, sampleStatus().Builds[0])
	}
	for b.Loop() {
		Table(io.Discard, s, Look{Columns: 80, Color: true}, noon)
	}
}

func TestHeadLineSaysWhatRunsAndWhatElseIsWrong(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	Table(&out, control.Status{
		Version: "1.4.0", Started: now.Add(-50 * time.Hour), Builds: []control.BuildStatus{{Name: "one", State: "running", Healthy: true}},
		Front: control.Part{Address: "127.0.0.1:8080", Trouble: "cannot serve: address in use"},
		Log:   control.Part{Address: "stderr", Trouble: "nobody has read the log for 3s"},
	}, Look{Columns: 80}, now)
	want := "supervisor 1.4.0, up 2d2h, 1 build: 1 running, front 127.0.0.1:8080\n" +
		"    front: cannot serve: address in use\n    log: nobody has read the log for 3s\n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s\nwant it to begin with\n%s", out.String(), want)
	}
}
