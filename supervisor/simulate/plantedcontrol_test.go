package simulate

import (
	"context"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// longWaiting does not tell that a caller has gone.
type longWaiting struct {
	control.Backend
	inc *incarnation
}

func (l longWaiting) Attend(ctx context.Context, name, id string) (control.TaskStatus, error) {
	type result struct {
		t   control.TaskStatus
		err error
	}
	done := make(chan result, 1)
	go func() {
		t, err := l.Backend.Attend(l.inc.life, name, id)
		done <- result{t, err}
	}()
	select {
	case r := <-done:
		return r.t, r.err
	case <-ctx.Done():
		return control.TaskStatus{}, ctx.Err()
	}
}

// cheerful says that every command ended well.
type cheerful struct{ control.Backend }

func (c cheerful) Attend(ctx context.Context, name, id string) (control.TaskStatus, error) {
	t, err := c.Backend.Attend(ctx, name, id)
	t.Code, t.Exit = 0, "exit code 0"
	return t, err
}

// patient looks at the disk for its status.
type patient struct {
	control.Backend
	inc *incarnation
}

func (p patient) Status(usage bool) control.Status {
	p.inc.unblocked()
	return p.Backend.Status(usage)
}

// badControl takes commands with another backend.
type badControl struct {
	ports.Control
	wrap func(control.Backend) control.Backend
}

func (c badControl) Serve(ctx context.Context, b control.Backend, m *control.Metrics) {
	c.Control.Serve(ctx, c.wrap(b), m)
}

// forgetful gives no result to who was overtaken by another command.
type forgetful struct {
	control.Backend
	inc   *incarnation
	count int
}

func (f *forgetful) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (control.Outcome, error) {
	f.inc.w.mu.Lock()
	f.count++
	mine := f.count
	f.inc.w.mu.Unlock()
	o, err := f.Backend.Act(ctx, name, action, args, progress)
	f.inc.w.mu.Lock()
	overtaken := f.count != mine
	f.inc.w.mu.Unlock()
	if overtaken {
		<-ctx.Done()
		return o, ctx.Err()
	}
	return o, err
}

// hasty says that everything is done.
type hasty struct{ control.Backend }

func (h hasty) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (control.Outcome, error) {
	hurried := map[string]string{"wait": "no"}
	for k, v := range args {
		hurried[k] = v
	}
	return h.Backend.Act(ctx, name, action, hurried, progress)
}
