package fakesocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// Listener is a listening socket of a Folder.
type Listener struct {
	folder     *Folder
	inode      uint64
	path       string
	queue      []*Client
	kept       int // accepted clients that are still connected
	lengthened bool
	closed     bool
	left       bool          // somebody else holds it from now on
	lost       bool          // only a new socket can have the path
	retry      time.Duration // that refused clients were told last
	changed    chan struct{} // closed and made anew when the queue changes
}

var _ public.Listener = (*Listener)(nil)

// errClosed is what every use of a closed listener returns.
var errClosed = errors.New("use of closed listener")

// Path is the path the socket was given last.
func (l *Listener) Path() string {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.path
}

// Named reports whether that leads to the socket.
func (l *Listener) Named() bool {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.named()
}

func (l *Listener) named() bool { return l.folder.paths[l.path] == l }

// Inode identifies the socket.
func (l *Listener) Inode() uint64 { return l.inode }

// Closed reports whether Close was called.
func (l *Listener) Closed() bool {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.closed
}

// Lose removes the path for good: Restore fails with public.ErrLost from now on.
func (l *Listener) Lose() {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	delete(l.folder.paths, l.path)
	l.lost = true
}

// RetryAfter is how long the client that was refused last was told to wait.
func (l *Listener) RetryAfter() time.Duration {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.retry
}

// Take gives the socket the path to in place of its own.
func (l *Listener) Take(to string) error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if err := l.fails(Take); err != nil {
		return err
	}
	if l.named() {
		delete(l.folder.paths, l.path)
	}
	l.path, l.lost = to, false
	l.folder.name(to, l)
	return nil
}

// Restore puts the path back.
func (l *Listener) Restore() error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if err := l.fails(Restore); err != nil {
		return err
	}
	if l.lost {
		return fmt.Errorf("restore %s: %w", l.path, public.ErrLost)
	}
	l.folder.name(l.path, l)
	return nil
}

// Unlink removes the path, if it still leads to this socket.
func (l *Listener) Unlink() error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if err := l.fails(Unlink); err != nil {
		return err
	}
	if l.named() {
		delete(l.folder.paths, l.path)
	}
	return nil
}

// Close resets whoever waits in the queue.
func (l *Listener) Close() error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if l.closed {
		return errClosed
	}
	l.closed = true
	for _, c := range l.queue {
		c.fate = Reset
	}
	l.queue = nil
	l.wake()
	return l.folder.fails[Close]
}

// Leave leaves whoever waits to somebody else who holds the socket.
func (l *Listener) Leave() error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if l.closed {
		return errClosed
	}
	l.left = true
	return l.folder.fails[Close]
}

// Left reports whether Leave was called.
func (l *Listener) Left() bool {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.left
}

// QueueLen returns how many clients wait.
func (l *Listener) QueueLen() (int, error) {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if err := l.fails(Queue); err != nil {
		return 0, err
	}
	return len(l.queue), nil
}

// Lengthen makes room for who waits.
func (l *Listener) Lengthen() error {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	l.lengthened = true
	return l.fails(Queue)
}

// Lengthened reports whether Lengthen was called.
func (l *Listener) Lengthened() bool {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	return l.lengthened
}

// Drained returns once nobody waits.
func (l *Listener) Drained(ctx context.Context) error {
	for {
		l.folder.mu.Lock()
		err, empty, changed := l.fails(Drain), len(l.queue) == 0, l.changed
		l.folder.mu.Unlock()
		if err != nil || empty {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("drain: %w", ctx.Err())
		}
	}
}

// Keep makes n the number of accepted clients that are still connected.
func (l *Listener) Keep(n int) {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	l.kept = n
	l.wake()
}

// Idle returns once no accepted client is connected any more.
func (l *Listener) Idle(ctx context.Context) error {
	for {
		l.folder.mu.Lock()
		err, none, changed := l.fails(Idle), l.kept == 0, l.changed
		l.folder.mu.Unlock()
		if err != nil || none {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("idle: %w", ctx.Err())
		}
	}
}

// Forward passes whoever waits on to the socket at the path to.
func (l *Listener) Forward(ctx context.Context, to string) (n int, err error) {
	l.folder.mu.Lock()
	defer l.folder.mu.Unlock()
	if err := errors.Join(l.fails(Forward), ctx.Err()); err != nil {
		return 0, err
	}
	next, ok := l.folder.paths[to]
	if n = len(l.queue); n > 0 && (!ok || next.closed) {
		return 0, &fs.PathError{Op: "connect", Path: to, Err: fs.ErrNotExist}
	}
	for _, c := range l.queue {
		c.passed = true
		next.queue = append(next.queue, c)
		next.wake()
	}
	l.queue = nil
	l.wake()
	return n, nil
}

// Refuse answers whoever comes with 503 until ctx ends.
func (l *Listener) Refuse(ctx context.Context, retryAfter func() time.Duration) (n int) {
	for ; l.accept(ctx, Refused, retryAfter); n++ {
	}
	return n
}

// Serve accepts whoever comes until ctx ends, as a server does.
func (l *Listener) Serve(ctx context.Context) {
	for l.accept(ctx, Served, func() time.Duration { return 0 }) {
	}
}

// accept takes one client out of the queue, for good. False says that ctx ended, or that the socket
// is closed.
func (l *Listener) accept(ctx context.Context, fate Fate, retryAfter func() time.Duration) bool {
	for {
		l.folder.mu.Lock()
		if l.closed || ctx.Err() != nil {
			l.folder.mu.Unlock()
			return false
		}
		if len(l.queue) > 0 {
			l.queue[0].fate = fate
			l.queue = l.queue[1:]
			l.retry = retryAfter()
			l.wake()
			l.folder.mu.Unlock()
			return true
		}
		changed := l.changed
		l.folder.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// fails returns why op fails now, or nil. The folder's mutex is held.
func (l *Listener) fails(op Op) error {
	if l.closed {
		return errClosed
	}
	return l.folder.fails[op]
}

// wake tells those who wait for a change of the queue. The folder's mutex is held.
func (l *Listener) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}
