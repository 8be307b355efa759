package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hooked runs f on a build that serves and has hooks.
func hooked(t *testing.T, f func(l *life)) {
	t.Helper()
	serving(t, func(l *life) {
		l.entry.Hooks.AfterSwap, l.entry.Hooks.OnFailure = []string{"notify", "up"}, []string{"notify", "down"}
		l.entry.Hooks.OnRecovery = []string{"notify", "well"}
		l.configure(false)
		<-l.CaughtUp()
		f(l)
	})
}

// called returns the hooks that were called so far, with the event each was told.
func (l *life) called() []string {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	var called []string
	for _, h := range l.w.hooks {
		for _, e := range h.Env {
			if len(e) > 14 && e[:14] == "MEDCTRL_EVENT=" {
				called = append(called, h.Argv[1]+" "+e[14:])
			}
		}
	}
	return called
}

// A variable can hold neither a NUL byte nor more than 128 KiB (execve(2)).
func TestNoReasonKeepsAHookFromBeingCalled(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"exit code 1; last output: a\x00b": "exit code 1; last output: a\ufffdb",
		strings.Repeat("é", 100<<10):       strings.Repeat("é", mostReason/2) + "…",
	} {
		if got := inVariable(reason); got != want {
			t.Errorf("%.60q: %.60q, want %.60q", reason, got, want)
		}
	}
}

func TestHooksAreCalledWithWhatHappened(t *testing.T) {
	hooked(t, func(l *life) {
		l.w.do(func() { l.w.environ = []string{"SECRET=x"} })
		l.change("second")
		l.serves("r2")
		h := l.w.hooks[0]
		for _, want := range []string{"SECRET=x", "MEDCTRL_BUILD=one", "MEDCTRL_RELEASE=r2", "MEDCTRL_EVENT=took_over", "MEDCTRL_REASON=", "MEDCTRL_DATA=/opt/medctrl/one/data"} {
			if !slices.Contains(h.Env, want) {
				l.Errorf("environment without %s: %q", want, h.Env)
			}
		}
		if h.Dir != "/opt/medctrl/one" || h.Entry.Name != "one" || !slices.Equal(h.Argv, []string{"notify", "up"}) {
			l.Errorf("%+v", h)
		}
		l.crash(crash)
		l.serves("r2")
		l.w.fail("Make", errBroken)
		l.change("third")
		l.told(machine.EventBuildFailed)
		l.pass(0)
		if called := l.called(); !slices.Equal(called, []string{"up took_over", "down exited", "down build_failed"}) {
			l.Errorf("called: %q", called)
		}
	})
}

func TestHookThatTakesTooLongIsEnded(t *testing.T) {
	hooked(t, func(l *life) {
		var took time.Duration
		var why error
		l.w.do(func() {
			l.w.hook = func(ctx context.Context, _ Hook) (string, error) {
				begun := time.Now()
				<-ctx.Done()
				l.w.do(func() { took, why = time.Since(begun), context.Cause(ctx) })
				return "what it printed", ctx.Err()
			}
		})
		l.crash(crash)
		l.pass(time.Minute)
		l.w.do(func() {
			if took != hookLimit || why == nil || errors.Is(why, context.DeadlineExceeded) {
				l.Errorf("ended after %v: %v", took, why)
			}
		})
	})
}

func TestHookHoldsUpNoStop(t *testing.T) {
	hooked(t, func(l *life) {
		l.w.do(func() {
			l.w.hook = func(ctx context.Context, _ Hook) (string, error) {
				<-ctx.Done()
				return "", ctx.Err()
			}
		})
		l.crash(crash)
		l.serves("r1")
		begun := time.Now()
		l.Shutdown()
		<-l.Done()
		if took := time.Since(begun); took > time.Second {
			l.Errorf("it took %v", took)
		}
	})
}

func TestHookIsNotCalledWithoutItsEnvironmentNorOnceStopped(t *testing.T) {
	hooked(t, func(l *life) {
		l.w.fail("Environ", errBroken)
		l.crash(crash)
		l.serves("r1")
		l.w.fail("Environ", nil)
		l.does(Command{Action: "stop"}, "")
		l.w.fail("Make", errBroken)
		l.does(Command{Action: "rebuild"}, "the build is stopped")
		l.pass(time.Minute)
		if called := l.called(); len(called) > 0 {
			l.Errorf("called: %q", called)
		}
	})
}

// calls compares what was called since the last time with want.
func (l *life) calls(want ...string) {
	l.Helper()
	if called := l.called(); !slices.Equal(called, want) {
		l.Errorf("called: %q, want %q", called, want)
	}
	l.w.do(func() { l.w.hooks = nil })
}

func TestCrashLoopCallsOnceAndItsEndOnceMore(t *testing.T) {
	hooked(t, func(l *life) {
		for range 4 {
			l.crash(crash)
			l.serves("r1")
		}
		l.pass(0)
		l.calls("down exited")
		l.pass(l.entry.StableAfter - time.Second)
		l.calls()
		l.pass(time.Second)
		h := l.w.hooks[0]
		if !slices.Contains(h.Env, "MEDCTRL_REASON=after exited") || !slices.Contains(h.Env, "MEDCTRL_RELEASE=r1") {
			l.Errorf("told %q", h.Env)
		}
		l.calls("well recovered")
		l.pass(time.Hour)
		l.calls()
		l.crash(crash)
		l.serves("r1")
		l.pass(l.entry.StableAfter)
		l.calls("down exited", "well recovered")
	})
}

