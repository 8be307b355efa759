package actor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// within runs f on a build that serves within limits.
func within(t *testing.T, f func(l *life)) {
	t.Helper()
	serving(t, func(l *life) {
		before := l.server()
		l.entry.Limits = config.Limits{Memory: 512 << 20, Tasks: 50}
		l.configure(false)
		l.replaced(before) // the first limits begin with another generation
		l.pass(time.Minute)
		l.events("proved took_over stable")
		f(l)
	})
}

func TestNewLimitIsThatOfWhatIsRunningWithoutARestart(t *testing.T) {
	within(t, func(l *life) {
		before := l.server()
		if before.limits != l.entry.Limits {
			t.Errorf("it was started with %+v", before.limits)
		}
		l.entry.Limits = config.Limits{Memory: 256 << 20, Tasks: 60}
		l.configure(false)
		<-l.CaughtUp()
		if l.server() != before || before.limits != l.entry.Limits {
			t.Errorf("its limits are %+v, want %+v", before.limits, l.entry.Limits)
		}
		// A crash is followed by the limits of today, not by those that the server was started with.
		l.crash(crash)
		l.serves("r1")
		if after := l.server(); after == before || after.limits != l.entry.Limits {
			t.Errorf("after a crash its limits are %+v", after.limits)
		}
	})
}

// What the file asks for is not what confines a server that has not been replaced yet.
func TestBoundsAreThoseOfWhatServes(t *testing.T) {
	within(t, func(l *life) {
		want := Bounds{false, config.Limits{Memory: 512 << 20, Tasks: 50}}
		if got := l.View().Bounds; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		before := l.server()
		l.entry.Sandbox.Enabled = true
		l.entry.Limits = config.Limits{Memory: 256 << 20, Tasks: 60, CPU: 1.5, Nofile: 100, Core: config.NoLimit}
		l.configure(false)
		<-l.CaughtUp()
		want.Limits = config.Limits{Memory: 256 << 20, Tasks: 60}
		if got := l.View().Bounds; got != want {
			t.Errorf("while it is being replaced: %+v, want %+v", got, want)
		}
		l.replaced(before)
		if got, want := l.View().Bounds, (Bounds{true, l.entry.Limits}); got != want {
			t.Errorf("of its successor: %+v, want %+v", got, want)
		}
	})
}

func TestLimitThatCannotBeAppliedIsShownUntilItIs(t *testing.T) {
	within(t, func(l *life) {
		l.w.fail("Limit", errors.New("limits.memory = 4M cannot be applied: more than that is in use"))
		l.entry.Limits.Memory = 4 << 20
		l.configure(false)
		l.until("showing it", func(v *View) bool {
			return slices.Contains(v.Limits, "limits.memory = 4M cannot be applied: more than that is in use")
		})
		l.w.fail("Limit", nil)
		l.entry.Limits.Memory = 8 << 20
		l.configure(false)
		l.until("showing nothing", func(v *View) bool { return len(v.Limits) == 0 })
	})
}

// A log that cannot be opened costs the log alone, and is said where people look.
func TestOutputThatIsKeptNowhereIsShownUntilItIs(t *testing.T) {
	within(t, func(l *life) {
		l.w.fail("Log", errors.New("open log: something else is there"))
		before := l.server()
		before.exit(Exit{Words: "killed by SIGKILL", Code: -1, Signal: true})
		l.replaced(before)
		if lost := l.View().Lost; !slices.Equal(lost, []string{"what is printed is lost until the next start: open log: something else is there"}) {
			t.Errorf("%q", lost)
		}
		l.w.fail("Log", nil)
		before = l.server()
		before.exit(Exit{Words: "killed by SIGKILL", Code: -1, Signal: true})
		l.replaced(before)
		if lost := l.View().Lost; len(lost) != 0 {
			t.Errorf("%q", lost)
		}
	})
}

func TestOOMKillOfAWorkerIsToldWhileItsServerLives(t *testing.T) {
	within(t, func(l *life) {
		before := l.server()
		l.w.do(func() { before.kills = 2 })
		l.told("out_of_memory")
		l.until("showing it", func(v *View) bool { return len(v.Limits) == 1 })
		if got := l.View().Limits[0]; got != "the kernel killed 2 processes of what serves: out of memory (limit 512M); let it use less, or raise limits.memory" {
			t.Error(got)
		}
		l.pass(time.Minute)
		l.events("out_of_memory") // once
		if l.server() != before || l.w.oomKilled != 2 {
			t.Errorf("%d kills are counted", l.w.oomKilled)
		}
		l.w.do(func() { before.kills = 3 })
		l.pass(time.Minute)
		if e := l.w.events; len(e) != 1 || e[0].Reason != "the kernel killed a process: out of memory (limit 512M)" || l.w.oomKilled != 3 {
			t.Errorf("told of %+v; %d kills are counted", e, l.w.oomKilled)
		}
		l.w.do(func() { l.w.events = nil })
		// The next generation has nothing of it.
		l.change("second")
		l.serves("r2")
		if v := l.View(); len(v.Limits) != 0 {
			t.Errorf("still shown: %q", v.Limits)
		}
	})
}

