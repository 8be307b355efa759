package actor

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// written returns the build's record as it comes back from the disk.
func (l *life) written() state.Record {
	l.Helper()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	text, err := json.Marshal(l.w.record)
	if err != nil {
		l.Fatal(err)
	}
	var r state.Record
	if err := json.Unmarshal(text, &r); err != nil {
		l.Fatal(err)
	}
	return r
}

// again ends the supervisor and begins another one, which reads what was written.
func (l *life) again() *life {
	l.Helper()
	l.end()
	next := born(l.T, l.w, l.entry)
	releases, err := next.Ports.Releases.List("one")
	if err != nil {
		l.Fatal(err)
	}
	next.Restore(l.written(), releases, nil)
	next.Releases(releases)
	next.Adopt(nil, nil)
	next.configure(false)
	return next
}

func TestNextSupervisorGoesOnWhereThisOneWas(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r3"] = conduct{dies: &crash} })
		l.change("second")
		l.serves("r2")
		l.pass(l.entry.StableAfter)
		l.change("third")
		l.until("rejected", func(v *View) bool { return len(v.State.Bad) == 1 })
		l.crash(crash)
		l.serves("r2")
		before := l.View().State

		next := l.again()
		defer next.end()
		next.serves("r2")
		next.pass(time.Minute)
		now := next.View().State
		if now.Release != "r3" || now.LastBuilt != "r3" || now.Proven.Release != "r2" || now.Previous != "r1" || now.Serving.N <= before.Spawned {
			l.Errorf("it goes on with %+v", now)
		}
		if !maps.Equal(now.Bad, before.Bad) || len(now.Bad) != 1 {
			l.Errorf("bad releases %v, were %v", now.Bad, before.Bad)
		}
		if now.Restarts <= before.Restarts-1 || !slices.Equal(next.Kept(), []string{"r1", "r2", "r3"}) {
			l.Errorf("%d restarts, were %d; kept %q", now.Restarts, before.Restarts, next.Kept())
		}
		if stay := next.View().Stays["r2"]; stay.Since.IsZero() || !stay.Until.IsZero() {
			l.Errorf("stay %+v", stay)
		}
		next.says("release r3 is not served")
	})
}

// Whoever asked may have gone, and an upgrade or a kill tells nobody.
func TestWhatWasAskedForIsCarriedOnByTheNextSupervisor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		st   machine.State
		want string
		then func(machine.State) bool
	}{
		"a restart":                    {machine.State{Release: "r1", Again: true}, wishRestart, func(st machine.State) bool { return st.Again }},
		"a restart being checked":      {machine.State{Release: "r1", Candidate: machine.Generation{Tree: machine.Tree{N: 3}, Asked: true}}, wishRestart, func(st machine.State) bool { return st.Again }},
		"a rebuild":                    {machine.State{NeedBuild: machine.NeedForced}, wishRebuild, func(st machine.State) bool { return st.NeedBuild == machine.NeedForced }},
		"a rebuild that runs":          {machine.State{Building: machine.Building{Running: true, Forced: true}}, wishRebuild, func(st machine.State) bool { return st.NeedBuild == machine.NeedForced }},
		"a rebuild of everything":      {machine.State{Building: machine.Building{Running: true, Forced: true, Fresh: true}}, wishFresh, func(st machine.State) bool { return st.NeedBuild == machine.NeedFresh }},
		"none that migrates":           {machine.State{Building: machine.Building{Running: true, Forced: true, Committed: true}}, "", func(st machine.State) bool { return st.NeedBuild == machine.NeedNone }},
		"none of a stopped build":      {machine.State{Again: true}, "", func(st machine.State) bool { return !st.Again }},
		"no attempt that nobody wants": {machine.State{NeedBuild: machine.NeedCheck}, "", func(st machine.State) bool { return st.NeedBuild == machine.NeedNone }},
	} {
		if c.st.Want = machine.WantServe; strings.Contains(name, "stopped") {
			c.st.Want = machine.WantStopped
		}
		serving(t, func(l *life) {
			if got := wishOf(&c.st); got != c.want {
				l.Errorf("%s: %q, want %q", name, got, c.want)
			}
			record := l.written()
			record.Wish = c.want
			l.end()
			next := born(l.T, l.w, l.entry)
			defer next.end()
			releases, err := next.Ports.Releases.List("one")
			if err != nil {
				l.Fatal(err)
			}
			next.Restore(record, releases, nil)
			if st := next.View().State; !c.then(*st) {
				l.Errorf("%s: the next begins with %+v", name, st)
			}
		})
	}
}