func TestBuildIsNotWellBeforeItsLastAttemptIsGood(t *testing.T) {
	hooked(t, func(l *life) {
		l.w.fail("Make", errBroken)
		l.change("second")
		l.told(machine.EventBuildFailed)
		l.pass(time.Hour) // it is repeated all the time
		l.calls("down build_failed")
		l.crash(crash)
		l.serves("r1")
		l.pass(time.Hour)
		l.calls("down exited")
		l.w.fail("Make", nil)
		l.change("third")
		l.pass(time.Hour)
		if called := l.called(); len(called) != 2 || called[0] != "up took_over" || called[1] != "well recovered" {
			l.Errorf("called: %q", called)
		}
	})
}

func TestStopIsNoRecovery(t *testing.T) {
	hooked(t, func(l *life) {
		l.crash(crash)
		l.serves("r1")
		l.does(Command{Action: "stop"}, "")
		l.does(Command{Action: "start"}, "")
		l.serves("r1")
		l.pass(time.Hour)
		if called := l.called(); called[0] != "down exited" || slices.Contains(called, "well recovered") {
			l.Errorf("called: %q", called)
		}
	})
}

func TestProcessThatKeepsEndingCallsAndOneThatEndsOnceDoesNot(t *testing.T) {
	note := machine.Note{Event: machine.EventProcessExited, Reason: "worker.1: exit code 1", Times: 1}
	if kind := kindOf(note); kind != "" {
		t.Errorf("at the first time: %q", kind)
	}
	note.Times = 2
	if kind := kindOf(note); kind != "process_exited worker.1" {
		t.Errorf("at the second time: %q", kind)
	}
	hooked(t, func(l *life) {
		l.entry.Processes = []config.Process{{Name: "worker", Command: []string{"work"}, Count: 1, Restart: config.RestartAlways}}
		l.configure(false)
		process := func() *tree {
			for _, beside := range l.View().Beside {
				return beside.(*tree)
			}
			return nil
		}
		l.pass(time.Minute)
		l.calls()
		for i, want := range [][]string{nil, {"down process_exited"}, nil} {
			process().exit(crash)
			l.pass(8 * time.Second) // up again, and not stable
			if called := l.called(); !slices.Equal(called, want) {
				l.Errorf("after death %d called: %q", i+1, called)
			}
			l.w.do(func() { l.w.hooks = nil })
		}
		l.pass(time.Hour)
		l.calls("well recovered")
	})
}

func TestReplicaThatFailsCalls(t *testing.T) {
	hooked(t, func(l *life) {
		l.entry.Replicas, l.entry.Health.Interval = 2, 10*time.Minute // nobody waits for probes here
		l.configure(false)
		l.does(Command{Action: "restart"}, "")
		l.pass(time.Minute)
		l.w.do(func() { l.w.hooks = nil })
		l.View().Beside[0].(*tree).exit(crash)
		l.pass(time.Hour)
		l.calls("down replica_failed", "well recovered")
	})
}

func TestHookHasItsBracesFilledInFromWhatServes(t *testing.T) {
	hooked(t, func(l *life) {
		l.entry.Hooks.OnFailure = []string{"{python}", "{release}/notify.py", "{data}", "${x}"}
		l.configure(false)
		l.w.fail("Make", errBroken)
		l.change("second")
		l.told(machine.EventBuildFailed)
		l.pass(0)
		rel, err := l.Ports.Releases.Get("one", "r1")
		if err != nil {
			l.Fatal(err)
		}
		if got, want := l.w.hooks[0].Argv, []string{rel.Python(), rel.Dir + "/notify.py", "/opt/medctrl/one/data", "${x}"}; !slices.Equal(got, want) {
			l.Errorf("called %q, want %q", got, want)
		}
		l.w.do(func() { l.w.hooks = nil })
		l.w.fail("Get", errBroken) // it is logged, and nothing is called
		l.crash(crash)
		l.pass(time.Minute)
		l.calls()
	})
}

func TestHookOfABuildWithoutAReleaseSaysWhatItMisses(t *testing.T) {
	t.Parallel()
	a := &Actor{identity: identity{name: "one", paths: root.Build("one")}}
	if _, err := a.fillHook(nil, []string{"{data}/x", "{python}"}, ""); err == nil || !strings.Contains(err.Error(), "fill in {python} of the hook: there is no release yet") {
		t.Error(err)
	}
	if argv, err := a.fillHook(nil, []string{"x", "{data}/y"}, ""); err != nil || argv[1] != "/opt/medctrl/one/data/y" {
		t.Error(argv, err)
	}
}

func TestAnotherSupervisorKnowsWhatOnFailureWasCalledFor(t *testing.T) {
	hooked(t, func(l *life) {
		l.crash(crash)
		l.serves("r1")
		next := born(t, l.w, l.entry)
		defer next.hard()
		if next.restore(*l.record(), nil); !slices.Equal(next.hooks.alerted, []string{"exited"}) {
			l.Errorf("%q", next.hooks.alerted)
		}
	})
}
