package fakesocket

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

func bind(t *testing.T, f *Folder, path string) *Listener {
	t.Helper()
	l, err := f.Bind(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func connect(t *testing.T, f *Folder, path string) *Client {
	t.Helper()
	c, err := f.Connect(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientWaitsUntilItIsAcceptedOrReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Folder{}
		l := bind(t, f, "s")
		ctx, cancel := context.WithCancel(t.Context())
		served := connect(t, f, "s")
		if n, err := l.QueueLen(); n != 1 || err != nil || served.Fate() != Waiting {
			t.Fatalf("%d wait, %v, %s", n, err, served.Fate())
		}
		go l.Serve(ctx)
		synctest.Wait()
		cancel()
		synctest.Wait()
		refused, refusing := connect(t, f, "s"), make(chan int)
		ctx, cancel = context.WithCancel(t.Context())
		go func() { refusing <- l.Refuse(ctx, func() time.Duration { return time.Minute }) }()
		synctest.Wait()
		cancel()
		if n := <-refusing; n != 1 || l.RetryAfter() != time.Minute {
			t.Errorf("%d were refused, for %v", n, l.RetryAfter())
		}
		reset := connect(t, f, "s")
		if err := errors.Join(l.Close(), l.Close()); !errors.Is(err, errClosed) || !l.Closed() {
			t.Errorf("closing twice: %v", err)
		}
		for want, c := range map[Fate]*Client{Served: served, Refused: refused, Reset: reset} {
			if c.Fate() != want || c.Passed() {
				t.Errorf("%s, want %s", c.Fate(), want)
			}
		}
		if _, err := f.Connect("s"); !errors.Is(err, ErrRefused) {
			t.Errorf("to a closed socket: %v", err)
		}
		if len(f.Open()) != 0 {
			t.Error("a closed socket counts as open")
		}
	})
}

func TestPathLeadsWhereItWasGiven(t *testing.T) {
	t.Parallel()
	f := &Folder{}
	old, next := bind(t, f, "s"), bind(t, f, "s.next")
	c := connect(t, f, "s")
	if err := next.Take("s"); err != nil || old.Named() || !next.Named() || next.Path() != "s" || f.At("s.next") != nil {
		t.Fatalf("after Take: %v", err)
	}
	if n, err := old.Forward(t.Context(), "s"); n != 1 || err != nil || !c.Passed() || c.Fate() != Waiting {
		t.Errorf("%d passed on, %v", n, err)
	}
	if err := f.Remove("s"); err != nil || next.Restore() != nil || f.At("s") != next {
		t.Error("a removed path was not put back")
	}
	next.Lose()
	if err := next.Restore(); !errors.Is(err, public.ErrLost) {
		t.Errorf("of a path lost for good: %v", err)
	}
	if err := next.Take("s"); err != nil || next.Unlink() != nil || next.Named() {
		t.Errorf("after Unlink: %v", err)
	}
	if _, err := f.Connect("s"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to no path: %v", err)
	}
	if _, err := next.Forward(t.Context(), "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("to nowhere: %v", err)
	}
}

func TestDrainedWaitsForTheQueueOrItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Folder{}
		l := bind(t, f, "s")
		connect(t, f, "s")
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Drained(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a client that waits: %v", err)
		}
		go l.Serve(t.Context())
		if err := l.Drained(t.Context()); err != nil {
			t.Error(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhatIsToFailFails(t *testing.T) {
	t.Parallel()
	f, broken := &Folder{}, errors.New("broken")
	l := bind(t, f, "s")
	connect(t, f, "s")
	for op, do := range map[Op]func() error{
		Bind:    func() error { _, err := f.Bind("t"); return err },
		Take:    func() error { return l.Take("t") },
		Restore: l.Restore,
		Unlink:  func() error { return errors.Join(l.Unlink(), f.Remove("s")) },
		Queue:   func() error { _, err := l.QueueLen(); return err },
		Drain:   func() error { return l.Drained(t.Context()) },
		Forward: func() error { _, err := l.Forward(t.Context(), "s"); return err },
	} {
		f.Fail(op, broken)
		if err := do(); !errors.Is(err, broken) {
			t.Errorf("%s: %v", op, err)
		}
		f.Fail(op, nil)
		if !l.Named() {
			t.Fatalf("%s has failed and changed something", op)
		}
	}
	f.Fail(Close, broken)
	if err := l.Close(); !errors.Is(err, broken) || !l.Closed() {
		t.Errorf("close: %v", err)
	}
}
