package actor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

func TestBuildComesUpByACheckedCandidate(t *testing.T) {
	story(t, func(l *life) {
		l.Adopt(nil, nil)
		l.configure(false)
		l.phased(machine.PhaseBuilding)
		early := l.connect() // the name is there before anything serves
		if early.Fate() != fakesocket.Refused {
			l.Errorf("a client before anything serves is %s", early.Fate())
		}
		l.serves("r1")
		l.events("built proved took_over")
		if c := l.connect(); c.Fate() != fakesocket.Served || l.w.current != "r1" || l.w.folder.At(stagingPath) != nil {
			l.Errorf("client is %s, current release %q", c.Fate(), l.w.current)
		}
		if env := l.server().env; !slices.Contains(env, "MEDCTRL_RELEASE=r1") || l.server().mark != "root/one/1" {
			l.Errorf("mark %s, environment %q", l.server().mark, env)
		}
		v := l.View()
		if v.Public.(*fakesocket.Listener) != l.server().sock || v.Entry.Name != l.Name() || l.phase == 0 {
			l.Errorf("seen: %+v", v)
		}
	})
}

func TestNewReleaseTakesOverAndTheOldOneServesItsQueue(t *testing.T) {
	serving(t, func(l *life) {
		old := l.server()
		old.act(conduct{hung: true, stubborn: true}) // of no effect on what accepts already
		l.change("second")
		l.serves("r2")
		l.events("built proved took_over stable") // it took its whole grace period
		if !old.gone || l.server() == old || !old.sock.Closed() || len(l.w.living()) != 1 {
			l.Error("the old generation is left")
		}
		if c := l.connect(); c.Fate() != fakesocket.Served {
			l.Errorf("client is %s", c.Fate())
		}
	})
}

func TestCrashIsAnsweredOnTheSameListenerFromMemory(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.w.fail("Get", errBroken) // no disk is needed
		l.w.do(func() { l.w.output = []string{"panic: of the server"} })
		before.exit(Exit{Words: "exit code 1", Code: 1})
		c := l.connect()
		l.serves("r1")
		if after := l.server(); after == before || after.sock != before.sock || c.Fate() != fakesocket.Served || c.Passed() {
			l.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
		}
		if st := l.View().State; st.Restarts != 1 || st.LastExit != "exit code 1; last output: panic: of the server" || !before.termed {
			l.Errorf("%d restarts, last exit %q, SIGTERM to what was left: %v", st.Restarts, st.LastExit, before.termed)
		}
		l.events("exited recovered")
	})
}

func TestClientsOfABuildInBackoffAreToldToComeBack(t *testing.T) {
	serving(t, func(l *life) {
		l.crash(crash) // the first one is answered at once
		l.serves("r1")
		l.crash(crash)
		l.phased(machine.PhaseBackoff)
		if c := l.connect(); c.Fate() != fakesocket.Refused || l.w.folder.At(socketPath).RetryAfter() < time.Second {
			l.Errorf("client is %s", c.Fate())
		}
		l.serves("r1")
		if c := l.connect(); c.Fate() != fakesocket.Served {
			l.Errorf("client is %s", c.Fate())
		}
	})
}

func TestCandidateThatFailsItsCheckNeverTakesTheName(t *testing.T) {
	for name, c := range map[string]struct {
		conduct conduct
		before  func(w *world)
		reason  string
	}{
		"never ready":          {conduct: conduct{mute: true}, reason: "not ready within start_timeout (1m0s): no worker has loaded the application"},
		"wrong answers":        {conduct: conduct{answer: &ProbeError{Wrong: true, Err: errBroken}}, reason: "it broke"},
		"no answer":            {conduct: conduct{hung: true}, reason: "not ready within start_timeout (1m0s): no answer in time"},
		"ends":                 {conduct: conduct{dies: &Exit{Words: "exit code 3", Code: 3}}, reason: "a gunicorn worker could not boot"},
		"cannot be started":    {before: func(w *world) { w.fail("Start", errBroken) }, reason: "it broke"},
		"cannot have a user":   {before: func(w *world) { w.fail("Identity", errBroken) }, reason: "it broke"},
		"release is gone":      {before: func(w *world) { w.fail("Get", errBroken) }, reason: "it broke"},
		"no staging socket":    {before: func(w *world) { w.folder.Fail(fakesocket.Bind, errBroken) }, reason: "it broke"},
		"name cannot be given": {before: func(w *world) { w.folder.Fail(fakesocket.Take, errBroken) }, reason: "it broke"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				old := l.server()
				l.w.do(func() { l.w.conduct["r2"] = c.conduct })
				if c.before != nil {
					c.before(l.w)
				}
				l.change("second")
				l.told(machine.EventCandidateFailed)
				l.until("rid of the candidate", func(v *View) bool { return len(v.State.Ending) == 0 })
				if l.server() != old || l.w.folder.At(socketPath) != old.sock || l.w.current != "r1" {
					l.Error("something else serves")
				}
				l.says("release r2")
				l.says(c.reason)
				if client := l.connect(); client.Fate() != fakesocket.Served {
					l.Errorf("client is %s", client.Fate())
				}
			})
		})
	}
}

