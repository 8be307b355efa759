package simulate

import (
	"context"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// badListener does something else than it should, where a function says so.
type badListener struct {
	*listener
	drained func(context.Context) error
	forward func(context.Context, string) (int, error)
	refuse  func(context.Context, func() time.Duration) int
	restore func() error
	unlink  func() error
	close   func() error
}

func (l *badListener) Drained(ctx context.Context) error {
	if l.drained != nil {
		return l.drained(ctx)
	}
	return l.listener.Drained(ctx)
}

func (l *badListener) Forward(ctx context.Context, to string) (int, error) {
	if l.forward != nil {
		return l.forward(ctx, to)
	}
	return l.listener.Forward(ctx, to)
}

func (l *badListener) Refuse(ctx context.Context, after func() time.Duration) int {
	if l.refuse != nil {
		return l.refuse(ctx, after)
	}
	return l.listener.Refuse(ctx, after)
}

func (l *badListener) Restore() error {
	if l.restore != nil {
		return l.restore()
	}
	return l.listener.Restore()
}

func (l *badListener) Unlink() error {
	if l.unlink != nil {
		return l.unlink()
	}
	return l.listener.Unlink()
}

func (l *badListener) Close() error {
	if l.close != nil {
		return l.close()
	}
	return l.listener.Close()
}

// badSockets makes bad listeners.
type badSockets struct {
	ports.Sockets
	spoil func(*badListener)
}

func wrapSockets(s ports.Sockets, spoil func(*badListener)) ports.Sockets {
	return badSockets{s, spoil}
}

func (s badSockets) bad(l public.Listener, err error) (public.Listener, error) {
	if err != nil {
		return nil, err
	}
	b := &badListener{listener: own(l)}
	s.spoil(b)
	return b, nil
}

func (s badSockets) Bind(path string, entry *config.Build) (public.Listener, error) {
	return s.bad(s.Sockets.Bind(path, entry))
}

func (s badSockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	return s.bad(s.Sockets.Recover(path, inode, pids...))
}

// onceGuarded are sockets whose folder is watched from the first time on, for as long as it is there.
type onceGuarded struct {
	ports.Sockets
	inc  *incarnation
	done map[string]bool
}

func (o *onceGuarded) Guard(b layout.Build, touched func()) {
	o.inc.w.mu.Lock()
	again := o.done[b.Dir()]
	o.done[b.Dir()] = touched != nil
	o.inc.w.mu.Unlock()
	if !again || touched == nil {
		o.Sockets.Guard(b, touched)
	}
}

// blindHolder does not see what is held.
type blindHolder struct{ ports.Holder }

func (blindHolder) Held() func(uint64) bool { return func(uint64) bool { return false } }
