package public_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

func TestOpenMakesThePublicSocketOnceAndGuardsIt(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.folder.Fail(fakesocket.Bind, errBroken)
		if err := o.Open(); !errors.Is(err, errBroken) || o.Socket() != nil || o.guarded {
			t.Fatalf("where no socket can be made: %v", err)
		}
		o.folder.Fail(fakesocket.Bind, nil)
		l := o.opened(t)
		if again := o.opened(t); again != l || l.Path() != path || !o.guarded || !o.Socket().WasPublic() {
			t.Errorf("opened %v, then %v", l, again)
		}
	})
}

func TestClientsOfALostSocketArePassedOnBeforeItIsClosed(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		before := o.opened(t)
		c := o.connect(t)
		next := o.staged(t)
		if err := o.Give(next); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !before.Closed() || !c.Passed() || c.Fate() != fakesocket.Waiting || o.folder.At(path) != fake(next) {
			t.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
		}
		if n, err := next.QueueLen(); n != 1 || err != nil {
			t.Errorf("%d wait at the new socket, %v", n, err)
		}
	})
}

func TestSocketThatAGenerationServesStaysOpenWhenItLosesTheName(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		before := o.opened(t)
		held := o.Socket().Hold()
		c := o.connect(t)
		if err := o.Give(o.staged(t)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if before.Closed() || c.Passed() {
			t.Error("a socket was emptied that its generation serves")
		}
		o.LetGo(held)
		synctest.Wait()
		if !before.Closed() || !c.Passed() {
			t.Error("the last holder let go and the queue was not passed on")
		}
		if o.Passing() {
			t.Error("Passing says that clients are being passed on when all are")
		}
	})
}

func TestNameThatCannotBeGivenStaysWhereItIs(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		before, next := o.opened(t), o.staged(t)
		o.folder.Fail(fakesocket.Take, errBroken)
		if err := o.Give(next); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		if fake(o.Socket()) != before || o.folder.At(path) != before || next.WasPublic() {
			t.Error("the name was not given, and something has changed")
		}
	})
}

func TestFirstSocketThatIsGivenTheNameIsGuarded(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		if err := o.Give(o.staged(t)); err != nil || !o.guarded {
			t.Errorf("guarded: %v, %v", o.guarded, err)
		}
	})
}

// A folder that is removed is not watched any more, and the next socket makes it again.
func TestNameIsGuardedAnewWithEachSocket(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.opened(t)
		o.guarded = false // the watch went with the folder
		if err := o.Give(o.staged(t)); err != nil || !o.guarded {
			t.Errorf("guarded: %v, %v", o.guarded, err)
		}
	})
}

func TestStagingSocketIsClosedWithItsPath(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.folder.Fail(fakesocket.Bind, errBroken)
		if _, err := o.Stage(staging); !errors.Is(err, errBroken) {
			t.Fatalf("where no socket can be made: %v", err)
		}
		o.folder.Fail(fakesocket.Bind, nil)
		s := o.staged(t)
		o.LetGo(s)
		o.LetGo(nil)
		if !fake(s).Closed() || o.folder.At(staging) != nil {
			t.Error("a candidate's socket was left")
		}
	})
}

func TestFormerSocketIsPassedOnUnlessItIsACandidates(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		old, err := o.folder.Bind(path)
		if err != nil {
			t.Fatal(err)
		}
		c := o.connect(t)
		o.opened(t)
		candidate, err := o.folder.Bind(staging)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range []*fakesocket.Listener{old, candidate} {
			s := o.Former(l)
			if s.WasPublic() != (l == old) {
				t.Errorf("the socket at %s was public: %v", l.Path(), s.WasPublic())
			}
			o.LetGo(s)
		}
		synctest.Wait()
		if !c.Passed() || !old.Closed() || !candidate.Closed() || o.folder.At(staging) != nil {
			t.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
		}
	})
}

func TestWithdrawnNameIsGoneAndItsClientsAreRefused(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		l := o.opened(t)
		c := o.connect(t)
		if err := o.Withdraw(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c.Fate() != fakesocket.Refused || !l.Closed() || o.folder.At(path) != nil || o.guarded || o.Socket() != nil {
			t.Errorf("client is %s, closed: %v, guarded: %v", c.Fate(), l.Closed(), o.guarded)
		}
		if o.Turned() != 1 {
			t.Errorf("%d clients were told to come back", o.Turned())
		}
		if l.RetryAfter() != 2*time.Second {
			t.Errorf("told to come back after %v", l.RetryAfter())
		}
	})
}

