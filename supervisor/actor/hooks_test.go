package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hooked runs f on a build that serves and has hooks.
func hooked(t *testing.T, f func(l *life)) {
	t.Helper()
	serving(t, func(l *life) {
		l.entry.Hooks.AfterSwap, l.entry.Hooks.OnFailure = []string{"notify", "up"}, []string{"notify", "down"}
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
