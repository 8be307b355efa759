package listener

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// accepted takes the client that waits longest, as a server does.
func accepted(t *testing.T, l *Listener) (fd int) {
	t.Helper()
	fd, _, err := unix.Accept(l.fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestIdleWaitsUntilTheServerHasClosedEveryConnection(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l, other := mustBind(t, filepath.Join(dir, "s")), mustBind(t, filepath.Join(dir, "other"))
	dial(t, other.Path())
	defer unix.Close(accepted(t, other)) // of another listener, so it does not count
	dial(t, other.Path())
	if err := l.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}

	client := dial(t, l.Path())
	held := accepted(t, l)
	client.Close() // the server does not know yet, and may be writing to a disk for it
	busy := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return l.Idle(ctx)
	}
	if err := busy(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("idle with a connection open: %v", err)
	}
	if err := l.Take(filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	if err := busy(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("idle with a connection open, under another name: %v", err)
	}
	idle := make(chan error, 1)
	go func() { idle <- l.Idle(t.Context()) }()
	unix.Close(held)
	if err := <-idle; err != nil {
		t.Error(err)
	}
}

// Somebody who only waits in the queue is Drained's.
func TestIdleTakesNoClient(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	dial(t, l.Path())
	if err := l.Idle(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := l.QueueLen(); n != 1 || err != nil {
		t.Errorf("%d clients wait, %v", n, err)
	}
}

func TestIdleOfAClosedListenerIsAnError(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	l.Close()
	if err := l.Idle(t.Context()); err == nil {
		t.Error("a closed listener is idle")
	}
}
