package show

import (
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestLongFormTellsOfSchedules(t *testing.T) {
	t.Parallel()
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	d := control.BuildDetail{Status: sampleStatus().Builds[0]}
	d.Status.Schedules = []control.ScheduleStatus{
		{Name: "sessions", Cron: "30 2 * * *", Timezone: "Europe/Amsterdam", Next: at(-14 * time.Hour), LastSuccess: at(9 * time.Hour),
			Last: &control.RunStatus{Started: at(9*time.Hour + time.Second), Took: 1.25, Result: "good", Exit: "exit code 0", Release: "r1", Output: []string{"3 sessions\x1b[2J"}}},
		{Name: "mail", Every: "15m0s", Next: at(-5 * time.Minute), Running: 1, LastSuccess: at(time.Hour),
			Last: &control.RunStatus{Started: at(10 * time.Minute), Took: 61, Result: "failed", Exit: "exit code 1", Release: "r1"}},
		{Name: "report", Every: "24h0m0s", Last: &control.RunStatus{Started: at(time.Hour), Took: 3600, Result: "timed_out", Exit: "killed by SIGTERM, ended because it took too long"}},
		{Name: "unseen", Every: "1h0m0s", Next: at(-time.Hour), Last: &control.RunStatus{Started: at(time.Minute), Took: 25, Result: "unknown", Exit: "ended while no supervisor watched"}},
		{Name: "new", Cron: "@daily", Trouble: "unknown time zone Gone/Away"},
	}
	const want = `
Schedules: their output: medctrl-supervisor logs --schedule SCHEDULE development
    sessions           30 2 * * * Europe/Amsterdam  good
        next in 14h, 2026-11-24 02:00:00 UTC
        last 9h0m ago: exit code 0 after 1.2s, from r1
          3 sessions[2J
    mail               every 15m                    running
        next in 5m0s, 2026-11-23 12:05:00 UTC
        last 10m ago: exit code 1 after 1m1s, from r1; the last good one 1h0m
        ago
    report             every 24h                    took too long
        does not run while the build is as it is
        last 1h0m ago: killed by SIGTERM, ended because it took too long after
        1h0m0s; none has ended well
    unseen             every 1h                     ended unseen
        next in 1h0m, 2026-11-23 13:00:00 UTC
        last 1m0s ago: ended while no supervisor watched, at most 25s after it
        began; none has ended well
    new                @daily
        cannot run: unknown time zone Gone/Away
`
	var b strings.Builder
	Long(&b, d, Look{Columns: 80}, noon)
	if got := b.String(); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
