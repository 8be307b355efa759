package actor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
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

// At SIGTERM it may take more clients and drop them, or shut the socket down for all that serve it.
func TestServerByCommandThatHangsBesideAnotherIsKilled(t *testing.T) {
	for _, byCommand := range []bool{true, false} {
		serving(t, func(l *life) {
			before := l.server()
			if byCommand {
				l.entry.Command = []string{"{python}", "server.py", "{private}"}
			}
			l.entry.Replicas = 2
			l.configure(false)
			l.replaced(before)
			l.until("two trees", func(v *View) bool { return v.State.Serving.Well() == 2 })
			hung := l.w.trees[len(l.w.trees)-1]
			for range l.entry.Health.Failures {
				l.tell(machine.ProbeFailed{N: l.View().State.Serving.Beside[0].N, Reason: "no answer"})
			}
			synctest.Wait()
			if hung == l.server() || !hung.gone || hung.termed == byCommand {
				l.Errorf("by command: %v, it leads: %v, gone: %v, told to end: %v", byCommand, hung == l.server(), hung.gone, hung.termed)
			}
		})
	}
}

// It may have had the name or the socket that another tree still serves.
func TestNameIsLookedAtOnceAServerByCommandHasEnded(t *testing.T) {
	serving(t, func(l *life) {
		l.entry.Replicas, l.entry.Health.Interval = 2, time.Hour
		l.another()
		l.until("two trees", func(v *View) bool { return v.State.Serving.Well() == 2 })
		first, dead := l.server(), l.w.trees[len(l.w.trees)-1]
		dead.sock.Lose()
		dead.exit(crash)
		l.until("replaced", func(v *View) bool { return v.Tree != nil && v.Tree != Tree(first) && v.State.Serving.Well() == 2 })
		if at := l.w.folder.At(socketPath); at == nil || at == dead.sock || at != l.server().sock {
			l.Error("the name does not lead to the new servers")
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
