package actor

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

func hourly() config.Schedule {
	return config.Schedule{Name: "sessions", Command: []string{"manage.py", "clearsessions", "{data}"}, Cron: "0 * * * *", Timezone: "UTC", Timeout: 30 * time.Minute}
}

// scheduled runs f on a build that serves and has schedules. It is 00:30 then.
func scheduling(t *testing.T, f func(l *life), all ...config.Schedule) {
	t.Helper()
	story(t, func(l *life) {
		l.entry.Schedules = all
		l.entry.Hooks.OnFailure, l.entry.Hooks.OnRecovery = []string{"notify", "down"}, []string{"notify", "well"}
		l.entry.Health.Interval = time.Hour // nobody waits for probes here
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.pass(l.entry.StableAfter)
		l.pass(time.Until(time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)))
		l.w.do(func() { l.w.events, l.w.ran = nil, nil })
		f(l)
	})
}

// trees of runs of schedules, in the order of their starts.
func (l *life) scheduled() (all []*tree) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, t := range l.w.trees {
		if strings.HasPrefix(t.mark, "root/one/schedule.") {
			all = append(all, t)
		}
	}
	return all
}

// starts waits until n runs were started, at most that long, and returns the last one.
func (l *life) starts(n int, within time.Duration) *tree {
	l.Helper()
	for end := time.Now().Add(within); time.Now().Before(end) && len(l.scheduled()) < n; {
		l.pass(time.Second)
	}
	all := l.scheduled()
	if len(all) != n {
		l.Fatalf("%d runs were started, want %d", len(all), n)
	}
	if n == 0 {
		return nil
	}
	return all[n-1]
}

func (l *life) results(want ...string) {
	l.Helper()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if !slices.Equal(l.w.ran, want) {
		l.Errorf("results are %q, want %q", l.w.ran, want)
	}
}

var good = Exit{Words: "exit code 0", Clean: true}

func TestAScheduleRunsAtItsTimesFromWhatServes(t *testing.T) {
	scheduling(t, func(l *life) {
		v := l.View().Schedules
		if len(v) != 1 || v[0].Next != time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC) || v[0].Last != nil {
			l.Fatalf("%+v", v)
		}
		var before *state.Record
		tree := l.starts(1, time.Hour)
		l.w.do(func() { before = l.w.written })
		if now := time.Now(); now.After(time.Date(2000, 1, 1, 1, 0, 1, 0, time.UTC)) {
			l.Errorf("started at %v", now)
		}
		if at := before.Schedules["sessions"].At; at.Before(time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)) {
			l.Errorf("it was started, and written down that its times were handled up to %v", at)
		}
		at := tree.start
		if want := []string{"/venv/bin/python", "/release/API/manage.py", "clearsessions", "/opt/medctrl/one/data"}; !slices.Equal(at.Launch.Argv, want) {
			l.Errorf("runs %q", at.Launch.Argv)
		}
		if !slices.Contains(at.Launch.Env, "MEDCTRL_SCHEDULE=sessions") || at.Log != "/log/one.schedule.sessions.log" || at.Streams != nil || at.Listener != nil {
			l.Errorf("started with %+v", at)
		}
		if v := l.View().Schedules[0]; v.Running != 1 || v.Next != time.Date(2000, 1, 1, 2, 0, 0, 0, time.UTC) {
			l.Errorf("%+v", v)
		}
		l.pass(5 * time.Second)
		l.w.do(func() { l.w.output = []string{"3 sessions", strings.Repeat("x", 1000)} })
		tree.exit(good)
		l.pass(0)
		v = l.View().Schedules
		last := v[0].Last
		if v[0].Running != 0 || last == nil || last.Result != RunGood || last.Exit != "exit code 0" || last.Release != "r1" || last.Ended.Sub(last.Started) < 5*time.Second || !v[0].Success.Equal(last.Ended) {
			l.Fatalf("%+v, %+v", v[0], last)
		}
		if len(last.Output) != 2 || last.Output[0] != "3 sessions" || len(last.Output[1]) > runLineBytes+3 {
			l.Errorf("output %q", last.Output)
		}
		l.pass(time.Second)
		if tasks := l.View().Tasks; len(tasks) > 0 {
			l.Errorf("tasks that have ended are kept: %+v", tasks)
		}
		l.events("task_started task_ended")
		l.starts(2, time.Hour).exit(good)
		l.pass(0)
		l.results("sessions good", "sessions good")
	}, hourly())
}

