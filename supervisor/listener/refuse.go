package listener

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Refuse takes the clients that come and answers each 503 with Retry-After, until ctx ends: for a
// build that cannot run just now, so that nobody hangs. It returns how many were answered, once
// every accepted client is done with, at most 1.5 s after the end of ctx; none is taken after that
// end. 256 clients at most are served at a time and each for 5 s at most; the others wait in the
// queue.
//
// retryAfter says how long a client should wait; it is sent in whole seconds, rounded up, at least
// 1. It is called for each client, always from the goroutine that called Refuse. The answer names
// the build after the socket's folder.
//
// Refuse returns early only where the socket is of no more use: closed by us, or shut down by a
// child.
func (l *Listener) Refuse(ctx context.Context, retryAfter func() time.Duration) (n int) {
	r := refusal{clients: 256, limits: limits{head: 4 * time.Second, linger: time.Second, stop: 500 * time.Millisecond}}
	for {
		a, err := l.newAcceptor(ctx)
		if err == nil {
			defer a.close()
			return r.run(ctx, a, retryAfter)
		}
		if !errors.Is(err, errShort) || pause(ctx, shortPause) != nil {
			return 0
		}
	}
}

type refusal struct {
	clients int // at most so many at a time
	limits  limits
}

func (r refusal) run(ctx context.Context, a *acceptor, retryAfter func() time.Duration) int {
	var answered atomic.Int64
	var wg sync.WaitGroup
	name := filepath.Base(filepath.Dir(a.listener.Path()))
	slots := make(chan struct{}, r.clients)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		c, err := a.accept()
		if c == nil {
			<-slots
			if err == nil {
				err = a.wait()
			} else if errors.Is(err, errShort) {
				err = pause(ctx, shortPause)
			}
			if err != nil {
				break
			}
			continue
		}
		answer := unavailable(name, retryAfter())
		wg.Go(func() {
			defer func() { <-slots }()
			if answer.give(ctx, c, r.limits) {
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	return int(answered.Load())
}
