package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hanging is a Runner that starts nothing as long as it hangs, and cannot be told to end.
type hanging struct {
	Runner
	hangs atomic.Bool
	begun chan struct{} // gets what hangs
	goOn  chan struct{}
}

func (r *hanging) Start(c Command) (Process, error) {
	if r.hangs.Load() {
		r.begun <- struct{}{}
		<-r.goOn
	}
	return r.Runner.Start(c)
}

func hangingProject(t *testing.T) (*project, *hanging) {
	t.Helper()
	p := newProject(t, "")
	p.environment(t)
	r := &hanging{Runner: newRunner(t), begun: make(chan struct{}, 9), goOn: make(chan struct{})}
	r.hangs.Store(true)
	p.m = New(Options{Runner: r, Environ: os.Environ(), Parallel: 1, Known: p.m.Interpreters()})
	return p, r
}

func TestAttemptThatHangsIsLeftBehindWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	p, r := hangingProject(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		_, _, err := p.m.Make(ctx, p.request())
		result <- err
	}()
	<-r.begun
	cancel()
	begun := time.Now()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("cancelling took %v", took)
	}
	// Nothing else of the build begins meanwhile, and other builds are made.
	waiting := make(chan string, 100)
	request := p.request()
	request.Progress = func(now Progress) { waiting <- now.Step }
	go func() {
		_, _, err := p.m.Make(t.Context(), request)
		result <- err
	}()
	contains(t, <-waiting, "the attempt before")
	r.hangs.Store(false)
	p.second(t).made(t)
	select {
	case err := <-result:
		t.Errorf("two attempts of one build at once: %v", err)
	default:
	}
	close(r.goOn)
	must(t, <-result)
}

func TestStepThatNothingCanEndFailsTheAttempt(t *testing.T) {
	t.Parallel()
	p, r := hangingProject(t)
	defer close(r.goOn)
	p.StepTimeout = time.Second
	_, _, err := p.m.Make(t.Context(), p.request())
	if err == nil || !strings.Contains(err.Error(), "check takes longer than step_timeout, and nothing can end it") {
		t.Error(err)
	}
	if _, _, err := p.m.Make(t.Context(), p.request()); err == nil || !strings.Contains(err.Error(), "the attempt before does not end") {
		t.Error(err)
	}
}

// sparse makes a file that claims a size and holds nothing.
func sparse(t *testing.T, path string, size int64) {
	t.Helper()
	must(t, os.WriteFile(path, nil, 0o644))
	if err := os.Truncate(path, size); err != nil {
		t.Skip("no such file can be made here: ", err)
	}
}

func TestFileThatClaimsTooMuchIsNamed(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]string{"a wheel": "huge-1-py3-none-any.whl", "a file of the application": "API/huge", "a file of a project": "libs/demo/huge"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.write(t, "libs/demo/pyproject.toml", "[project]\nname = 'demo'\nversion = '1'\n")
			p.write(t, "requirements.txt", "./libs/demo\n./huge-1-py3-none-any.whl\n")
			p.write(t, "huge-1-py3-none-any.whl", "")
			path := filepath.Join(p.Source, where)
			sparse(t, path, 8<<40)
			begun := time.Now()
			_, _, err := p.m.Make(t.Context(), p.request())
			if err == nil || !strings.Contains(err.Error(), where+": too large: it has 8192.0 GiB") {
				t.Error(err)
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestReadingOfInputsIsCancelledAndHasATimeout(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"huge-1-py3-none-any.whl", "API/huge"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, "")
			p.StepTimeout = 300 * time.Millisecond
			p.write(t, "requirements.txt", "./huge-1-py3-none-any.whl\n")
			p.write(t, "huge-1-py3-none-any.whl", "")
			sparse(t, filepath.Join(p.Source, where), 64<<30) // as much as is read at all
			_, _, err := p.m.Make(t.Context(), p.request())
			if err == nil || !strings.Contains(err.Error(), "took longer than step_timeout, 300ms") || !strings.Contains(err.Error(), p.Source) {
				t.Error(err)
			}
			p.StepTimeout = time.Hour
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if _, _, err := p.m.Make(ctx, p.request()); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("cancelling took %v", took)
			}
		})
	}
}