func TestIntervalsAreExact(t *testing.T) {
	every := config.Schedule{Name: "often", Command: []string{"x"}, Every: time.Second, Timeout: time.Minute}
	scheduling(t, func(l *life) {
		n := 0
		for i := range 110 {
			l.pass(100 * time.Millisecond)
			for _, tree := range l.scheduled() {
				tree.exit(good)
			}
			if i == 9 {
				n = len(l.scheduled())
			}
		}
		if got := len(l.scheduled()) - n; got != 10 {
			l.Errorf("%d runs in ten seconds", got)
		}
	}, every)
}

func TestARunThatFailsCallsTheHook(t *testing.T) {
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.pass(1500 * time.Millisecond)
		l.w.do(func() { l.w.output = []string{"Traceback", "OperationalError: gone mysql://me:hunter2@db/"} })
		tree.exit(Exit{Words: "exit code 1", Code: 1})
		l.pass(time.Second)
		l.events("task_started task_ended schedule_failed")
		if called := l.called(); !slices.Equal(called, []string{"down schedule_failed"}) {
			l.Errorf("called %q", called)
		}
		if h := l.w.hooks[0]; !slices.ContainsFunc(h.Env, func(e string) bool {
			return strings.HasPrefix(e, "MEDCTRL_REASON=schedule sessions: exit code 1 after ") && strings.HasSuffix(e, ": OperationalError: gone mysql://****@db/")
		}) {
			l.Errorf("told %q", h.Env)
		}
		if last := l.View().Schedules[0].Last; last.Result != RunFailed || !l.View().Schedules[0].Success.IsZero() {
			l.Errorf("%+v", last)
		}
		// One that cannot even be started.
		l.w.fail("Start", errBroken)
		l.pass(time.Hour)
		if last := l.View().Schedules[0].Last; last.Result != RunFailed || !strings.Contains(last.Exit, "it broke") || last.ID != "" {
			l.Errorf("%+v", last)
		}
		l.w.fail("Start", nil)
		if called := l.called(); !slices.Equal(called, []string{"down schedule_failed"}) {
			l.Errorf("called after the second failure %q", called)
		}
		l.starts(2, time.Hour).exit(good)
		l.pass(time.Second)
		l.results("sessions failed", "sessions failed", "sessions good")
		if called := l.called(); !slices.Equal(called, []string{"down schedule_failed", "well recovered"}) {
			l.Errorf("called after a good run %q", called)
		}
	}, hourly())
}

func TestARunHasItsTime(t *testing.T) {
	s := hourly()
	s.Timeout = time.Minute
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.pass(2 * time.Minute)
		if !tree.isGone() {
			l.Fatal("it goes on")
		}
		if last := l.View().Schedules[0].Last; last.Result != RunLate || last.Exit != "killed by SIGTERM, ended because it took too long" {
			l.Errorf("%+v", last)
		}
		l.results("sessions timed_out")
		l.told(machine.EventScheduleFailed)
	}, s)
}

func TestNeverTwiceAtOnceUnlessItMay(t *testing.T) {
	s := hourly()
	s.Timeout = 24 * time.Hour
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.pass(3 * time.Hour)
		l.starts(1, time.Second)
		tree.exit(good)
		l.starts(2, time.Hour)
		l.results("sessions left_out", "sessions left_out", "sessions left_out", "sessions good")
	}, s)
	s.Overlap = true
	scheduling(t, func(l *life) {
		l.pass(3 * time.Hour)
		l.starts(3, time.Second)
		if v := l.View().Schedules[0]; v.Running != 3 {
			l.Errorf("%+v", v)
		}
		l.results()
	}, s)
}

