package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ScheduleStatus is a schedule of a build, as `status --json` has it.
type ScheduleStatus struct {
	Name    string    `json:"name"`
	Next    time.Time `json:"next"`
	Running int       `json:"running"`
	Last    *struct {
		Result  string   `json:"result"`
		Exit    string   `json:"exit"`
		Release string   `json:"release"`
		Output  []string `json:"output"`
	} `json:"last"`
}

// schedule waits until a schedule of build one is as described.
func (w *World) schedule(name, what string, holds func(ScheduleStatus) bool) (found ScheduleStatus) {
	w.t.Helper()
	w.WaitStatus("one", what, func(b BuildStatus) bool {
		i := slices.IndexFunc(b.Schedules, func(s ScheduleStatus) bool { return s.Name == name })
		if i < 0 {
			return false
		}
		found = b.Schedules[i]
		return holds(found)
	})
	return found
}

// sessions runs a statement on the table of Django's sessions.
func (w *World) sessions(statement string) string {
	w.t.Helper()
	const text = `import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=30) as db: print(db.execute(sys.argv[2]).fetchall())`
	out, err := exec.Command(python, "-c", text, w.Data("one", "db.sqlite3"), statement).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v: %s", statement, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("migrate = true", `
[[build.schedule]]
name = "sessions"
command = ["manage.py", "clearsessions"]
every = "1s"

[[build.schedule]]
name = "long"
command = ["python", "-c", "import os, time; print(os.environ['MEDCTRL_SCHEDULE'], os.environ['MEDCTRL_RELEASE'], '{app}', flush=True); time.sleep(600)"]
every = "1s"

[[build.schedule]]
name = "failing"
command = ["python", "-c", "import sys; sys.exit('it is broken')"]
every = "1s"

[[build.schedule]]
name = "minutes"
command = ["/bin/true"]
cron = "* * * * *"
timezone = "Europe/Amsterdam"
`))
	const app = "INSTALLED_APPS = INSTALLED_APPS + ['django.contrib.sessions']\n"
	w.SaveSettings("one", app, RenameOver)
	first := w.Serve("one")

	// Django's own command does its work.
	w.schedule("sessions", "a good run", func(s ScheduleStatus) bool { return s.Last != nil && s.Last.Result == "good" })
	w.sessions("insert into django_session values ('old', '', '2020-01-01'), ('new', '', '2999-01-01')")
	Eventually(t, 60*time.Second, "the session that has expired to be deleted", func() (bool, string) {
		left := w.sessions("select session_key from django_session order by 1")
		return left == "[('new',)]", left
	})
	failing := w.schedule("failing", "a run that failed", func(s ScheduleStatus) bool { return s.Last != nil && s.Last.Result == "failed" })
	if failing.Last.Exit != "exit code 1" || !slices.Contains(failing.Last.Output, "it is broken") {
		t.Errorf("%+v", failing.Last)
	}
	if events := w.MustCLI("events", "one"); !strings.Contains(events, "schedule failing: exit code 1") {
		t.Errorf("events are\n%s", events)
	}
	minutes := w.schedule("minutes", "its next run", func(s ScheduleStatus) bool { return !s.Next.IsZero() })
	if minutes.Next.Second() != 0 || time.Until(minutes.Next) > time.Minute {
		t.Errorf("%+v", minutes)
	}

	// A run goes on while its release is replaced, the supervisor is killed, and another takes its place.
	long := func() int {
		t.Helper()
		pids := []int{}
		for _, p := range w.Processes() {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.Pid)); err == nil && strings.Contains(string(text), "\x00MEDCTRL_SCHEDULE=long\x00") {
				pids = append(pids, p.Pid)
			}
		}
		if len(pids) != 1 {
			t.Fatalf("runs of long: %v", pids)
		}
		return pids[0]
	}
	w.schedule("long", "a run", func(s ScheduleStatus) bool { return s.Running == 1 })
	pid := long()
	w.SaveSettings("one", app+"BANNER = 'second'\n", RenameOver)
	w.WaitBanner("one", "second")
	second := w.WaitRelease("one", first.Release)
	w.schedule("sessions", "a run of the new release", func(s ScheduleStatus) bool { return s.Last != nil && s.Last.Release == second.Release })
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	w.schedule("long", "the same run", func(s ScheduleStatus) bool { return s.Running == 1 })
	w.Upgrade()
	w.schedule("long", "the same run", func(s ScheduleStatus) bool { return s.Running == 1 })
	if now := long(); now != pid {
		t.Errorf("the run is %d, was %d", now, pid)
	}
	if log := w.MustCLI("logs", "--schedule", "long", "one"); !strings.HasPrefix(log, "long "+first.Release+" "+w.Root+"/one/releases/"+first.Release+"/API") || strings.Count(log, "\n") != 1 {
		t.Errorf("its log is %q", log)
	}
	if status := w.MustCLI("status", "one"); !strings.Contains(status, "every 1s") || !strings.Contains(status, "* * * * * Europe/Amsterdam") {
		t.Errorf("status is\n%s", status)
	}
	Eventually(t, 20*time.Second, "metrics of this supervisor's runs", func() (bool, string) {
		metrics, err := w.get("/metrics")
		return err == nil && strings.Contains(metrics, `medctrl_schedule_runs_total{build="one",result="left_out",schedule="long"}`) &&
			strings.Contains(metrics, `medctrl_schedule_last_success_timestamp_seconds{build="one",schedule="sessions"}`), metrics
	})

	// A stop ends it. That none comes after is held by TestAStoppedBuildRunsNoSchedule in supervisor/actor.
	w.MustCLI("stop", "one")
	if left := w.Processes(); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	w.schedule("long", "how it ended", func(s ScheduleStatus) bool {
		return s.Running == 0 && s.Last != nil && s.Last.Result == "stopped" && s.Next.IsZero()
	})
	w.Stop()
}