func TestReleaseIsServedWhereTheLinkToItCannotBeMade(t *testing.T) {
	serving(t, func(l *life) {
		for _, method := range []string{"SetCurrent", "DropFiles", "Prune", "List", "Terminate"} {
			l.w.fail(method, errBroken) // each is said in the log, and costs nothing else
		}
		l.change("second")
		l.serves("r2")
	})
}

// It says nothing of its workers, so any answer may come before it is up.
func TestServerByCommandMayAnswerWronglyUntilItIsUp(t *testing.T) {
	story(t, func(l *life) {
		l.entry.Command = []string{"serve"}
		l.w.do(func() { l.w.conduct["r1"] = conduct{answer: &ProbeError{Wrong: true, Err: errBroken}} })
		l.Adopt(nil, nil)
		l.configure(false)
		l.until("a candidate", func(v *View) bool { return v.State.Candidate.N != 0 })
		l.pass(30 * time.Second)
		if l.View().State.Candidate.N == 0 {
			l.Fatal("it was not given its time")
		}
		for _, tree := range l.w.living() {
			tree.act(conduct{})
		}
		l.serves("r1")
	})
}

// A server that has to work off a queue before it comes to the probe is not a hung one.
func TestProbeBehindAQueueIsGivenMoreTimeEachTime(t *testing.T) {
	const turn = 9 * time.Second // of the probe, where one waits 2 s
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r1"], l.w.spans = conduct{turn: turn}, nil })
		l.crash(crash)
		l.serves("r1")
		want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second}
		l.w.do(func() {
			if len(l.w.spans) < 4 || !slices.Equal(l.w.spans[:4], want) {
				l.Errorf("probes waited %v, want %v", l.w.spans, want)
			}
		})
	})
	serving(t, func(l *life) { // a candidate has no queue
		l.w.do(func() { l.w.conduct["r2"], l.w.spans = conduct{turn: turn}, nil })
		l.change("second")
		l.told(machine.EventCandidateFailed)
		l.w.do(func() {
			for _, span := range l.w.spans {
				if span != 2*time.Second {
					l.Errorf("a probe without a queue waited %v", span)
				}
			}
		})
	})
}

func TestHungServerIsReplacedAndItsQueuePassedOn(t *testing.T) {
	serving(t, func(l *life) {
		hung := l.server()
		hung.act(conduct{hung: true})
		hung.stop()
		c := l.connect()
		if c.Fate() != fakesocket.Waiting {
			l.Fatalf("client is %s", c.Fate())
		}
		l.told(machine.EventUnhealthy)
		l.replaced(hung)
		if c.Fate() != fakesocket.Served || !c.Passed() || l.server() == hung || !hung.gone {
			l.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
		}
		l.pass(l.entry.StableAfter)
		l.events("unhealthy proved took_over stable")
	})
}

// A server that we could not ask is neither healthy nor unhealthy.
func TestProbeThatFailedByOurOwnLackIsNotCounted(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		server.act(conduct{answer: &ProbeError{Ours: true, Err: errBroken}})
		l.pass(20 * l.entry.Health.Interval)
		l.serves("r1")
		if l.server() != server || len(l.w.living()) != 1 {
			l.Error("it was replaced")
		}
		server.act(conduct{answer: &ProbeError{Wrong: true, Err: errBroken}})
		l.told(machine.EventUnhealthy) // it is probed on
	})
}

func TestServerThatRecoversIsKept(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		l.w.do(func() { l.w.conduct["r1"] = conduct{mute: true} }) // its successor takes its time
		server.act(conduct{answer: &ProbeError{Wrong: true, Err: errBroken}})
		l.phased(machine.PhaseUnhealthy)
		server.act(conduct{})
		l.serves("r1")
		if l.server() != server || len(l.w.living()) != 1 {
			l.Error("it was replaced all the same")
		}
		l.events("unhealthy healthy")
	})
}

