package public

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options is what a Name needs from its owner. All of it is required.
type Options struct {
	Path string // of the public socket
	Log  hclog.Logger
	// Bind makes a listener at a path, with the owner and mode that the build's sockets have.
	Bind func(path string) (Listener, error)
	// Remove removes a path of a socket that is not ours to unlink. It returns nil if the path is
	// missing.
	Remove func(path string) error
	// Now is time.Now.
	Now func() time.Time
	// Guard watches the public name from now on (true) or no longer (false).
	Guard func(on bool)
	// Task runs f in a goroutine that the owner waits for. f returns soon after ctx ends.
	Task func(f func(ctx context.Context))
}

// Name is the public name of a build.
type Name struct {
	Options
	socket  *Socket // holds the name; nil: there is none
	refusal *refusal
	until   atomic.Pointer[time.Time] // when it is served again; nil or zero: not known
	passing atomic.Int32              // queues that are being passed on
	turned  atomic.Int64              // clients that were told to come back, or may have been lost
	left    bool                      // the name is for the next supervisor
}

// New returns a Name that is not open yet.
func New(o Options) *Name { return &Name{Options: o} }

// Open makes the public socket, unless there is one that has its name or can have it again.
func (n *Name) Open() error {
	if n.socket != nil && n.Restore() != KeptNoMore {
		n.warn("lengthen the queue", n.socket.Lengthen()) // nobody serves it now
		return nil
	}
	return n.replace()
}

// Renew makes a new public socket. Whoever waits on the one before, if there is one, is passed on to
// it, and refused there where they were refused before; but where a generation serves on that one,
// it serves them.
func (n *Name) Renew() error {
	if err := n.replace(); err != nil || n.refusal == nil {
		return err
	}
	n.refusal.stop()
	return n.startRefusing()
}

func (n *Name) replace() error {
	l, err := n.Bind(n.Path)
	if err != nil {
		return err
	}
	before := n.socket
	n.Keep(l)
	n.LetGo(before)
	return nil
}

// Keep makes l, which has the path already, the public socket: it was taken back from a generation
// of an earlier supervisor, or handed over by one.
func (n *Name) Keep(l Listener) {
	n.socket = (&Socket{Listener: l, public: true}).Hold()
	n.Guard(true)
}

// Socket returns the socket that has the name, or nil.
func (n *Name) Socket() *Socket { return n.socket }

// Stage makes a socket at another path for a candidate. The caller is its one holder.
func (n *Name) Stage(path string) (*Socket, error) {
	l, err := n.Bind(path)
	if err != nil {
		return nil, err
	}
	return (&Socket{Listener: l}).Hold(), nil
}

// Former makes a socket of l, which an earlier supervisor made. Clients may wait in its queue
// unless it still has a candidate's path. The caller is its one holder.
func (n *Name) Former(l Listener) *Socket {
	return (&Socket{Listener: l, public: l.Path() == n.Path || !l.Named()}).Hold()
}

// Give gives the public name to s. The socket that loses it stays with the generation that serves
// it; if there is none, its queue is passed on. After an error nothing has changed.
func (n *Name) Give(s *Socket) error {
	if err := s.Take(n.Path); err != nil {
		return err
	}
	before := n.socket
	n.socket = s.Hold()
	s.public = true
	n.Guard(true) // also where there was one: its folder may have been removed and made again
	n.LetGo(before)
	return nil
}

// Leave leaves the public name, its socket and who waits there to the next supervisor, for which
// somebody else holds the socket. Nothing removes the name after that.
func (n *Name) Leave() {
	s := n.socket
	n.socket, n.left = nil, true
	n.Guard(false)
	if s != nil {
		s.left = true
		n.LetGo(s)
	}
}

// Left reports whether Leave was called.
func (n *Name) Left() bool { return n.left }

// Withdraw removes the public name, for a stop. Clients in the queue are served by the generation
// that holds the socket, or refused if none does. Withdraw may be called when there is no name.
func (n *Name) Withdraw() error {
	s := n.socket
	n.socket = nil
	n.Guard(false)
	if s == nil { // never taken back from the generation that was adopted
		if n.left {
			return nil
		}
		return n.Remove(n.Path)
	}
	err := s.Unlink()
	n.LetGo(s)
	return err
}

