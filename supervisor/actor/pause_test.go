package actor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// endless is a socket whose queue is passed on until the supervisor ends.
type endless struct{ *fakesocket.Listener }

func (l endless) Forward(ctx context.Context, _ string) (int, error) {
	<-ctx.Done()
	return 0, errors.Join(ctx.Err(), l.Close())
}

func TestPausedActorStandsStillUntilItIsResumed(t *testing.T) {
	serving(t, func(l *life) {
		resume := make(chan struct{})
		if why := <-l.Pause(resume); why != "" {
			l.Fatal(why)
		}
		if all := l.Sockets(); len(all) != 1 || all[0].Path() != socketPath {
			l.Errorf("sockets %v", all)
		}
		server := l.server()
		server.exit(crash)
		l.pass(time.Minute)
		if l.View().Tree != Tree(server) {
			l.Error("it went on")
		}
		close(resume)
		l.replaced(server)
	})
}

func TestPauseSaysWhatAnExecWouldSpoil(t *testing.T) {
	for name, c := range map[string]struct {
		before func(l *life)
		want   string
	}{
		"attempt": {func(l *life) {
			l.change("second")
			synctest.Wait()
		}, "the build of one is being cancelled, it begins again afterwards"},
		"migration": {func(l *life) {
			l.entry.Migrate = true
			l.configure(false)
			l.change("second")
			l.until("migrating", func(v *View) bool { return v.State.Building.Committed })
		}, "one is migrating its database"},
		"stop": {func(l *life) {
			l.server().act(conduct{stubborn: true})
			l.Shutdown()
		}, "one is stopping"},
		"clients that are passed on": {func(l *life) {
			former, err := l.w.folder.Bind("former")
			if err != nil {
				l.Fatal(err)
			}
			l.task(l.public.PassOn(l.public.Former(endless{former})))
			synctest.Wait()
		}, "clients of one are being passed on"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				c.before(l)
				if why := <-l.Pause(nil); why != c.want {
					l.Errorf("%q, want %q", why, c.want)
				}
			})
		})
	}
}

func TestCancelledAttemptBeginsAgainOnceTheGateIsOpen(t *testing.T) {
	serving(t, func(l *life) {
		l.change("second")
		synctest.Wait()
		open := l.Gate.Close()
		if why := <-l.Pause(nil); why == "" {
			l.Fatal("it stands still in the middle of an attempt")
		}
		l.pass(time.Minute)
		resume := make(chan struct{})
		if why := <-l.Pause(resume); why != "" {
			l.Errorf("nothing is under way, and: %s", why)
		}
		close(resume)
		if last := l.LastAttempt(); last.Result != "cancelled" {
			l.Errorf("last attempt %+v", last)
		}
		open()
		open() // twice is once
		l.serves("r2")
	})
}

func TestShutGateHoldsUpNoStop(t *testing.T) {
	serving(t, func(l *life) {
		defer l.Gate.Close()()
		l.change("second")
		l.pass(time.Minute)
		l.does(Command{Action: "stop"}, "")
	})
}

// An attempt leaves the gate a moment after the machine has heard of its end, when the next one may
// be inside already.
func TestGateKnowsOfAnAttemptThatFollowsAnother(t *testing.T) {
	t.Parallel()
	var g Gate
	a := &Actor{}
	g.enter(context.Background(), a)
	g.enter(context.Background(), a)
	g.leave(a)
	if !g.inside(a) {
		t.Error("the second one is not seen")
	}
	g.leave(a)
	if g.inside(a) {
		t.Error("one is seen, and both have left")
	}
}

func TestQuietActorLeavesClientsInTheQueue(t *testing.T) {
	serving(t, func(l *life) {
		l.crash(crash)
		l.serves("r1")
		l.crash(crash)
		l.phased(machine.PhaseBackoff)
		resume := make(chan struct{})
		if why := <-l.Pause(resume); why != "" {
			l.Fatal(why)
		}
		over, again := l.Quiet()
		<-over
		c := l.connect()
		if c.Fate() != fakesocket.Waiting {
			l.Errorf("client is %s", c.Fate())
		}
		again()
		close(resume)
		synctest.Wait()
		if c.Fate() != fakesocket.Refused {
			l.Errorf("client is %s", c.Fate())
		}
	})
}
