package actor

import (
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// notifying runs f on a build that serves and has a process that says when it is ready.
func notifying(t *testing.T, f func(l *life, process func() *tree)) {
	t.Helper()
	serving(t, func(l *life) {
		l.entry.Health.Interval = time.Hour // nobody waits for probes here
		l.entry.Processes = []config.Process{{Name: "worker", Command: []string{"work"}, Count: 1, Restart: config.RestartAlways, Ready: config.ReadyNotify}}
		l.configure(false)
		<-l.CaughtUp()
		l.pass(time.Second)
		f(l, func() *tree {
			l.Helper()
			all := l.View().Beside
			for end := time.Now().Add(time.Minute); len(all) == 0 && time.Now().Before(end); all = l.View().Beside { // its backoff
				l.pass(time.Second)
			}
			for _, one := range all {
				return one.(*tree)
			}
			l.Fatal("no process runs")
			return nil
		})
	})
}

func (l *life) process() machine.Member {
	l.Helper()
	all := l.View().State.Processes
	if len(all) != 1 {
		l.Fatalf("processes are %+v", all)
	}
	return all[0]
}

func TestProcessIsUpOnceItSaysSo(t *testing.T) {
	notifying(t, func(l *life, process func() *tree) {
		first := process()
		l.pass(30 * time.Second)
		if l.process().Ready {
			t.Error("it is up and has not said so")
		}
		first.notes <- "STATUS=nearly\nREADY=1"
		l.pass(0)
		if m := l.process(); !m.Ready || m.N == 0 {
			t.Errorf("it said so and is %+v", m)
		}
		l.pass(time.Hour)
		if process() != first {
			t.Error("one that never said that it is alive was replaced")
		}
	})
}

func TestProcessThatNeverSaysThatItIsReadyIsReplaced(t *testing.T) {
	notifying(t, func(l *life, process func() *tree) {
		first := process()
		l.pass(l.entry.Health.StartTimeout + time.Second)
		if process() == first || !strings.Contains(l.process().LastExit, "did not say READY=1 within start_timeout (1m0s)") {
			t.Errorf("%+v", l.process())
		}
	})
}

func TestProcessThatBeganToSayThatItIsAliveMustGoOn(t *testing.T) {
	notifying(t, func(l *life, process func() *tree) {
		first := process()
		first.notes <- "READY=1"
		for range 3 {
			l.pass(20 * time.Second)
			first.notes <- "WATCHDOG=1"
		}
		l.pass(29 * time.Second)
		if process() != first {
			t.Error("it was replaced within its time")
		}
		l.pass(2 * time.Second)
		second := process()
		if second == first || !strings.Contains(l.process().LastExit, "did not say WATCHDOG=1 within 30s") {
			t.Errorf("%+v", l.process())
		}
		second.notes <- "READY=1\nWATCHDOG=1\nWATCHDOG_USEC=5000000"
		l.pass(6 * time.Second)
		third := process()
		if third == second || !strings.Contains(l.process().LastExit, "within 5s") {
			t.Errorf("%+v", l.process())
		}
		third.notes <- "READY=1"
		third.notes <- "WATCHDOG=trigger"
		l.pass(time.Minute)
		if process() == third || !strings.Contains(l.process().LastExit, "WATCHDOG=trigger") {
			t.Errorf("%+v", l.process())
		}
	})
}

// What it says costs us processor time that its own limits do not count.
func TestProcessThatTalksWithoutEndIsReadAtAPace(t *testing.T) {
	notifying(t, func(l *life, process func() *tree) {
		talker, read := process(), 0
		talker.notes <- "READY=1"
		for end := time.After(time.Second); ; read++ {
			select {
			case talker.notes <- "WATCHDOG=1":
				continue
			case <-end:
			}
			break
		}
		if most := int(time.Second/noteRest) + cap(talker.notes) + 1; read > most {
			t.Errorf("%d messages were read within a second, want at most %d", read, most)
		}
		if !l.process().Ready {
			t.Error("it is not up")
		}
	})
}

// A log that its server prints to as well does not say whose its last lines are.
func TestReasonOfAProcessesEndIsWhatItSaidLastItself(t *testing.T) {
	notifying(t, func(l *life, process func() *tree) {
		l.w.do(func() { process().said = []string{"10:00 GET /", "ModuleNotFoundError: No module named 'tasks'"} })
		process().exit(Exit{Words: "exit code 1", Code: 1})
		l.told("process_exited")
		if got := l.process().LastExit; got != "exit code 1; last output: ModuleNotFoundError: No module named 'tasks'" {
			t.Errorf("its last exit is %q", got)
		}
		// Of one that was killed it says nothing.
		l.w.do(func() { process().said = []string{"ready"} })
		process().exit(Exit{Words: "killed by SIGKILL", Code: -1, Signal: true})
		l.pass(0)
		if got := l.process().LastExit; got != "killed by SIGKILL" {
			t.Errorf("its last exit is %q", got)
		}
	})
}
