package actor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

func TestAttemptIsSeenWhileItGoesAndAfterwards(t *testing.T) {
	story(t, func(l *life) {
		l.w.takes = time.Minute
		if l.LastAttempt() != nil || l.Progress() != nil || l.Kept() != nil {
			l.Error("something was attempted")
		}
		l.Adopt(nil, nil)
		l.configure(false)
		l.pass(20 * time.Second)
		p := l.Progress()
		if p == nil || p.Step != "install" || p.Took() != 20*time.Second {
			l.Errorf("progress %+v", p)
		}
		if last := l.LastAttempt(); last.Result != "running" || last.Took != 20*time.Second || len(last.Steps) != 0 {
			l.Errorf("attempt %+v", last)
		}
		l.serves("r1")
		last := l.LastAttempt()
		if last.Result != "built" || last.Release != "r1" || last.Took != 2*time.Minute || len(last.Steps) != 2 || last.Steps[0] != (build.StepTime{Name: "install", Took: time.Minute}) {
			l.Errorf("attempt %+v", last)
		}
		if !slices.Equal(l.Kept(), []string{"r1"}) || l.Progress() != nil {
			l.Errorf("kept %q, progress %+v", l.Kept(), l.Progress())
		}
		done := Progress{build.Progress{Done: true, Elapsed: time.Second}, time.Time{}}
		if done.Took() != time.Second {
			l.Errorf("a step that is done took %v", done.Took())
		}
	})
}

func TestAttemptThatChangesNothingLeavesTheOneBefore(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		l.InputsChanged()
		l.until("over", func(*View) bool { return l.w.attempts() == "built unchanged" })
		synctest.Wait()
		if last := l.LastAttempt(); last.Result != "built" || last.Release != "r1" || l.server() != server {
			l.Errorf("last attempt %+v", last)
		}
		l.events("")
	})
}

func TestFailedAttemptLeavesWhatServesAndIsRepeated(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		l.w.fail("Make", &build.StepError{Build: "one", Step: "install", Err: errBroken, Log: "/log"})
		l.change("second")
		l.told(machine.EventBuildFailed)
		synctest.Wait()
		if last := l.LastAttempt(); last.Result != "failed" || last.Error == "" || l.server() != server || l.View().State.BuildErr == "" {
			l.Errorf("last attempt %+v", last)
		}
		l.w.fail("Make", nil)
		l.serves("r2") // nobody asked again
		if got := l.w.attempts(); got != "built failed built" {
			l.Errorf("attempts: %s", got)
		}
	})
}

func TestAttemptIsCancelledForNewerInputsUnlessItMigrates(t *testing.T) {
	for migrates, want := range map[bool]string{false: "built cancelled built", true: "built built built"} {
		t.Run(fmt.Sprintf("migrates %v", migrates), func(t *testing.T) {
			serving(t, func(l *life) {
				l.entry.Migrate = migrates
				l.configure(false)
				l.change("second")
				l.pass(3 * l.w.takes / 2)
				if l.View().State.Building.Committed != migrates {
					l.Fatal("it is not where it should be")
				}
				l.change("third")
				l.until("over", func(v *View) bool { return !v.State.Building.Running && v.State.NeedBuild == machine.NeedNone })
				l.until("served", func(v *View) bool {
					return v.State.Serving.Version.Release == v.State.LastBuilt && v.State.Candidate.N == 0
				})
				if got := l.w.attempts(); got != want {
					l.Errorf("attempts %s, want %s", got, want)
				}
			})
		})
	}
}

func TestAttemptsWaitUntilEveryBuildHasTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := born(t, newWorld(), entry())
		defer l.end()
		begun := make(chan struct{})
		l.Actor.Begun = begun
		l.Adopt(nil, nil)
		l.configure(false)
		l.pass(time.Hour)
		if l.LastAttempt() != nil {
			l.Error("it did not wait")
		}
		close(begun)
		l.serves("r1")
	})
	story(t, func(l *life) { // and end with the supervisor
		l.Actor.Begun = make(chan struct{})
		l.Adopt(nil, nil)
		l.configure(false)
		l.pass(time.Minute)
	})
}

func TestPruneKeepsWhatIsInUse(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		l.change("second")
		l.told(machine.EventTookOver)
		l.until("retiring", func(v *View) bool { return len(v.State.Ending) == 1 })
		l.w.do(func() {
			if !slices.Contains(l.w.inUse, "r2") || !slices.Contains(l.w.inUse, "r1") {
				l.Errorf("in use: %q, and r1 still runs", l.w.inUse)
			}
			slices.Sort(l.w.keep)
			b := l.Root.Build("one")
			want := []string{b.Conf(l.View().State.RunKey), b.Private(1), b.Private(2), b.Temp(1), b.Temp(2)}
			if keep := slices.Compact(l.w.keep); !slices.Equal(keep, want) {
				l.Errorf("generated files that are kept: %q, want %q", keep, want)
			}
		})
	})
}

func TestStepMayPassOnlyBeforeTheAttemptIsCancelled(t *testing.T) {
	t.Parallel()
	for _, cancelled := range []bool{false, true} {
		ctx, cancel := context.WithCancel(context.Background())
		p := &commitPoint{cancel: cancel}
		if cancelled && !p.abandon() {
			t.Error("an attempt that may be cancelled was not")
		}
		if p.reached() == cancelled || p.abandon() != cancelled {
			t.Errorf("cancelled before: %v, and it goes on all the same", cancelled)
		}
		if (ctx.Err() != nil) != cancelled {
			t.Errorf("its context: %v", ctx.Err())
		}
		p.over()
	}
}
