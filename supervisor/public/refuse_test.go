package public_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
)

func TestRefusedClientsAreToldWhenTheBuildIsServedAgain(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		for until, want := range map[time.Time]time.Duration{
			{}:                               2 * time.Second, // not known
			time.Now().Add(time.Minute):      time.Minute,
			time.Now().Add(time.Millisecond): time.Second, // polite, however near
		} {
			if err := o.Refuse(true, until); err != nil {
				t.Fatal(err)
			}
			if c := o.connect(t); c.Fate() != fakesocket.Refused || fake(o.Socket()).RetryAfter() != want {
				t.Errorf("until %v: client is %s, to come back after %v, want %v", until, c.Fate(), fake(o.Socket()).RetryAfter(), want)
			}
		}
	})
}

func TestNobodyIsRefusedAnyMoreOnceItIsTurnedOff(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		for _, on := range []bool{true, false} {
			if err := o.Refuse(on, time.Time{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if c := o.connect(t); c.Fate() != fakesocket.Waiting {
			t.Errorf("client is %s", c.Fate())
		}
	})
}

func TestRefusingNeedsAPublicSocket(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		o.folder.Fail(fakesocket.Bind, errBroken)
		if err := o.Refuse(true, time.Time{}); !errors.Is(err, errBroken) {
			t.Errorf("without a socket: %v", err)
		}
	})
}

func TestPausedRefusalGoesOnAfterwards(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		if err := o.Refuse(true, time.Time{}); err != nil {
			t.Fatal(err)
		}
		over, resume := o.Pause()
		<-over
		c := o.connect(t)
		if c.Fate() != fakesocket.Waiting {
			t.Errorf("paused: client is %s", c.Fate())
		}
		if err := resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c.Fate() != fakesocket.Refused {
			t.Errorf("resumed: client is %s", c.Fate())
		}
	})
}

func TestPauseOfNothingIsOverAtOnce(t *testing.T) {
	story(t, func(t *testing.T, o *owner) {
		over, resume := o.Pause()
		<-over
		if err := resume(); err != nil || o.Socket() != nil {
			t.Errorf("resumed: %v, a socket was made: %v", err, o.Socket() != nil)
		}
	})
}
