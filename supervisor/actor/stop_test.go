package actor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

func TestStopServesTheQueueAndLeavesNothing(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		if err := l.Do(l.Context(), Command{Action: "stop"}, nil); err != nil {
			l.Fatal(err)
		}
		synctest.Wait() // its socket is closed after it
		if !server.gone || !server.sock.Closed() || l.w.folder.At(socketPath) != nil || l.w.guard != nil {
			l.Error("something is left of the build")
		}
		l.events("asked stopping")
		if !l.w.record.StoppedByHand {
			l.Error("it is not written down that it was stopped by hand")
		}
	})
}

// The next supervisor gets the socket and serves who waits there.
func TestShutdownLeavesASocketThatTheNextSupervisorGets(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		inode := server.sock.Inode()
		server.act(conduct{stubborn: true}) // there is time for a command
		l.Succeeded(func(i uint64) bool { return i == inode })
		if err := l.Do(l.Context(), Command{Action: "stop"}, nil); err == nil {
			l.Error("it is stopped, it says, and the next supervisor serves it")
		}
		<-l.Done()
		c := l.connect()
		if !server.gone || !server.sock.Left() || c.Fate() != fakesocket.Waiting || l.w.guard != nil {
			l.Errorf("its server is gone: %v, the socket is left: %v, a client is %s", server.gone, server.sock.Left(), c.Fate())
		}
		if l.w.record.StoppedByHand || l.w.record.Proven != "r1" {
			l.Errorf("written down is %+v", l.w.record)
		}
	})
}

func TestRemovedBuildIsForgotten(t *testing.T) {
	serving(t, func(l *life) {
		l.Remove()
		<-l.Done()
		if l.w.record != nil || len(l.w.living()) != 0 {
			l.Error("something is left of the build")
		}
		l.events("stopping stopped")
	})
}

func TestRemovedBuildIsForgottenAlsoWhereTheSupervisorEnds(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		l.Remove()
		l.Shutdown()
		<-l.Done()
		if l.w.record != nil {
			l.Error("its record is left")
		}
	})
}

func TestEverythingEndsAtOnceWhereItMust(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		begun := time.Now()
		l.Shutdown()
		<-l.CaughtUp()
		l.hard()
		<-l.Done()
		if took := time.Since(begun); took > 0 {
			l.Errorf("it took %v", took)
		}
	})
}

func TestServerThatIgnoresSIGTERMIsEndedAfterItsGrace(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		begun := time.Now()
		l.Shutdown()
		<-l.Done()
		if took := time.Since(begun); took != l.entry.GracefulTimeout {
			l.Errorf("it took %v", took)
		}
	})
}

// A candidate holds no client, and what serves may wait for that.
func TestCandidateIsGivenLessTimeToEnd(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r2"] = conduct{stubborn: true, mute: true} })
		l.change("second")
		l.until("a candidate", func(v *View) bool { return v.State.Candidate.N != 0 })
		begun := time.Now()
		l.change("first")
		l.serves("r1")
		if took := time.Since(begun); took > 2*l.w.takes+candidateGrace {
			l.Errorf("it took %v", took)
		}
	})
}

func TestTreeThatCannotBeEndedHoldsUpNoStop(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{endless: errBroken})
		l.Shutdown()
		<-l.Done()
	})
	serving(t, func(l *life) { // not either where it must end at once
		l.server().act(conduct{stubborn: true, endless: errBroken})
		l.Shutdown()
		<-l.CaughtUp()
		l.hard()
		<-l.Done()
	})
}

func TestStopOfAMigrationWaitsForItsGraceAndNoLonger(t *testing.T) {
	story(t, func(l *life) {
		l.entry.Migrate = true
		l.w.takes = 10 * time.Minute
		l.Adopt(nil, nil)
		l.configure(false)
		l.until("migrating", func(v *View) bool { return v.State.Building.Committed })
		begun := time.Now()
		if err := l.Do(l.Context(), Command{Action: "stop"}, nil); err != nil {
			l.Fatal(err)
		}
		if took := time.Since(begun); took != l.entry.GracefulTimeout {
			l.Errorf("it took %v", took)
		}
	})
}

func TestStopCancelsAnAttemptAtOnceWhereNothingIsLost(t *testing.T) {
	story(t, func(l *life) {
		l.Adopt(nil, nil)
		l.configure(false)
		l.until("building", func(*View) bool { return l.LastAttempt() != nil })
		begun := time.Now()
		if err := l.Do(l.Context(), Command{Action: "stop"}, nil); err != nil || time.Since(begun) > 0 {
			l.Errorf("%v after %v", err, time.Since(begun))
		}
		if last := l.LastAttempt(); last.Result != "cancelled" || l.Progress() != nil {
			l.Errorf("last attempt %+v, progress %+v", last, l.Progress())
		}
	})
}

// Whoever waits at a socket that an earlier supervisor left is not reset by a stop.
func TestShutdownPassesOnTheQueuesOfLeftovers(t *testing.T) {
	story(t, func(l *life) {
		former, err := l.w.folder.Bind(socketPath)
		if err != nil {
			l.Fatal(err)
		}
		c := l.connect()
		if err := l.w.folder.Remove(socketPath); err != nil { // another socket had the name since
			l.Fatal(err)
		}
		left := l.w.plant("root/one/7", nil, former, conduct{hung: true})
		l.Adopt([]Leftover{left.leftover(7)}, []public.Listener{former})
		l.Shutdown()
		<-l.Done()
		if c.Fate() != fakesocket.Refused || !former.Closed() {
			l.Errorf("client is %s, its socket closed: %v", c.Fate(), former.Closed())
		}
	})
}

func TestNothingIsSaidToAnActorThatHasEnded(t *testing.T) {
	serving(t, func(l *life) {
		l.Remove()
		<-l.Done()
		for action, want := range map[string]string{"stop": "", "start": "the build was taken out of the file"} {
			got := ""
			if err := l.Do(l.Context(), Command{Action: action}, nil); err != nil {
				got = err.Error()
			}
			if got != want {
				l.Errorf("%s: %q, want %q", action, got, want)
			}
		}
	})
}
