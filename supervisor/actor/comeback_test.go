package actor

import (
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// What comes back after a death, when, and which release that is.

// dead is a server that dies as soon as it has started, for a reason in words.
func dead(words string) conduct { return conduct{dies: &Exit{Words: words, Code: 3}} }

func TestRestartPolicySaysWhatComesBack(t *testing.T) {
	clean := Exit{Words: "exit code 0", Clean: true}
	for name, c := range map[string]struct {
		policy config.Restart
		exit   Exit
		back   bool
	}{
		"always, an exit code of 0":     {config.RestartAlways, clean, true},
		"always, a crash":               {config.RestartAlways, crash, true},
		"on-failure, an exit code of 0": {config.RestartOnFailure, clean, false},
		"on-failure, a crash":           {config.RestartOnFailure, crash, true},
		"never, an exit code of 0":      {config.RestartNever, clean, false},
		"never, a crash":                {config.RestartNever, crash, false},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.entry.Restart = c.policy
				l.configure(false)
				l.crash(c.exit)
				if c.back {
					l.serves("r1")
					return
				}
				l.phased(machine.PhaseStopped)
				l.says(c.exit.Words)
				if client := l.connect(); client.Fate() != fakesocket.Refused {
					l.Errorf("client is %s, want a refusal at once", client.Fate())
				}
				l.does(Command{Action: "start"}, "")
				if client := l.connect(); client.Fate() != fakesocket.Served {
					l.Errorf("client is %s after a start", client.Fate())
				}
			})
		})
	}
}

func TestCommandOrEditCutsTheBackoffShort(t *testing.T) {
	for name, c := range map[string]struct {
		hurry   func(l *life)
		release string
		within  time.Duration
	}{
		"start":   {func(l *life) { l.does(Command{Action: "start"}, "") }, "r1", time.Second},
		"restart": {func(l *life) { l.does(Command{Action: "restart"}, "") }, "r1", time.Second},
		"an edit": {func(l *life) { l.change("second") }, "r2", 3 * time.Second}, // an attempt takes two
		"another environment": {func(l *life) {
			l.w.do(func() { l.w.environ = []string{"SECRET=new"} })
			l.configure(false)
		}, "r1", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				for range 5 { // which come back after none, 1, 2, 4 and 8 s, less a quarter of jitter
					l.crash(crash)
					l.until("up again, or in a long backoff", func(v *View) bool {
						return v.Tree != nil || v.State.Failures == 5
					})
				}
				l.phased(machine.PhaseBackoff)
				if client := l.connect(); client.Fate() != fakesocket.Refused {
					l.Errorf("client is %s", client.Fate())
				}
				if left := l.w.folder.At(socketPath).RetryAfter(); left < 6*time.Second {
					l.Fatalf("the backoff takes %v, too little to tell", left)
				}
				begun := time.Now()
				c.hurry(l)
				l.until("up again", func(v *View) bool { return v.Tree != nil })
				if took := time.Since(begun); took > c.within {
					l.Errorf("up after %v: the backoff was not cut short", took)
				}
				l.serves(c.release)
			})
		})
	}
}

func TestCrashLoopSaysWhyAndNeverGivesUp(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() {
			l.w.output = []string{"RuntimeError: dead on purpose"}
			l.w.conduct["r1"] = dead("exit code 3")
		})
		l.crash(crash)
		l.until("dead for the 20th time", func(v *View) bool {
			return v.State.Phase() == machine.PhaseBackoff && v.State.Restarts >= 20
		})
		l.says("dead on purpose")
		client := l.connect()
		if wait := l.w.folder.At(socketPath).RetryAfter(); client.Fate() != fakesocket.Refused || wait < time.Second || wait > l.entry.RestartDelayMax {
			l.Errorf("client is %s, to come back after %v", client.Fate(), wait)
		}
		l.w.do(func() { l.w.conduct["r1"] = conduct{} })
		l.serves("r1")
		l.says("")
	})
}

func TestReleaseThatGaveWayIsTriedAgainOnlyWhenAskedFor(t *testing.T) {
	serving(t, func(l *life) {
		gaveWay := func(release string) {
			l.Helper()
			for range 2 {
				l.crash(crash)
				l.until("up again", func(v *View) bool { return v.Tree != nil })
			}
			l.serves("r1")
			l.says("release " + release + " is not served: killed by SIGSEGV")
		}
		l.change("second")
		l.serves("r2")
		gaveWay("r2")
		for what, happens := range map[string]func(){
			"a restart": func() { l.does(Command{Action: "restart"}, "") },
			"a look at the inputs": func() {
				attempts := l.w.attempts()
				l.InputsChanged()
				l.until("sure that nothing has changed", func(v *View) bool { return l.w.attempts() != attempts && !v.State.Building.Running })
			},
			"a crash": func() { l.crash(crash) },
		} {
			happens()
			l.serves("r1")
			l.pass(time.Minute)
			if now := l.View().State.Serving.Version.Release; now != "r1" {
				l.Errorf("release %s serves after %s", now, what)
			}
			l.pass(l.entry.StableAfter)
		}
		l.does(Command{Action: "rebuild"}, "")
		l.serves("r3")
		gaveWay("r3")
		l.change("third")
		l.serves("r4")
		l.says("")
	})
}

// Another server might be well, so one is tried; as long as none is, the sick one serves on.
func TestSickServerServesOnUntilOneIsWell(t *testing.T) {
	serving(t, func(l *life) {
		sick := conduct{answer: &ProbeError{Wrong: true, Err: errBroken}}
		server := l.server()
		l.w.do(func() { l.w.conduct["r1"] = sick })
		server.act(sick)
		l.phased(machine.PhaseUnhealthy)
		l.told(machine.EventCandidateFailed)
		l.pass(time.Hour)
		if l.phased(machine.PhaseUnhealthy); l.server() != server {
			l.Error("a server serves that is no better")
		}
		l.says("it broke")
		if client := l.connect(); client.Fate() != fakesocket.Served {
			l.Errorf("client is %s", client.Fate())
		}
		l.w.do(func() { l.w.conduct["r1"] = conduct{} })
		l.replaced(server)
		l.says("")
	})
}