func TestRestartGoesOnUnderTheNextSupervisor(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r1"] = conduct{mute: true} })
		before := l.View().State.Serving.N
		if err := l.Do(l.Context(), Command{Action: "restart", NoWait: true}, nil); err != nil {
			l.Fatal(err)
		}
		l.until("the candidate", func(v *View) bool { return v.State.Candidate.N != 0 })
		record := l.written() // which a kill, or an upgrade, leaves
		l.end()
		l.w.do(func() { delete(l.w.conduct, "r1") })
		next := born(l.T, l.w, l.entry)
		defer next.end()
		releases, err := next.Ports.Releases.List("one")
		if err != nil {
			l.Fatal(err)
		}
		next.Restore(record, releases, nil)
		next.Releases(releases)
		next.Adopt(nil, nil)
		next.configure(false)
		if record.Wish != wishRestart {
			l.Errorf("what was asked for is written down as %q", record.Wish)
		}
		next.until("another generation", func(v *View) bool {
			return v.State.Serving.Ready && v.State.Serving.N > before && v.State.Candidate.N == 0
		})
		next.pass(time.Minute)
		if wish := next.written().Wish; wish != "" {
			l.Errorf("%q is still wished for", wish)
		}
	})
}

func TestReleaseIsNotGivenMoreTriesByANewSupervisor(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r2"] = conduct{dies: &crash} })
		l.change("second")
		l.until("failed twice", func(v *View) bool { return v.State.Trial.Faults == 2 })
		tried := l.View().State.Spawned
		next := l.again()
		defer next.end()
		next.until("rejected", func(v *View) bool { return len(v.State.Bad) == 1 })
		next.serves("r1")
		if now := next.View().State.Spawned; now > tried+2 { // r1 again, and the third try
			l.Errorf("%d generations were begun, were %d", now, tried)
		}
	})
}

func TestSupervisorThatEndsDuringACheckWaitsBeforeItRepeatsIt(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r2"] = conduct{mute: true} })
		l.change("second")
		l.until("checked", func(v *View) bool { return v.State.Candidate.N != 0 && v.State.Candidate.Pid != 0 })
		killed := l.written()
		l.end()
		next := born(t, l.w, l.entry)
		defer next.end()
		next.Restore(killed, l.w.kept, nil)
		if trial := next.state.Trial; trial.Others != 1 || trial.Version.Release != "r2" || trial.Reason != "release r2 did not take over: the supervisor ended while it was being checked" {
			l.Errorf("%+v", trial)
		}
	})
}

func TestBuildThatWasStoppedByHandStaysStopped(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "stop"}, "")
		next := l.again()
		defer next.end()
		next.pass(time.Minute)
		if p := next.View().State.Phase(); p != machine.PhaseStopped || len(l.w.living()) > 0 {
			l.Errorf("it is %s", p)
		}
	})
}

// Also where the next supervisor ends before it has read what the file says.
func TestBuildThatWasStoppedByHandStaysStoppedOverTwoSupervisors(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "stop"}, "")
		l.end()
		brief := born(t, l.w, l.entry)
		brief.Restore(l.written(), nil, nil)
		brief.end()
		if !l.written().StoppedByHand {
			l.Error("it is forgotten")
		}
	})
}

func TestReleaseThatIsGoneIsBuiltAgain(t *testing.T) {
	serving(t, func(l *life) {
		l.w.do(func() { l.w.kept = []build.Release{{ID: "r0"}} })
		next := l.again()
		defer next.end()
		next.serves("r2")
	})
}

func TestRecordTellsOfEveryGenerationInItsRole(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		l.w.do(func() { l.w.conduct["r3"] = conduct{mute: true} })
		l.entry.GracefulTimeout = time.Hour
		l.configure(false)
		l.change("second")
		l.until("replaced", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
		l.change("third")
		l.until("checked", func(v *View) bool { return v.State.Candidate.N != 0 })
		r := l.written()
		var roles []string
		for _, g := range r.Generations {
			roles = append(roles, g.Role+" "+g.Release)
			if g.Pid == 0 || g.StartTime != uint64(g.Pid)*10 || g.BootID != bootID || g.SocketInode == 0 || g.RunKey == "" {
				l.Errorf("%+v", g)
			}
			if g.Since.IsZero() != (g.Role != roleServing) {
				l.Errorf("%s since %v", g.Role, g.Since)
			}
		}
		if want := []string{"retiring r1", "serving r2", "candidate r3"}; !slices.Equal(roles, want) {
			l.Errorf("%q, want %q", roles, want)
		}
	})
}

func TestGenerationThatIsGoneIsCounted(t *testing.T) {
	for boot, want := range map[string]string{bootID: "it ended while no supervisor watched", "another": "the machine was rebooted"} {
		t.Run(want, func(t *testing.T) {
			serving(t, func(l *life) {
				r := l.written()
				r.Generations[0].BootID = boot
				next := born(t, newWorld(), entry())
				defer next.end()
				next.Restore(r, nil, []Leftover{{N: 99}})
				if st := next.state; st.LastExit != want || st.Restarts != r.Restarts+1 {
					l.Errorf("%d restarts, last exit %q", st.Restarts, st.LastExit)
				}
			})
		})
	}
}