func TestOOMKillOfAServerIsTheReasonOfItsExit(t *testing.T) {
	within(t, func(l *life) {
		before := l.server()
		l.w.do(func() { before.kills = 3 })
		l.crash(Exit{Words: "killed by the kernel: out of memory (limit 512M)", Code: -1, Signal: true, Outside: true})
		l.serves("r1")
		if st := l.View().State; st.LastExit != "killed by the kernel: out of memory (limit 512M)" || l.w.oomKilled != 3 {
			t.Errorf("last exit %q, %d kills are counted", st.LastExit, l.w.oomKilled)
		}
		l.events("out_of_memory exited recovered")
	})
}

func TestOOMKillOfAStepIsCounted(t *testing.T) {
	within(t, func(l *life) {
		oom := &build.OutOfMemoryError{Kills: 1, Words: "killed by the kernel: out of memory (limit 512M)"}
		l.w.fail("Make", &build.StepError{Step: "install", Err: oom, Log: "/log"})
		l.change("second")
		l.told("build_failed")
		if told := l.w.told(); !strings.HasPrefix(told, "out_of_memory") || l.w.oomKilled != 1 {
			t.Errorf("told of %q, %d kills are counted", told, l.w.oomKilled)
		}
	})
}

// together is what all trees may use together, in the world's eyes.
func (l *life) together() (all config.Limits, twice bool) {
	l.w.do(func() { all, twice = l.w.bound, l.w.twice })
	return all, twice
}

// What serves is not starved by the start of its successor, and once that serves alone the build has what
// the file says.
func TestTreesOfABuildAreBoundTogether(t *testing.T) {
	within(t, func(l *life) {
		if all, twice := l.together(); all != l.entry.Limits || twice {
			t.Errorf("together they may use %+v, twice that: %v", all, twice)
		}
		before := l.server()
		l.w.do(func() { before.conduct.stubborn = true })
		l.w.do(func() { l.w.conduct["r2"] = conduct{mute: true} })
		l.change("second")
		l.until("a candidate", func(v *View) bool { return v.State.Candidate.N != 0 })
		if _, twice := l.together(); !twice {
			t.Error("a candidate takes from what serves")
		}
		l.w.do(func() { l.w.conduct = map[string]conduct{} })
		l.change("third")
		l.until("ending the old one", func(v *View) bool { return v.State.Serving.Version.Release == "r3" && len(v.State.Ending) > 0 })
		if _, twice := l.together(); !twice {
			t.Error("what ends takes from what serves")
		}
		l.serves("r3")
		if all, twice := l.together(); all != l.entry.Limits || twice {
			t.Errorf("when the old ones have ended they may use %+v, twice that: %v", all, twice)
		}
		l.entry.Limits.Memory = 256 << 20
		l.configure(false)
		<-l.CaughtUp()
		if all, _ := l.together(); all != l.entry.Limits {
			t.Errorf("after an edit they may use %+v", all)
		}
		for _, tree := range l.w.living() {
			if tree.start.Build != "one" {
				t.Errorf("%s is in no build's limits", tree.mark)
			}
		}
	})
}

func TestBoundThatCannotBeSetIsTriedAgain(t *testing.T) {
	within(t, func(l *life) {
		l.w.fail("Bound", errors.New("limits.memory = 4M cannot be applied: more than that is in use"))
		l.entry.Limits.Memory = 4 << 20
		l.configure(false)
		l.until("showing it", func(v *View) bool {
			return slices.Contains(v.Limits, "limits.memory = 4M cannot be applied: more than that is in use")
		})
		l.w.fail("Bound", nil)
		l.pass(time.Minute)
		if v := l.View(); len(v.Limits) != 0 {
			t.Errorf("still shown: %q", v.Limits)
		}
	})
}

func TestOOMKillOfAProcessIsToldByItsName(t *testing.T) {
	within(t, func(l *life) {
		l.entry.Processes = []config.Process{{Name: "worker", Command: []string{"work"}, Count: 2, Restart: config.RestartAlways}}
		l.configure(false)
		l.until("both up", func(v *View) bool { return len(v.State.Processes) == 2 && v.State.Processes[1].Ready })
		l.w.do(func() { l.w.events = nil })
		l.w.do(func() { l.w.trees[len(l.w.trees)-1].kills = 1 })
		l.told("out_of_memory")
		var told Event
		l.w.do(func() { told = l.w.events[0] })
		if told.Reason != "worker.2: the kernel killed a process: out of memory (limit 512M)" {
			t.Errorf("told of %+v", told)
		}
		l.until("showing it", func(v *View) bool {
			return slices.Contains(v.Limits, "the kernel killed a process of worker: out of memory (limit 512M); let it use less, or raise limits.memory")
		})
	})
}