// Kept is the result of a check that the public name still leads to its socket.
type Kept int

// The values of Kept.
const (
	KeptAsWas  Kept = iota // the name leads to the socket
	KeptAgain              // it had been removed; it is back
	KeptNot                // it is missing, and another try may help
	KeptNoMore             // it is missing, and only a new socket helps
)

// Restore gives the public socket its name back if it was removed.
func (n *Name) Restore() Kept {
	if n.socket == nil {
		return KeptAsWas
	}
	named := n.socket.Named()
	err := n.socket.Restore()
	switch {
	case err == nil && !named:
		n.Log.Warn("public socket had lost its name and has it back", "path", n.Path)
		return KeptAgain
	case err == nil:
	case named:
		n.Log.Debug("spare name of the public socket cannot be made", "error", err)
	case errors.Is(err, ErrLost):
		n.Log.Error("public socket has lost its name for good", "error", err)
		return KeptNoMore
	default:
		n.Log.Error("public socket has lost its name", "error", err)
		return KeptNot
	}
	return KeptAsWas
}

// LetGo gives up one hold on s, which may be nil. With the last one the socket is closed, but only
// after the clients in its queue were passed on to the public socket, or refused if there is none.
func (n *Name) LetGo(s *Socket) {
	if s == nil {
		return
	}
	s.holders--
	if s.holders > 0 {
		return
	}
	if s.left {
		n.warn("close socket", s.Leave())
		return
	}
	if !s.public {
		n.warn("remove staging socket", s.Unlink())
		n.warn("close staging socket", s.Close())
		return
	}
	to := n.leadsTo()
	n.passing.Add(1)
	n.Task(func(ctx context.Context) {
		defer n.passing.Add(-1)
		if count := n.passOn(ctx, s, to); count > 0 {
			n.Log.Info("queued clients were passed on", "count", count)
		}
		n.warn("close socket", s.Close())
	})
}

// PassOn returns a function that passes the queue of s on to where the public name leads now, or
// refuses it if there is no public name. PassOn itself belongs to the owner's goroutine, the
// function to a task.
func (n *Name) PassOn(s *Socket) func(ctx context.Context) {
	to := n.leadsTo()
	return func(ctx context.Context) {
		n.passing.Add(1)
		defer n.passing.Add(-1)
		n.passOn(ctx, s, to)
	}
}

// Passing reports whether clients are being passed on. It may be called from any goroutine.
func (n *Name) Passing() bool { return n.passing.Load() > 0 }

// Turned returns how many clients have been told to come back so far, or could not be passed on. Those
// of a refusal count when it ends. It may be called from any goroutine.
func (n *Name) Turned() int64 { return n.turned.Load() }

// passOnLimit bounds how long clients of a socket that no generation serves are looked after.
const passOnLimit = 30 * time.Second

// passOn empties the queue of l: into the socket at the path to, or with a refusal if to is empty.
// It returns how many clients there were.
func (n *Name) passOn(ctx context.Context, l Listener, to string) int {
	ctx, cancel := context.WithTimeout(ctx, passOnLimit)
	defer cancel()
	if to != "" {
		count, err := l.Forward(ctx, to)
		if err != nil {
			n.turned.Add(1)
			n.warn("pass queued clients on", err)
		}
		return count
	}
	refusing, done := context.WithCancel(ctx)
	emptied := make(chan struct{})
	go func() {
		defer close(emptied)
		// The error is the context's: clients that are left by then have been refused, or have
		// waited longer than any client does.
		_ = l.Drained(ctx)
		done()
	}()
	count := l.Refuse(refusing, n.retryAfter)
	done()
	<-emptied
	n.turned.Add(int64(count))
	return count
}

// leadsTo is the path of the public socket, or "" if there is none.
func (n *Name) leadsTo() string {
	if n.socket == nil {
		return ""
	}
	return n.Path
}

// warn logs an error that nothing else can be done about.
func (n *Name) warn(doing string, err error) {
	if err != nil {
		n.Log.Warn("clean-up failed", "doing", doing, "error", fmt.Errorf("%s: %w", doing, err))
	}
}