func TestARunEndsWithItsOwnRelease(t *testing.T) {
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.change("second")
		l.serves("r2")
		l.pass(time.Minute)
		if tree.wasTold() || !l.pinned("r1") {
			l.Fatal("it was ended, or its release is not kept")
		}
		tree.exit(good)
		l.pass(0)
		if last := l.View().Schedules[0].Last; last.Release != "r1" {
			l.Errorf("%+v", last)
		}
		next := l.starts(2, time.Hour)
		if !slices.Contains(next.start.Launch.Env, "MEDCTRL_RELEASE=r2") {
			l.Errorf("%q", next.start.Launch.Env)
		}
		next.exit(good)
		l.pass(0)
		if called := l.called(); len(called) > 0 {
			l.Errorf("called %q", called)
		}
	}, hourly())
}

func TestAStoppedBuildRunsNoSchedule(t *testing.T) {
	s := hourly()
	s.CatchUp = true
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.act("stop")
		if !tree.isGone() || !l.View().Schedules[0].Next.IsZero() {
			l.Error("it goes on, or is to run once more")
		}
		l.pass(10 * time.Hour)
		l.starts(1, time.Second)
		l.act("start")
		l.pass(time.Minute) // what passed while it was stopped is not made up
		l.starts(1, time.Second)
		l.starts(2, time.Hour).exit(good)
		l.pass(0)
		l.results("sessions stopped", "sessions good")
		if called := l.called(); len(called) > 0 {
			l.Errorf("called %q", called)
		}
	}, s)
}

// The run is about to begin when the build is stopped.
func TestAStopInTheMomentOfARunLeavesNone(t *testing.T) {
	scheduling(t, func(l *life) {
		l.pass(time.Until(time.Date(2000, 1, 1, 1, 0, 0, 5e6, time.UTC)))
		l.act("stop")
		l.pass(time.Minute)
		l.starts(0, time.Second)
	}, hourly())
}

func TestACrashedServerKeepsNoScheduleFromRunning(t *testing.T) {
	scheduling(t, func(l *life) {
		l.pass(29 * time.Minute)
		l.w.do(func() { l.w.conduct["r1"] = conduct{dies: &crash} })
		l.server().exit(crash)
		l.phased(machine.PhaseBackoff)
		l.w.do(func() { l.w.conduct["r1"] = conduct{} })
		l.starts(1, 2*time.Minute).exit(good)
	}, hourly())
}

func TestNoReleaseNoRun(t *testing.T) {
	story(t, func(l *life) {
		l.entry.Schedules = []config.Schedule{hourly()}
		l.w.fail("Make", errBroken)
		l.Adopt(nil, nil)
		l.configure(false)
		l.pass(3 * time.Hour)
		l.starts(0, time.Second)
		if v := l.View().Schedules[0]; !v.Next.IsZero() {
			l.Errorf("%+v", v)
		}
		l.w.fail("Make", nil)
		l.act("rebuild")
		l.serves("r1")
		l.starts(0, time.Second)
		l.starts(1, time.Hour).exit(good)
	})
}

func TestAnEditOfASchedule(t *testing.T) {
	scheduling(t, func(l *life) {
		tree := l.starts(1, time.Hour)
		l.entry.Schedules = []config.Schedule{hourly()}
		l.entry.Schedules[0].Cron = "30 * * * *"
		l.configure(false)
		<-l.CaughtUp()
		if v := l.View().Schedules[0]; v.Next != time.Date(2000, 1, 1, 1, 30, 0, 0, time.UTC) || v.Running != 1 {
			l.Errorf("%+v", v)
		}
		tree.exit(good)
		l.starts(2, 31*time.Minute)
		l.entry.Schedules = nil
		l.configure(false)
		<-l.CaughtUp()
		l.pass(5 * time.Hour)
		l.starts(2, time.Second)
		if l.scheduled()[1].wasTold() && len(l.View().Schedules) > 0 {
			l.Error("it is still there")
		}
		if len(l.w.record.Schedules) > 0 || l.schedules.timer != nil {
			l.Error("it is not forgotten")
		}
	}, hourly())
}

func TestABuildWithoutSchedulesHasNoTimer(t *testing.T) {
	serving(t, func(l *life) {
		if l.schedules.timer != nil || l.w.record.Schedules != nil {
			l.Error("it has")
		}
	})
}

