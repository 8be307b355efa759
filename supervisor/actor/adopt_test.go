package actor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// past is what an earlier supervisor left of a build whose release r1 is kept.
type past struct {
	*life
	runKey string
	since  time.Time
	record state.Record
	found  []Leftover
}

// after runs f where an earlier supervisor was killed.
func after(t *testing.T, f func(p *past)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := born(t, newWorld(), entry())
		defer l.end()
		p := &past{life: l, since: time.Now().Add(-time.Hour).UTC()}
		var known launches
		p.runKey = known.know(&l.entry, nil)
		l.w.kept, l.w.made = []build.Release{{ID: "r1", Dir: "/release", Venv: "/venv"}}, map[string]string{"first": "r1"}
		p.record = state.Record{Build: "one", Release: "r1", LastBuilt: "r1", Proven: "r1", ProvenRunKey: p.runKey, NextGeneration: 7}
		f(p)
	})
}

// left starts the tree of generation n, which runs release, and finds it. The youngest is left
// first.
func (p *past) left(n int, release string, l *fakesocket.Listener, c conduct) *tree {
	t := p.w.plant(p.mark(n), []string{"MEDCTRL_RELEASE=" + release, "MEDCTRL_RUN_KEY=" + p.runKey}, l, c)
	p.found = append(p.found, t.leftover(n))
	p.record.Generations = append(p.record.Generations, state.Generation{
		N: n, Role: roleServing, Release: release, RunKey: p.runKey, Pid: t.pid, BootID: bootID, SocketInode: l.Inode(), Since: p.since,
	})
	return t
}

func (p *past) bind(path string) *fakesocket.Listener {
	p.Helper()
	l, err := p.w.folder.Bind(path)
	if err != nil {
		p.Fatal(err)
	}
	return l
}

// begin begins the next supervisor.
func (p *past) begin(handed ...public.Listener) {
	p.Restore(p.record, p.w.kept, p.found)
	p.Releases(p.w.kept)
	p.Adopt(p.found, handed)
	p.configure(false)
}

func TestRunningGenerationServesOnUntouched(t *testing.T) {
	after(t, func(p *past) {
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.begin()
		p.serves("r1")
		p.pass(p.entry.StableAfter)
		if p.server() != server || server.termed || !p.View().State.Serving.Since.Equal(p.since) {
			p.Errorf("it serves since %v", p.View().State.Serving.Since)
		}
		p.events("adopted stable")
		p.crash(crash)
		p.serves("r1")
		if p.server().sock != server.sock || p.server().mark != "root/one/7" {
			p.Errorf("its successor is %s", p.server().mark)
		}
	})
}

func TestWhateverElseIsLeftIsEnded(t *testing.T) {
	after(t, func(p *past) {
		candidate := p.left(8, "r2", p.bind(stagingPath), conduct{stubborn: true})
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.begin()
		p.serves("r1")
		p.pass(p.entry.GracefulTimeout)
		if p.server() != server || !candidate.gone || p.View().State.Spawned != 8 {
			p.Errorf("%d generations were begun, as far as is known", p.View().State.Spawned)
		}
		candidate.sock.Close() // the kernel's, with the last process that had it
	})
}

func TestGenerationWhoseListenerCannotBeTakenBackServesOn(t *testing.T) {
	after(t, func(p *past) {
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.w.lost = errBroken
		p.begin()
		p.serves("r1")
		if p.server() != server || p.View().Public != nil {
			p.Error("it was replaced")
		}
		p.pass(time.Minute)
		p.crash(crash)
		server.sock.Close() // the kernel's, with the last process that had it
		p.serves("r1")
		if c := p.connect(); c.Fate() != fakesocket.Served || p.View().Public == nil {
			p.Errorf("client is %s", c.Fate())
		}
	})
	after(t, func(p *past) { // and another release takes over from it
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.w.lost = errBroken
		p.begin()
		p.serves("r1")
		p.change("second")
		p.serves("r2")
		if !server.gone {
			p.Error("the old one is left")
		}
		server.sock.Close()
	})
	after(t, func(p *past) { // or it is stopped
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.w.lost = errBroken
		p.begin()
		p.serves("r1")
		p.does(Command{Action: "stop"}, "")
		if p.w.folder.At(socketPath) != nil || !server.gone {
			p.Error("something is left of the build")
		}
		server.sock.Close()
	})
}

