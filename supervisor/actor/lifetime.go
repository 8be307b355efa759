package actor

import (
	"context"
	"sync"
)

// lifetime is the context of what runs for a build or for one of its generations. There is one only
// while something runs by it: a thousand builds that are at rest have none. The zero lifetime is ready.
type lifetime struct {
	mu     sync.Mutex
	ended  bool
	users  int
	ctx    context.Context // nil: nothing runs by it
	cancel context.CancelFunc
}

// enter returns a context that ends with parent and with the lifetime. leave is to be called once
// nothing runs by it any more.
func (l *lifetime) enter(parent context.Context) (ctx context.Context, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx == nil {
		l.ctx, l.cancel = context.WithCancel(parent)
	}
	if l.ended {
		l.cancel()
	}
	l.users++
	return l.ctx, sync.OnceFunc(l.leave)
}

func (l *lifetime) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		l.cancel()
		l.ctx, l.cancel = nil, nil
	}
}

// end ends it for good.
func (l *lifetime) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.cancel != nil {
		l.cancel()
	}
}