func TestAClockThatIsSet(t *testing.T) {
	set := func(l *life, by time.Duration) { l.w.do(func() { l.w.off += by }) }
	scheduling(t, func(l *life) {
		l.starts(1, time.Hour).exit(good)
		set(l, -90*time.Minute)
		l.pass(89 * time.Minute)
		l.starts(1, time.Second)
		l.pass(62 * time.Minute)
		l.starts(2, time.Second).exit(good)
		set(l, 2*time.Hour)
		l.pass(2 * time.Minute)
		l.starts(3, time.Second).exit(good)
		set(l, 365*24*time.Hour)
		l.pass(2 * time.Minute)
		l.starts(4, time.Second).exit(good)
		set(l, -365*24*time.Hour)
		l.pass(time.Hour)
		l.starts(5, time.Second).exit(good)
	}, hourly())
}

// secondLife begins where the record of l is, in a new supervisor, after a time.
func secondLife(t *testing.T, executed bool, first, second func(l *life), away time.Duration, entry func(*config.Build)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		l := born(t, w, entryWith(entry))
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.pass(time.Until(time.Date(2000, 1, 1, 0, 30, 0, 0, time.UTC)))
		first(l)
		var record *state.Record
		w.do(func() { record = w.record })
		l.end()
		time.Sleep(away)
		next := born(t, w, l.entry)
		next.Executed = executed
		defer next.end()
		w.do(func() { w.ran = nil })
		next.Restore(*record, w.kept, nil)
		next.Releases(w.kept)
		next.AdoptTasks(nil)
		next.Adopt(nil, nil)
		next.configure(false)
		if record.StoppedByHand {
			next.pass(time.Minute)
			next.act("start")
		}
		next.serves("r1")
		second(next)
	})
}

func TestWhatWasStoppedByHandMissedNothing(t *testing.T) {
	secondLife(t, false, func(l *life) { l.act("stop") }, func(l *life) {
		l.pass(time.Minute)
		l.starts(0, time.Second)
	}, 5*time.Hour, func(e *config.Build) {
		s := hourly()
		s.CatchUp = true
		e.Schedules = []config.Schedule{s}
	})
}

func entryWith(change func(*config.Build)) config.Build {
	e := entry()
	change(&e)
	return e
}

func TestAfterTheSupervisorWasAway(t *testing.T) {
	for name, c := range map[string]struct {
		catchUp  bool
		executed bool
		first    func(l *life)
		away     time.Duration
		want     int // runs within a minute
	}{
		"over a time":                {false, false, func(*life) {}, 5 * time.Hour, 0},
		"over a time, to be made up": {true, false, func(*life) {}, 5 * time.Hour, 1},
		"over no time":               {true, false, func(*life) {}, 20 * time.Minute, 0},
		"the time was run":           {true, false, func(l *life) { l.starts(1, time.Hour).exit(good); l.pass(time.Second) }, 5 * time.Minute, 0},
		"an exec, over a time": {false, true, func(l *life) {
			l.pass(time.Until(time.Date(2000, 1, 1, 0, 59, 59, 5e8, time.UTC)))
		}, 2 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			secondLife(t, c.executed, c.first, func(l *life) {
				l.pass(time.Minute)
				n := 0
				for _, tree := range l.scheduled() {
					if !tree.isGone() {
						n++
						tree.exit(good)
					}
				}
				if n != c.want {
					l.Errorf("%d runs, want %d", n, c.want)
				}
			}, c.away, func(e *config.Build) {
				s := hourly()
				s.CatchUp = c.catchUp
				e.Schedules = []config.Schedule{s}
			})
		})
	}
}

// A run that is about to begin is not lost by an exec.
func TestPauseWaitsForARunThatBegins(t *testing.T) {
	scheduling(t, func(l *life) {
		l.pass(time.Until(time.Date(2000, 1, 1, 1, 0, 0, 5e6, time.UTC)))
		if why := <-l.Pause(nil); why != "one begins a run of the schedule sessions" {
			l.Error(why)
		}
		l.starts(1, time.Minute).exit(good)
	}, hourly())
}
