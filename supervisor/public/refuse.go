package public

import (
	"context"
	"time"
)

// refusal is the supervisor's own answer to clients while nothing serves: 503 with Retry-After, so
// that nobody hangs.
type refusal struct {
	stop context.CancelFunc
	over chan struct{} // closed once every accepted client has its answer
}

// Refuse turns the supervisor's own answer on or off. until is when the name is served again; zero:
// not known.
func (n *Name) Refuse(on bool, until time.Time) error {
	if n.refusal != nil {
		n.refusal.stop()
		n.refusal = nil
	}
	n.until.Store(&until)
	if !on {
		return nil
	}
	return n.startRefusing()
}

func (n *Name) startRefusing() error {
	if err := n.Open(); err != nil {
		return err
	}
	l := n.socket.Listener
	ctx, cancel := context.WithCancel(context.Background())
	r := &refusal{stop: cancel, over: make(chan struct{})}
	n.refusal = r
	n.Task(func(hard context.Context) {
		defer close(r.over)
		defer context.AfterFunc(hard, cancel)()
		n.turned.Add(int64(l.Refuse(ctx, n.retryAfter)))
	})
	return nil
}

// Pause stops refusing. over is closed once every accepted client has its answer; resume starts
// refusing again if Pause stopped it. Pause and resume belong to the owner's goroutine, or to the
// code that has paused the owner.
func (n *Name) Pause() (over <-chan struct{}, resume func() error) {
	r := n.refusal
	if r == nil {
		none := make(chan struct{})
		close(none)
		return none, func() error { return nil }
	}
	r.stop()
	return r.over, n.startRefusing
}

// retryAfter is how long refused clients are told to wait: until the next start if that is known,
// else a guess that is polite and not too long.
func (n *Name) retryAfter() time.Duration {
	const usual = 2 * time.Second
	at := n.until.Load()
	if at == nil || at.IsZero() {
		return usual
	}
	return max(at.Sub(n.Now()), time.Second)
}