func TestReleaseThatKeepsDyingGivesWayToTheOneBefore(t *testing.T) {
	serving(t, func(l *life) {
		l.change("second")
		l.serves("r2")
		for range 2 {
			l.crash(crash)
			l.until("up again", func(v *View) bool { return v.Tree != nil })
		}
		l.serves("r1")
		l.told(machine.EventGaveWay)
		stays := l.View().Stays
		if ended := stays["r2"].Ended; ended != "gave way to r1: killed by SIGSEGV" {
			l.Errorf("r2 ended: %q", ended)
		}
		if !stays["r1"].Until.IsZero() || stays["r1"].Ended != "" {
			l.Errorf("r1 serves: %+v", stays["r1"])
		}
	})
}

func TestPublicSocketThatCannotBeMadeIsTriedAgain(t *testing.T) {
	story(t, func(l *life) {
		l.w.folder.Fail(fakesocket.Bind, errBroken)
		l.Adopt(nil, nil)
		l.configure(false)
		l.until("told so", func(v *View) bool { return v.State.OpenErr != "" })
		l.says("it broke")
		l.w.folder.Fail(fakesocket.Bind, nil)
		l.serves("r1")
		l.says("")
	})
}

func TestRemovedNameIsBackAtOnce(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		if err := l.w.folder.Remove(socketPath); err != nil {
			l.Fatal(err)
		}
		l.w.guard()
		<-l.CaughtUp()
		if l.w.folder.At(socketPath) != server.sock || l.server() != server {
			l.Error("the name does not lead to the server")
		}
	})
}

// Where nothing watches the folder, the probe finds it missing.
func TestNameThatIsLostForGoodGoesToANewSocket(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		server.sock.Lose()
		l.replaced(server)
		if l.w.folder.At(socketPath) != l.server().sock || l.server() == server {
			l.Error("the name does not lead to the new server")
		}
	})
}

func TestNameThatIsLostForGoodIsBackAtOnce(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		l.w.fail("Start", errBroken)
		server.sock.Lose()
		l.w.guard()
		<-l.CaughtUp()
		if c := l.connect(); c.Fate() != fakesocket.Refused {
			l.Errorf("while nothing can be started a client is %s", c.Fate())
		}
		if server.dead || l.View().State.Serving.N == 0 {
			l.Error("what serves was ended")
		}
		l.w.fail("Start", nil)
		l.replaced(server)
		if c := l.connect(); c.Fate() != fakesocket.Served {
			l.Errorf("client is %s", c.Fate())
		}
	})
}

func TestChangedRunSettingsReplaceTheGenerationOnly(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.w.do(func() { l.w.environ = []string{"SECRET=new"} })
		l.configure(false)
		l.replaced(before)
		if !slices.Contains(l.server().env, "SECRET=new") || slices.Contains(before.env, "SECRET=new") {
			l.Errorf("environment %q", l.server().env)
		}
		l.events("proved took_over")
	})
}

func TestEnvironmentThatCannotBeReadLeavesTheOneBefore(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.environ = []string{"SECRET=kept"} })
		first := l.server()
		l.configure(false)
		l.replaced(first)
		server := l.server()
		l.w.fail("Environ", errBroken)
		l.configure(false)
		<-l.CaughtUp()
		if l.server() != server || l.View().State.Candidate.N != 0 {
			l.Error("something else is to serve")
		}
		l.entry.Threads = 4 // costs a restart
		l.configure(false)
		l.replaced(server)
		if !slices.Contains(l.server().env, "SECRET=kept") {
			l.Errorf("environment %q", l.server().env)
		}
	})
}

// What the file says of health applies live, at once.
func TestChangedIntervalBeginsNow(t *testing.T) {
	serving(t, func(l *life) {
		l.entry.Health.Interval = time.Second
		l.configure(false)
		<-l.CaughtUp()
		l.w.do(func() { l.w.spans = nil })
		l.pass(3500 * time.Millisecond)
		l.w.do(func() {
			if n := len(l.w.spans); n != 3 {
				l.Errorf("%d probes within 3.5 s", n)
			}
		})
	})
}

func TestBuildThatIsNotRestartedStaysDown(t *testing.T) {
	serving(t, func(l *life) {
		l.entry.Restart = config.RestartOnFailure
		l.configure(false)
		l.server().exit(Exit{Words: "exit code 0", Clean: true})
		l.phased(machine.PhaseStopped)
		l.says(fmt.Sprintf("restart = %q", "on-failure"))
		if c := l.connect(); c.Fate() != fakesocket.Refused {
			l.Errorf("client is %s", c.Fate())
		}
	})
}
