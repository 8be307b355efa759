package simulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

const us = time.Microsecond

// listener is a supervisor's descriptor of a socket, a public.Listener.
type listener struct {
	inc    *incarnation
	sock   *socket
	path   string
	closed bool
}

func (inc *incarnation) open(s *socket, path string) *listener {
	s.fds++
	s.keeper = inc
	s.stored = inc.w.traits.holder
	l := &listener{inc: inc, sock: s, path: path}
	inc.opened[l] = true
	return l
}

// own returns the listener of this world that another one may wrap.
func own(l public.Listener) *listener { return l.(interface{ inner() *listener }).inner() }

func (l *listener) inner() *listener { return l }

// lock takes the world's lock. It returns false, and does not, where the supervisor that calls is
// dead: then nothing of what it does matters any more.
func (l *listener) lock() bool { return l.inc.lock() }

func (l *listener) unlock() { l.inc.w.mu.Unlock() }

func (l *listener) named() bool { return l.inc.w.names[l.path] == l.sock }

// Path is the path that the socket was given last.
func (l *listener) Path() string {
	if !l.lock() {
		return l.path
	}
	defer l.unlock()
	return l.path
}

// Named reports whether the path leads to the socket.
func (l *listener) Named() bool {
	if !l.lock() {
		return true
	}
	defer l.unlock()
	return l.named()
}

// Inode identifies the socket.
func (l *listener) Inode() uint64 { return l.sock.inode }

// Take gives the socket another path.
func (l *listener) Take(to string) error {
	l.inc.spend(&l.sock.site.dice)
	if !l.lock() {
		return nil
	}
	defer l.unlock()
	w := l.inc.w
	if err := w.disk.writable(); err != nil {
		return fmt.Errorf("name %s %s: %w", l.path, to, err)
	}
	if !l.named() && !l.sock.spare {
		return fmt.Errorf("name %s %s: %w", l.path, to, public.ErrLost)
	}
	if l.named() {
		delete(w.names, l.path)
	}
	l.path = to
	w.names[to] = l.sock
	l.sock.site.nameGiven(l.sock)
	return nil
}

// Restore puts the path back.
func (l *listener) Restore() error {
	if !l.lock() {
		return nil
	}
	defer l.unlock()
	w := l.inc.w
	switch {
	case l.closed:
		return fmt.Errorf("restore %s: %w", l.path, fs.ErrClosed)
	case l.named():
		l.sock.spare = true
		return nil
	case !l.sock.spare:
		return fmt.Errorf("restore %s: %w", l.path, public.ErrLost)
	}
	if err := w.disk.writable(); err != nil {
		return fmt.Errorf("restore %s: %w", l.path, err)
	}
	w.names[l.path] = l.sock
	l.sock.site.tell("the supervisor puts the path of its public socket back")
	l.sock.site.up()
	return nil
}

// Unlink removes the path.
func (l *listener) Unlink() error {
	if !l.lock() {
		return nil
	}
	defer l.unlock()
	l.sock.spare = false
	if l.named() {
		delete(l.inc.w.names, l.path)
		l.sock.site.nameRemoved(l.path)
	}
	return nil
}

// Close closes the descriptor.
func (l *listener) Close() error {
	if !l.lock() {
		return nil
	}
	defer l.unlock()
	if l.closed {
		return nil
	}
	l.sock.spare, l.sock.stored = false, false
	l.close()
	return nil
}

// Leave closes the descriptor; the paths stay.
func (l *listener) Leave() error {
	if !l.lock() {
		return nil
	}
	defer l.unlock()
	if !l.closed {
		l.close()
	}
	return nil
}

// close is what also happens to the descriptors of one that is killed: the names stay.
func (l *listener) close() {
	l.closed = true
	delete(l.inc.opened, l)
	l.sock.fds--
	l.sock.left()
}

// QueueLen is how many clients wait.
func (l *listener) QueueLen() (int, error) {
	if !l.lock() {
		return 0, nil
	}
	defer l.unlock()
	if l.closed {
		return 0, fs.ErrClosed
	}
	return len(l.sock.queue), nil
}

// Lengthen does nothing: there is always room.
func (*listener) Lengthen() error { return nil }

// Drained returns once nobody waits.
func (l *listener) Drained(ctx context.Context) error {
	rest := l.sock.rest()
	for empty := 0; ; {
		if !l.lock() {
			return nil
		}
		n, changed := len(l.sock.queue), l.sock.changed
		l.unlock()
		if n == 0 {
			if empty++; empty == 3 {
				return nil
			}
			changed = nil
		} else {
			empty = 0
		}
		if err := l.inc.wait(ctx, changed, rest, n == 0); err != nil {
			return err
		}
	}
}

// Idle returns once nobody who was accepted is connected.
func (l *listener) Idle(ctx context.Context) error {
	rest := l.sock.rest()
	for {
		if !l.lock() {
			return nil
		}
		open := l.sock.connected()
		l.unlock()
		if !open {
			return nil
		}
		if err := l.inc.wait(ctx, nil, rest, true); err != nil {
			return err
		}
	}
}

