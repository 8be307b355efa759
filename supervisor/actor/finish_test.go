package actor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// another makes the build's server one by command, from the next generation on.
func (l *life) another() {
	l.Helper()
	before := l.server()
	l.entry.Command = []string{"{python}", "server.py"}
	l.configure(false)
	l.replaced(before)
}

// A server by command may drop at SIGTERM what it has accepted.
func TestServerByCommandIsToldToEndOnlyOnceNobodyIsConnected(t *testing.T) {
	serving(t, func(l *life) {
		l.another()
		old := l.server()
		old.sock.Keep(1)
		l.change("second")
		l.until("serving r2", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
		l.pass(l.entry.GracefulTimeout/2 - time.Second)
		if old.termed {
			l.Fatal("it was told to end with a client connected")
		}
		old.sock.Keep(0)
		synctest.Wait()
		if !old.gone {
			l.Error("it goes on with nobody connected")
		}
	})
}

func TestClientThatStaysConnectedLeavesTheServerTimeToEnd(t *testing.T) {
	serving(t, func(l *life) {
		l.entry.GracefulTimeout = 30 * time.Second
		l.another()
		old := l.server()
		old.act(conduct{stubborn: true})
		old.sock.Keep(1)
		l.change("second")
		l.until("serving r2", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
		begun := time.Now()
		for told := false; !told; l.w.do(func() { told = old.termed }) {
			l.pass(100 * time.Millisecond)
		}
		if told := time.Since(begun); told < 24*time.Second || told > 26*time.Second {
			l.Errorf("it was told to end after %v, want %v", told, 25*time.Second)
		}
		l.pass(termGrace)
		if !old.gone {
			l.Error("it was not ended after its grace period")
		}
	})
}

// A server may have left room for 50.
func TestClientsOfACrashedServerFindRoomInTheQueue(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.crash(crash)
		l.replaced(before)
		if !before.sock.Lengthened() {
			l.Error("the queue is as the server that died has left it")
		}
	})
}

// So it is before anybody could be turned away for it.
func TestQueueOfAServerByCommandIsAsLongAsOthersWhenItTakesOver(t *testing.T) {
	serving(t, func(l *life) {
		if l.server().sock.Lengthened() {
			l.Error("gunicorn's is lengthened, which was told how long it should be")
		}
		l.another()
		if !l.server().sock.Lengthened() {
			l.Error("it is as the server has made it")
		}
		before := l.server()
		l.change("second")
		l.replaced(before)
		if !l.server().sock.Lengthened() {
			l.Error("that of its successor is as the server has made it")
		}
	})
}

func TestGunicornIsToldToEndAtOnce(t *testing.T) {
	serving(t, func(l *life) {
		old := l.server()
		old.sock.Keep(1)
		l.change("second")
		l.serves("r2")
		if !old.gone {
			l.Error("it was not told to end")
		}
	})
}

// Where the kernel does not tell, it is as without looking.
func TestServerEndsWhereConnectionsCannotBeSeen(t *testing.T) {
	serving(t, func(l *life) {
		l.another()
		old := l.server()
		old.sock.Keep(1)
		l.w.folder.Fail("idle", errors.ErrUnsupported)
		l.change("second")
		l.serves("r2")
		if !old.gone {
			l.Error("it was not told to end")
		}
	})
}
