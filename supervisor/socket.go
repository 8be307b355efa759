package supervisor

import (
	"context"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
)

// socket is a listener and how many hold it: the public name is one holder,
// each generation that was given it another. Only the build's actor counts.
type socket struct {
	l       *listener.Listener
	holders int
	public  bool // had the public name once, so clients may be queued on it
}

func (s *socket) hold() *socket {
	s.holders++
	return s
}

// letGo gives up one hold on s. With the last one the socket is closed, but
// not before whoever is queued on it was passed on to the build's public
// socket, or refused where there is none.
func (a *actor) letGo(s *socket) {
	if s == nil {
		return
	}
	s.holders--
	if s.holders > 0 {
		return
	}
	if !s.public {
		a.warn("remove staging socket", s.l.Unlink())
		a.warn("close staging socket", s.l.Close())
		return
	}
	to := a.publicPath()
	a.passing.Add(1)
	a.spawnTask(func(ctx context.Context) {
		defer a.passing.Add(-1)
		if n := a.passOn(ctx, s.l, to); n > 0 {
			a.log.Info("queued clients were passed on", "count", n)
		}
		a.warn("close socket", s.l.Close())
	})
}

// leftoverTime bounds how long clients of a socket nobody serves are looked after.
const leftoverTime = 30 * time.Second

// passOn empties the queue of l: to the socket at to, or with a refusal where
// to is empty. It answers how many clients there were.
func (a *actor) passOn(ctx context.Context, l *listener.Listener, to string) int {
	ctx, cancel := context.WithTimeout(ctx, leftoverTime)
	defer cancel()
	if to != "" {
		n, err := l.Forward(ctx, to)
		a.warn("pass queued clients on", err)
		return n
	}
	refusing, done := context.WithCancel(ctx)
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		// The error is the context's: what is left then has been refused or
		// has waited longer than anybody does.
		_ = l.Drained(ctx)
		done()
	}()
	n := l.Refuse(refusing, a.retryAfter)
	done()
	<-emptied
	return n
}

// publicPath is where the public name leads to a listener now, or "".
func (a *actor) publicPath() string {
	if a.public == nil {
		return ""
	}
	return a.socketPath
}

// refuse turns the supervisor's own 503 on the public listener on or off.
func (a *actor) refuse(on bool, until time.Time) {
	if a.stopRefusing != nil {
		a.stopRefusing()
		a.stopRefusing = nil
	}
	a.refuseUntil.Store(&until)
	if on {
		a.startRefusing()
	}
}

func (a *actor) startRefusing() {
	if err := a.regain(); err != nil {
		a.log.Error("clients cannot be told to come back, there is no public socket", "error", err)
		return
	}
	l := a.public.l
	ctx, cancel := context.WithCancel(a.hard)
	refused := make(chan struct{})
	a.stopRefusing, a.refused = cancel, refused
	a.spawnTask(func(context.Context) {
		defer close(refused)
		l.Refuse(ctx, a.retryAfter)
	})
}

// retryAfter is how long refused clients are told to wait: until the next
// start where that is known, else a guess that is polite and not too long.
func (a *actor) retryAfter() time.Duration {
	const usual = 2 * time.Second
	at := a.refuseUntil.Load()
	if at == nil || at.IsZero() {
		return usual
	}
	return max(time.Until(*at), time.Second)
}