func TestListenerOfADeadServerGoesToItsSuccessor(t *testing.T) {
	for name, dies := range map[string]func(p *past, server *tree){
		"before it was found": func(p *past, server *tree) { server.exit(crash); p.found[0] = server.leftover(6) },
		"after it was found":  func(_ *past, server *tree) { server.exit(crash) },
	} {
		t.Run(name, func(t *testing.T) {
			after(t, func(p *past) {
				server := p.left(6, "r1", p.bind(socketPath), conduct{})
				dies(p, server)
				c := p.connect()
				p.begin()
				p.serves("r1")
				if c.Fate() != fakesocket.Served || c.Passed() || p.server().sock != server.sock || !server.gone {
					p.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
				}
				if last := p.View().State.LastExit; last != "it ended while no supervisor watched" {
					p.Errorf("last exit %q", last)
				}
			})
		})
	}
}

func TestDeadServerWhoseListenerIsLostIsReplaced(t *testing.T) {
	after(t, func(p *past) {
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		server.exit(crash) // after it was found
		p.w.lost = errBroken
		p.begin()
		p.serves("r1")
		if !server.gone || p.server() == server {
			p.Error("the dead one is left")
		}
		server.sock.Close()
	})
}

func TestWhatAGenerationRunsIsReadFromTheRecordRatherThanFromItself(t *testing.T) {
	after(t, func(p *past) {
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		server.env = []string{"MEDCTRL_RELEASE=r2", "MEDCTRL_RUN_KEY=other"}
		p.begin()
		p.serves("r1")
		if p.server() != server || p.View().State.Serving.Version.RunKey != p.runKey {
			p.Errorf("it serves %+v", p.View().State.Serving.Version)
		}
	})
}

func TestGenerationThatDoesNotSayWhatItRunsIsReplaced(t *testing.T) {
	after(t, func(p *past) {
		server := p.left(6, "r1", p.bind(socketPath), conduct{})
		p.record.Generations = nil // killed before it was written down
		p.w.fail("Environ of a process", errBroken)
		p.begin()
		p.until("adopted", func(v *View) bool { return v.State.Serving.N == 6 })
		p.w.fail("Environ of a process", nil)
		p.replaced(server)
		if c := p.connect(); c.Fate() != fakesocket.Served {
			p.Errorf("client is %s", c.Fate())
		}
	})
}

// The state was not written any more when it took over.
func TestGenerationThatIsNewerThanTheRecordIsWhatWasWanted(t *testing.T) {
	after(t, func(p *past) {
		p.w.kept = append(p.w.kept, build.Release{ID: "r2", Dir: "/release", Venv: "/venv"})
		p.w.made["first"], p.record.LastBuilt = "r2", "r2"
		server := p.left(9, "r2", p.bind(socketPath), conduct{})
		p.begin()
		p.serves("r2")
		p.pass(time.Minute)
		if p.server() != server || p.View().State.Release != "r2" {
			p.Errorf("release %s is to serve", p.View().State.Release)
		}
	})
}

// It was started by hand after the stop that the record tells of, while the disk took nothing.
func TestGenerationThatIsNewerThanARecordedStopServesOn(t *testing.T) {
	for name, c := range map[string]struct {
		newest int
		serves bool
	}{
		"newer":                         {9, true},
		"newer, with a newer candidate": {8, true},
		"of before the stop":            {6, false},
	} {
		t.Run(name, func(t *testing.T) {
			after(t, func(p *past) {
				p.record.StoppedByHand = true
				if c.newest == 8 {
					candidate := p.left(9, "r1", p.bind(stagingPath), conduct{})
					defer candidate.sock.Close() // the kernel's, with the last process that had it
				}
				server := p.left(c.newest, "r1", p.bind(socketPath), conduct{})
				p.record.Generations = nil
				p.begin()
				p.pass(time.Minute)
				switch st := p.View().State; {
				case c.serves && (st.Phase() != machine.PhaseRunning || p.server() != server || st.ByHand):
					p.Errorf("it is %s", st.Phase())
				case !c.serves && (st.Phase() != machine.PhaseStopped || !server.gone || !st.ByHand):
					p.Errorf("it is %s", st.Phase())
				}
			})
		})
	}
}