// Forward passes who waits on to another socket.
func (l *listener) Forward(ctx context.Context, to string) (int, error) {
	p := &passage{under: map[*client]bool{}, changed: make(chan struct{})}
	rest := l.sock.rest()
	var err error
	for empty := 0; ; {
		if !l.lock() {
			return 0, nil
		}
		moved := false
		for err == nil && len(l.sock.queue) > 0 {
			c := l.sock.accept()
			c.held(l.inc)
			c.passage = p
			p.under[c] = true
			p.carry(c, to, 0)
			moved = true
		}
		under, changed, queued := len(p.under), p.changed, l.sock.changed
		if err != nil {
			for _, c := range inOrder(p.under) {
				if c.sock != nil {
					c.sock.queue = slices.DeleteFunc(c.sock.queue, func(o *client) bool { return o == c })
					c.sock.moved()
				}
				c.answered(504)
			}
			under = 0
		}
		l.unlock()
		if err != nil && under == 0 {
			return p.count, err
		}
		if moved {
			empty = 0
		} else if empty++; empty >= 3 && under == 0 {
			return p.count, nil
		}
		if empty < 3 {
			err = l.inc.wait(ctx, nil, rest, true)
			continue
		}
		select {
		case <-changed:
		case <-queued:
		case <-ctx.Done():
			err = ctx.Err()
		case <-l.inc.gone:
			return 0, nil
		}
	}
}

// Refuse answers 503 until ctx ends.
func (l *listener) Refuse(ctx context.Context, retryAfter func() time.Duration) int {
	if !l.lock() {
		return 0
	}
	if l.closed {
		l.unlock()
		return 0
	}
	r := &refusal{inc: l.inc, idle: make(chan struct{})}
	l.sock.refuses = append(l.sock.refuses, r)
	r.take(l.sock)
	l.unlock()
	if after := retryAfter(); after < time.Second {
		l.inc.w.mu.Lock()
		l.sock.site.breaks("who is refused is told when to come back", "Retry-After %v", after)
		l.inc.w.mu.Unlock()
	}
	select {
	case <-ctx.Done():
	case <-l.inc.gone:
	}
	l.inc.w.mu.Lock()
	l.sock.refuses = slices.DeleteFunc(l.sock.refuses, func(o *refusal) bool { return o == r })
	r.ended = true
	r.check()
	l.inc.w.mu.Unlock()
	select {
	case <-r.idle:
	case <-l.inc.gone:
	}
	return 0
}

// sockets is the port to make and find them.
type sockets struct{ *incarnation }

func (k sockets) Bind(path string, _ *config.Build) (public.Listener, error) {
	s := k.w.siteAt(path)
	k.spend(&s.dice)
	if !k.lock() {
		return k.ghost(s, path), nil
	}
	defer k.w.mu.Unlock()
	if err := k.w.disk.writable(); err != nil {
		return nil, fmt.Errorf("bind %s: %w", path, err)
	}
	sock := s.newSocket()
	l := k.open(sock, path)
	k.w.names[path] = sock
	s.bound(sock, path)
	return l, nil
}

// ghost is a listener for a supervisor that is dead and does not know it.
func (inc *incarnation) ghost(s *site, path string) *listener {
	return &listener{inc: inc, sock: &socket{w: inc.w, site: s, changed: make(chan struct{})}, path: path}
}

func (k sockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	s := k.w.siteAt(path)
	if !k.lock() {
		return k.ghost(s, path), nil
	}
	defer k.w.mu.Unlock()
	fail := func(err error) (public.Listener, error) {
		return nil, fmt.Errorf("recover the listener of %s: %w", path, err)
	}
	if inode == 0 {
		at := k.w.names[path]
		if at == nil {
			return fail(fs.ErrNotExist)
		}
		inode = at.inode
	}
	sock := s.socketOf(inode, pids)
	switch {
	case sock == nil:
		return fail(fs.ErrNotExist)
	case k.w.traits.noRecover:
		return fail(fs.ErrPermission)
	}
	l := k.open(sock, path)
	if staging := s.paths.Staging(); !l.named() && k.w.names[staging] == sock {
		l.path = staging
	}
	if k.w.names[s.paths.Socket()] == sock {
		sock.spare = true
		s.up()
	}
	s.tell("the supervisor takes socket %d back", inode)
	return l, nil
}

// socketOf returns the socket of that number where one of the processes holds it.
func (s *site) socketOf(inode uint64, pids []int) *socket {
	for _, pid := range pids {
		if p := s.w.procs[pid]; p != nil && p.tree != nil && p.tree.sock.inode == inode {
			return p.tree.sock
		}
	}
	return nil
}

func (k sockets) HeldBy(inode uint64, pids ...int) bool {
	if !k.lock() {
		return false
	}
	defer k.w.mu.Unlock()
	for _, pid := range pids {
		if p := k.w.procs[pid]; p != nil && p.tree != nil && p.tree.sock.inode == inode {
			return true
		}
	}
	return false
}

func (k sockets) Remove(path string) error {
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	if k.w.names[path] != nil {
		delete(k.w.names, path)
		if s := k.w.siteAt(path); s != nil {
			s.nameRemoved(path)
		}
	}
	return nil
}

func (k sockets) Guard(b layout.Build, touched func()) {
	if !k.lock() {
		return
	}
	defer k.w.mu.Unlock()
	if s := k.w.siteAt(b.Socket()); !k.w.traits.noGuard {
		s.touched = touched
	}
}

// Tidy removes the names that lead to nobody.
func (k sockets) Tidy(name string) error {
	if !k.lock() {
		return nil
	}
	defer k.w.mu.Unlock()
	for path, sock := range k.w.names {
		if sock.site.name == name && !sock.held() {
			delete(k.w.names, path)
		}
	}
	return nil
}

var errReadOnly = errors.New("read-only file system")