func TestWithdrawLeavesTheQueueToTheGenerationThatServesIt(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		l := o.opened(t)
		o.Socket().Hold()
		c := o.connect(t)
		if err := o.Withdraw(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c.Fate() != fakesocket.Waiting || l.Closed() {
			t.Errorf("client is %s", c.Fate())
		}
	})
}

func TestWithdrawRemovesANameThatWasNeverTakenBack(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		if _, err := o.folder.Bind(path); err != nil {
			t.Fatal(err)
		}
		if err := o.Withdraw(); err != nil || o.folder.At(path) != nil {
			t.Errorf("the name is left: %v", err)
		}
		o.folder.Fail(fakesocket.Unlink, errBroken)
		if err := o.Withdraw(); !errors.Is(err, errBroken) {
			t.Errorf("where it cannot be removed: %v", err)
		}
	})
}

// A shutdown of a supervisor whose successor gets the socket.
func TestNameThatIsLeftKeepsItsQueue(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		l := o.opened(t)
		held := o.Socket().Hold()
		c := o.connect(t)
		o.Leave()
		o.LetGo(held) // the generation that served it has ended
		synctest.Wait()
		if c.Fate() != fakesocket.Waiting || !l.Left() || l.Closed() || o.folder.At(path) != l || o.guarded || o.Socket() != nil {
			t.Errorf("client is %s, left: %v, guarded: %v", c.Fate(), l.Left(), o.guarded)
		}
		if err := o.Withdraw(); err != nil || o.folder.At(path) != l || !o.Name.Left() {
			t.Errorf("the name is gone after all: %v", err)
		}
	})
}

func TestRestoreSaysWhatBecameOfTheName(t *testing.T) {
	remove := func(o *owner) { o.folder.Remove(path) } // cannot fail unless told to
	for name, c := range map[string]struct {
		before func(o *owner)
		want   public.Kept
	}{
		"there":                         {func(*owner) {}, public.KeptAsWas},
		"there, spare cannot be made":   {func(o *owner) { o.folder.Fail(fakesocket.Restore, errBroken) }, public.KeptAsWas},
		"removed":                       {remove, public.KeptAgain},
		"removed, cannot be made again": {func(o *owner) { remove(o); o.folder.Fail(fakesocket.Restore, errBroken) }, public.KeptNot},
		"lost for good":                 {func(o *owner) { o.folder.At(path).Lose() }, public.KeptNoMore},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, o *owner) {
				if kept := o.Restore(); kept != public.KeptAsWas {
					t.Errorf("without a public socket: %v", kept)
				}
				l := o.opened(t)
				c.before(o)
				if kept := o.Restore(); kept != c.want {
					t.Errorf("%v, want %v", kept, c.want)
				}
				if back := c.want <= public.KeptAgain; l.Named() != back {
					t.Errorf("the name leads to the socket: %v", l.Named())
				}
			})
		})
	}
}

func TestQueueOfAHungGenerationIsPassedOnWhereTheNameLed(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.opened(t)
		hung := o.Socket().Hold()
		c := o.connect(t)
		if err := o.Give(o.staged(t)); err != nil {
			t.Fatal(err)
		}
		o.PassOn(hung)(o.ctx)
		if !c.Passed() || fake(hung).Closed() {
			t.Errorf("passed on: %v, closed: %v", c.Passed(), fake(hung).Closed())
		}
	})
}

func TestQueueOfAHungGenerationIsRefusedAfterAStop(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.opened(t)
		hung := o.Socket().Hold()
		c := o.connect(t)
		if err := o.Withdraw(); err != nil {
			t.Fatal(err)
		}
		o.PassOn(hung)(o.ctx)
		if c.Fate() != fakesocket.Refused {
			t.Errorf("client is %s", c.Fate())
		}
	})
}

// endless is a socket whose queue is never seen empty.
type endless struct{ *fakesocket.Listener }

func (endless) Drained(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestPassingOnIsSeenAndBounded(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		l, err := o.folder.Bind(path)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		o.LetGo(o.Former(endless{l}))
		if !o.Passing() {
			t.Error("Passing does not say that a queue is being emptied")
		}
		o.tasks.Wait()
		if took := time.Since(begun); took != 30*time.Second || !l.Closed() || o.Passing() {
			t.Errorf("took %v, closed: %v", took, l.Closed())
		}
	})
}

func TestSocketIsClosedAlsoWhereItsQueueCannotBePassedOn(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		l := o.opened(t)
		o.connect(t)
		o.folder.Fail(fakesocket.Forward, errBroken)
		o.folder.Fail(fakesocket.Close, errBroken)
		if err := o.Give(o.staged(t)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !l.Closed() {
			t.Error("a socket that nobody holds is left open")
		}
	})
}