func TestQueueOfARetiringGenerationIsServedToItsEnd(t *testing.T) {
	for name, handed := range map[string]bool{"taken back": false, "handed over": true} {
		t.Run(name, func(t *testing.T) {
			after(t, func(p *past) {
				old := p.bind(socketPath)
				c := p.connect()
				next := p.bind(socketPath) // took the name from it
				p.left(6, "r1", next, conduct{})
				retiring := p.left(5, "r1", old, conduct{hung: true})
				if handed {
					p.begin(next, old)
				} else {
					p.begin()
				}
				p.serves("r1")
				p.pass(p.entry.GracefulTimeout)
				if !c.Passed() || c.Fate() != fakesocket.Served || !old.Closed() || !retiring.gone || p.server().sock != next {
					p.Errorf("client is %s, passed on: %v", c.Fate(), c.Passed())
				}
			})
		})
	}
}

func TestQueueThatCannotBeSeenHoldsUpNothing(t *testing.T) {
	after(t, func(p *past) {
		p.left(6, "r1", p.bind(socketPath), conduct{})
		retiring := p.left(5, "r1", p.bind(socketPath+".old"), conduct{})
		p.record.Generations[1].SocketInode = 99 // nobody has it
		p.begin()
		p.serves("r1")
		if !retiring.gone {
			p.Error("it was not ended")
		}
		retiring.sock.Close()
	})
}

func TestHandedSocketThatNobodyServesIsServedAgain(t *testing.T) {
	after(t, func(p *past) {
		handed := p.bind(socketPath)
		c := p.connect()
		spare := p.bind("/elsewhere")
		p.record.LastExit = "exit code 1"
		p.begin(handed, spare)
		p.serves("r1")
		if c.Fate() != fakesocket.Served || p.server().sock != handed || !spare.Closed() {
			p.Errorf("client is %s", c.Fate())
		}
	})
}

func TestSettingsOfAnEarlierRunAreReplacedByThoseOfNow(t *testing.T) {
	after(t, func(p *past) {
		p.record.ProvenRunKey = "of a file that was edited since"
		p.begin()
		p.serves("r1")
		if key := p.View().State.Serving.Version.RunKey; key != p.runKey {
			p.Errorf("it runs under %q", key)
		}
	})
}

func TestReleaseIsNotStartedBeforeItsSettingsAreKnown(t *testing.T) {
	after(t, func(p *past) {
		if _, err := p.recipeOf(machine.Version{Release: "r1", RunKey: p.runKey}); err == nil {
			p.Error("it was started with settings of nobody")
		}
	})
}

func TestProcessThatWasAskedToEndIsNotAskedAgain(t *testing.T) {
	worker := config.Process{Name: "worker", Command: []string{"work"}, Count: 1, Restart: config.RestartAlways, StopSignal: "INT", GracefulTimeout: time.Hour}
	var asked state.Generation
	serving(t, func(l *life) {
		l.w.conduct["r1"] = conduct{stubborn: true}
		l.entry.Processes = []config.Process{worker}
		l.configure(false)
		l.until("it runs", func(v *View) bool { return len(v.State.Processes) == 1 && v.State.Processes[0].Ready })
		if all := l.w.record.Generations; all[len(all)-1].Asked {
			l.Errorf("before the end of a process its record is %+v", all[len(all)-1])
		}
		l.entry.Processes = nil
		l.configure(false)
		l.pass(time.Second)
		all := l.w.record.Generations
		asked = all[len(all)-1]
		if asked.Process != "worker" || !asked.Asked {
			l.Errorf("of a process that is to end the record is %+v", asked)
		}
		l.w.do(func() { l.w.trees[len(l.w.trees)-1].conduct = conduct{} })
	})
	for _, before := range []bool{true, false} {
		after(t, func(p *past) {
			p.entry.Processes = []config.Process{worker}
			server := p.left(6, "r1", p.bind(socketPath), conduct{})
			left := p.w.plant(p.mark(5), nil, nil, conduct{})
			p.found = append(p.found, left.leftover(5))
			p.record.Generations = append(p.record.Generations, state.Generation{
				N: 5, Role: roleRetiring, Release: "gone", RunKey: "other", Pid: left.pid, BootID: bootID, Process: "gone", Asked: before,
			})
			left.act(conduct{stubborn: true})
			p.begin()
			p.pass(time.Second)
			if p.server() != server || left.asked != before {
				p.Errorf("asked before: %v; of what is left that was said: %v", before, left.asked)
			}
			all := p.w.record.Generations
			if last := all[len(all)-1]; last.N != 5 || !last.Asked {
				p.Errorf("one more supervisor is told of %+v", all)
			}
			p.serves("r1")
		})
	}
}
