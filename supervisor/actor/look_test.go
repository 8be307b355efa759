package actor

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// usual runs f on a build with a database whose release r1 serves.
func usual(t *testing.T, f func(l *life)) {
	t.Helper()
	story(t, func(l *life) {
		l.entry.Migrate, l.entry.Check = true, true
		l.environ("PASSWORD=right")
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.pass(l.entry.StableAfter)
		if l.looks() != 0 {
			l.Error("what its steps had tried was tried once more")
		}
		l.w.do(func() { l.w.events = nil })
		f(l)
	})
}

// environ changes the environment, and says nothing of it.
func (l *life) environ(env ...string) { l.w.do(func() { l.w.environ = env }) }

// looks is how often an environment was checked.
func (l *life) looks() (n int) {
	l.w.do(func() { n = len(l.w.looks) })
	return n
}

func TestChangedEnvironmentIsCheckedBeforeItTakesOver(t *testing.T) {
	usual(t, func(l *life) {
		old := l.server()
		l.environ("PASSWORD=other")
		l.configure(false)
		l.pass(l.w.takes / 2)
		if l.server() != old || l.looks() != 1 {
			l.Errorf("after %d checks it has taken over: %v", l.looks(), l.server() != old)
		}
		l.replaced(old)
		l.w.do(func() {
			look := l.w.looks[0]
			if look.Release.ID != "r1" || !slices.Equal(look.Environ, []string{"PASSWORD=other"}) || look.Root != string(root) {
				l.Errorf("checked: %+v", look)
			}
		})
		if !slices.Contains(l.server().env, "PASSWORD=other") {
			l.Errorf("environment %q", l.server().env)
		}
	})
}

func TestWrongPasswordNeverTakesOver(t *testing.T) {
	usual(t, func(l *life) {
		old := l.server()
		l.w.fail("Check", &build.LookError{Err: errors.New("Access denied")})
		l.environ("PASSWORD=wrong")
		l.configure(false)
		l.pass(24 * time.Hour)
		if l.server() != old || l.looks() != 1 || len(l.w.living()) != 1 {
			l.Errorf("%d checks, %d trees, it has taken over: %v", l.looks(), len(l.w.living()), l.server() != old)
		}
		l.events("candidate_failed")
		l.says("release r1 did not take over with the changed run settings: check of the changed environment: Access denied")
		if reason := l.View().State.ReasonAt(time.Now()); reason != l.View().State.Reason()+"; not tried again until an input changes or somebody asks" {
			l.Errorf("the reason is %q", reason)
		}
		l.crash(crash) // which is answered as before
		l.serves("r1")
		if !slices.Contains(l.server().env, "PASSWORD=right") || l.looks() != 1 {
			l.Errorf("environment %q after %d checks", l.server().env, l.looks())
		}
		l.w.fail("Check", nil)
		l.environ("PASSWORD=right")
		l.configure(false)
		l.pass(time.Minute)
		l.says("")
	})
}

func TestDatabaseThatIsAwayDelaysAChangedEnvironment(t *testing.T) {
	usual(t, func(l *life) {
		old := l.server()
		l.w.fail("Check", &build.LookError{Err: errors.New("Can't connect"), Away: true})
		l.environ("PASSWORD=other")
		l.configure(false)
		l.pass(time.Hour)
		if n := l.looks(); l.server() != old || n < 10 || n > 30 || len(l.View().State.Bad) > 0 {
			l.Errorf("%d checks, rejected: %v", n, l.View().State.Bad)
		}
		l.w.fail("Check", nil)
		l.replaced(old)
		l.says("")
	})
}

func TestOnlyAChangedEnvironmentIsChecked(t *testing.T) {
	usual(t, func(l *life) {
		before := l.server()
		l.entry.Workers = 3 // other run settings
		l.configure(false)
		l.replaced(before)
		l.crash(crash)
		l.serves("r1")
		l.does(Command{Action: "restart"}, "")
		l.environ("PASSWORD=newer")
		l.change("second")
		l.configure(false)
		l.serves("r2") // built before or after, it is tried in the newer environment
		l.change("third")
		l.serves("r3")
		if n := l.looks(); n > 1 {
			l.Errorf("%d checks", n)
		}
	})
	usual(t, func(l *life) {
		l.entry.Migrate, l.entry.Check = false, false
		l.configure(false)
		l.environ("PASSWORD=other")
		before := l.server()
		l.configure(false)
		l.replaced(before)
		if l.looks() != 0 {
			l.Error("checked, though nothing of it was asked for")
		}
	})
}

// Where the file was edited while no supervisor ran, nothing says what its environment was.
func TestEnvironmentThatChangedWhileNobodyWatchedIsChecked(t *testing.T) {
	usual(t, func(l *life) {
		l.environ("PASSWORD=other")
		next := l.again()
		defer next.end()
		next.until("serving it", func(v *View) bool {
			return v.State.Phase() == machine.PhaseRunning && v.State.Serving.Version.RunKey == v.State.RunKey
		})
		if next.looks() != 1 {
			l.Errorf("%d checks", next.looks())
		}
	})
}

func TestCheckOfAnEnvironmentEndsWithItsCandidate(t *testing.T) {
	usual(t, func(l *life) {
		l.w.do(func() { l.w.takes = time.Hour })
		l.environ("PASSWORD=other")
		l.configure(false)
		l.until("a candidate", func(v *View) bool { return v.State.Candidate.N != 0 })
		l.pass(10 * time.Minute) // it is ready, and waits
		begun := time.Now()
		l.does(Command{Action: "stop"}, "")
		if took := time.Since(begun); took > time.Minute {
			l.Errorf("the stop took %v", took)
		}
	})
}
