package show

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestLongFormTellsAllOfABuild(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	d := control.BuildDetail{
		Status: sampleStatus().Builds[0],
		History: []control.ReleaseStatus{
			{Release: "20261123T113000-0a0a0a", Built: at(30 * time.Minute), Bad: "not ready within start_timeout (1m0s): 0 of 2 workers have loaded the application"},
			{Release: "20261123T090001-1a2b3c", Built: at(3 * time.Hour), Serves: true, Since: at(3 * time.Hour)},
			{Release: "20261122T090000-2b2b2b", Built: at(27 * time.Hour), Since: at(27 * time.Hour), Until: at(3 * time.Hour), Ended: "replaced by 20261123T090001-1a2b3c"},
			{Release: "20261121T090000-3c3c3c", Built: at(51 * time.Hour)},
		},
		LastBuild: &control.BuildResult{Started: at(31 * time.Minute), Took: 12.4, Result: "failed", Error: "migrate: exit code 1: OperationalError",
			Steps: []control.StepTook{{Step: "settings", Took: 0}, {Step: "copy", Took: 0.24}, {Step: "environment", Took: 0, Skipped: true}, {Step: "migrate", Took: 11.9}}},
		Events: []control.Event{{Time: at(4 * time.Hour), Build: "development", Event: "exited", Release: "20261122T090000-2b2b2b", Reason: "killed by SIGKILL"}},
		Output: []string{"[INFO] Booting worker with pid: 914\x1b[2J", strings.Repeat("x", 200)},
	}
	d.Status.LastExit = "killed by SIGKILL"
	d.Status.Sandbox, d.Status.Limits = true, control.Limits{Memory: 512 << 20, CPU: 1.5, Tasks: 200, Nofile: 1}
	const want = `development  running
  serving    for 3h12m, since 2026-11-23 08:48:00 UTC
  release    20261123T090001-1a2b3c
  process    913, the server's main process
  uses       123M of memory, 12% of a core
  socket     /opt/medctrl/backend/development/gunicorn.sock, 0 clients waiting
  location   /api
  health     passes its checks
  confined   in a sandbox, 512M of memory, cpu 1.5, 200 tasks, 1 open file
  last exit  killed by SIGKILL (4h0m ago)

Releases: go back to one with: medctrl-supervisor rollback --to ID development
    20261123T113000-0a0a0a    30m old  rejected
        not ready within start_timeout (1m0s): 0 of 2 workers have loaded the
        application
    20261123T090001-1a2b3c   3h0m old  serving since 2026-11-23 09:00:00 UTC
    20261122T090000-2b2b2b   1d3h old  served until 3h0m ago
        replaced by 20261123T090001-1a2b3c
    20261121T090000-3c3c3c   2d3h old  never served

Last build: failed after 12s, 31m ago
    settings 0s · copy 0.24s · environment nothing to do · migrate 12s
    migrate: exit code 1: OperationalError

Events: the last ones; more: medctrl-supervisor events development
    2026-11-23 08:00:00 UTC  exited  killed by SIGKILL

Output: the last lines; more: medctrl-supervisor logs development
    [INFO] Booting worker with pid: 914[2J
`
	var b strings.Builder
	Long(&b, d, Look{Columns: 80}, noon)
	if got := b.String(); got != want+"    "+strings.Repeat("x", 75)+"…\n" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d: %s", n, line)
		}
	}
}

func TestLongFormOfABuildThatDoesNotRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		detail control.BuildDetail
		want   string
	}{
		{control.BuildDetail{Status: control.BuildStatus{State: "stopped"}}, "\n  health     -\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "stopped"}}, "\n  confined   no sandbox, no limits\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "unhealthy", Pid: 1}}, "\n  health     fails its checks\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", Queue: 1, Socket: "/s"}}, "/s, 1 client waiting\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", Queue: -1, Socket: "/s"}}, "/s\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", Release: "r2", Tasks: []control.TaskStatus{
			{Kind: "run", Name: "manage.py shell", Pid: 7, Release: "r1", By: "alice", Started: noon.Add(-3 * time.Minute)}}}},
			"\n  run        manage.py shell, process 7, for 3m0s, by alice, from release r1\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", Elsewhere: &control.Elsewhere{Host: "web-1", Migrates: true, Processes: []string{"beat"}, Schedules: []string{"mail"}}}},
			"\n  elsewhere  web-1, which once_on names: migrates, and what is built here waits\n             for that; schedule mail runs there; process beat runs there\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", Elsewhere: &control.Elsewhere{Host: "web-1"}}},
			"\n  elsewhere  web-1, which once_on names: nothing of this build is done once\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "backoff", LastExit: "exit code 3"}}, "\n  last exit  exit code 3\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "backoff", Reason: "release r2 did not take over: exit code 3; last output: KeyError; tried again in 2 s", LastExit: "exit code 3; last output: KeyError"}}, "\n  last exit  exit code 3\n"},
		{control.BuildDetail{Status: control.BuildStatus{State: "running", LastExit: "exit code 3; last output: KeyError"}}, "\n  last exit  exit code 3; last output: KeyError\n"},
		{control.BuildDetail{History: []control.ReleaseStatus{{Release: "r1", Built: noon, Since: noon}}}, "served since 2026-11-23 12:00:00 UTC"},
		{control.BuildDetail{LastBuild: &control.BuildResult{Result: "running", Took: 75}}, "Last build: running for 1m15s\n"},
		{control.BuildDetail{LastBuild: &control.BuildResult{Result: "built", Release: "r1", Took: 7.26}}, "Last build: made r1 in 7.3s\n"},
	} {
		var b strings.Builder
		if Long(&b, c.detail, Look{Columns: 80}, noon); !strings.Contains(b.String(), c.want) {
			t.Errorf("want %q in\n%s", c.want, b.String())
		}
	}
}

func TestLongFormShowsCommitsWithoutWhatATerminalObeys(t *testing.T) {
	t.Parallel()
	c := &control.Commit{Hash: "4f3a2b1c0d9e8f7a6b5c", Branch: "main", Subject: "Show \x1b[31mred\u202e prices", Author: "Ada", Changed: 3}
	d := control.BuildDetail{Status: control.BuildStatus{State: "running", Commit: c}, History: []control.ReleaseStatus{
		{Release: "r1", Built: noon, Commit: &control.Commit{Hash: "4f3a"}, By: "ada (uid 1000)", Because: []string{"API/views.py changed", "and 12 more files"}},
	}}
	var b strings.Builder
	Long(&b, d, Look{Columns: 100}, noon)
	for _, want := range []string{
		"  commit     4f3a2b1c0d on main, Show [31mred prices (Ada), 3 files changed since\n",
		"        commit 4f3a\n", "        made because: API/views.py changed, and 12 more files\n", "        asked for by ada (uid 1000)\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("want %q in\n%s", want, b.String())
		}
	}
}
