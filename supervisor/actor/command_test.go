package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// asks gives the command and returns where its result will come.
func (l *life) asks(c Command) <-chan error {
	result := make(chan error, 1)
	go func() { result <- l.Do(context.Background(), c, nil) }()
	synctest.Wait()
	return result
}

// ends compares the result of a command with want: "" is that it holds, else part of the reason.
func (l *life) ends(result <-chan error, want string) {
	l.Helper()
	select {
	case err := <-result:
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			l.Errorf("it ended with %v, want %q", err, want)
		}
	case <-time.After(time.Hour):
		l.Fatal("it never ended")
	}
}

// does gives the command and compares its result with want.
func (l *life) does(c Command, want string) {
	l.Helper()
	l.ends(l.asks(c), want)
}

func TestStartAndStopEndWhenTheResultHolds(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "start"}, "") // it is so
		l.does(Command{Action: "stop"}, "")
		if len(l.w.living()) != 0 {
			l.Error("stopped, and something runs")
		}
		l.says("stopped by hand")
		l.does(Command{Action: "stop"}, "")
		l.does(Command{Action: "start"}, "")
		if c := l.connect(); c.Fate() != fakesocket.Served {
			l.Errorf("client is %s", c.Fate())
		}
		if l.View().Asked != "start" {
			l.Errorf("the last command was %q", l.View().Asked)
		}
	})
}

func TestRestartEndsWhenAnotherGenerationServes(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.does(Command{Action: "restart"}, "")
		if l.server() == before {
			l.Error("the same generation serves")
		}
		l.does(Command{Action: "stop"}, "")
		l.does(Command{Action: "restart"}, "") // brings it back
	})
}

func TestRebuildEndsWhenTheNewReleaseServes(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "rebuild"}, "")
		if release := l.View().State.Serving.Version.Release; release != "r2" {
			l.Errorf("release %s serves", release)
		}
	})
}

func TestRollbackGoesToTheReleaseBeforeOrTheOneNamed(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "rollback"}, "no release before this one")
		l.change("second")
		l.serves("r2")
		l.does(Command{Action: "rollback"}, "")
		if l.View().State.Serving.Version.Release != "r1" || l.w.current != "r1" {
			l.Errorf("release %s serves", l.View().State.Serving.Version.Release)
		}
		l.does(Command{Action: "rollback", To: "r1"}, "already serving")
		l.does(Command{Action: "rollback", To: "r9"}, "not kept")
		l.does(Command{Action: "rollback", To: "r2"}, "")
		if ended := l.View().Stays["r1"].Ended; ended != "replaced by r2" {
			l.Errorf("r1 ended: %q", ended)
		}
	})
}

func TestUnknownActionIsRefused(t *testing.T) {
	serving(t, func(l *life) {
		if err := l.Do(context.Background(), Command{Action: "dance", NoWait: true}, nil); !errors.Is(err, ErrNoAction) {
			l.Errorf("%v", err)
		}
	})
}

func TestCommandThatIsNotWaitedForEndsWhenItIsAccepted(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.w.do(func() { l.w.conduct["r1"] = conduct{turn: time.Second} })
		if err := l.Do(context.Background(), Command{Action: "restart", NoWait: true}, nil); err != nil {
			l.Error(err)
		}
		if l.server() != before {
			l.Error("it was waited for")
		}
		l.replaced(before)
	})
}

func TestCommandEndsWithItsContextAndGoesOn(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		l.w.do(func() { l.w.takes = time.Minute })
		if err := l.Do(ctx, Command{Action: "rebuild"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			l.Error(err)
		}
		l.replaced(before)
	})
	serving(t, func(l *life) { // also where the actor stands still
		resume := make(chan struct{})
		if why := <-l.Pause(resume); why != "" {
			l.Fatal(why)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Do(ctx, Command{Action: "stop"}, nil); !errors.Is(err, context.DeadlineExceeded) {
			l.Error(err)
		}
		close(resume)
		l.phased(machine.PhaseStopped)
	})
}

func TestCommandsThatFailSayWhy(t *testing.T) {
	broken := conduct{dies: &Exit{Words: "exit code 3", Code: 3}}
	for name, c := range map[string]struct {
		before  func(l *life)
		command Command
		want    string
	}{
		"rebuild of broken inputs": {func(l *life) { l.w.fail("Make", errBroken) }, Command{Action: "rebuild"}, "it broke"},
		"rebuild of a broken release": {func(l *life) { l.w.do(func() { l.w.conduct["r2"] = broken }) }, Command{Action: "rebuild"},
			"release r2 did not take over (3 of 3 tries): exit code 3 (a gunicorn worker could not boot)"},
		"restart that fails its check": {func(l *life) { l.w.do(func() { l.w.conduct["r1"] = broken }) }, Command{Action: "restart"}, "exit code 3"},
		"restart without a process":    {func(l *life) { l.w.fail("Start", errBroken) }, Command{Action: "restart"}, "it broke"},
		"rebuild while stopped":        {func(l *life) { l.does(Command{Action: "stop"}, "") }, Command{Action: "rebuild"}, "the build is stopped: `start` serves it"},
		"rollback while stopped": {func(l *life) {
			l.change("second")
			l.serves("r2")
			l.does(Command{Action: "stop"}, "")
		}, Command{Action: "rollback", To: "r1"}, "the build is stopped: release r1 is chosen, and `start` serves it"},
		"start without a socket": {func(l *life) {
			l.does(Command{Action: "stop"}, "")
			l.w.folder.Fail(fakesocket.Bind, errBroken)
		}, Command{Action: "start"}, "it broke; it is tried again"},
		"rollback to a release that is broken by now": {func(l *life) {
			l.change("second")
			l.serves("r2")
			l.w.do(func() { l.w.conduct["r1"] = broken })
		}, Command{Action: "rollback"}, "release r1"},
		"restart of a build that is not restarted": {func(l *life) {
			l.entry.Restart = "never"
			l.configure(false)
			l.w.do(func() { l.w.conduct["r1"] = conduct{answer: &ProbeError{Wrong: true, Err: errBroken}} })
			l.crash(crash)
			l.phased(machine.PhaseStopped)
		}, Command{Action: "restart"}, "it broke"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				c.before(l)
				l.does(c.command, c.want)
				l.w.folder.Fail(fakesocket.Bind, nil)
			})
		})
	}
}

func TestOvertakenCommandsSaySo(t *testing.T) {
	for name, c := range map[string]struct {
		first, then Command
		want        string
	}{
		"stop by start":       {Command{Action: "stop"}, Command{Action: "start"}, "overtaken by start"},
		"restart by stop":     {Command{Action: "restart"}, Command{Action: "stop"}, "overtaken by stop"},
		"rebuild by stop":     {Command{Action: "rebuild"}, Command{Action: "stop"}, "overtaken by stop"},
		"rebuild by rollback": {Command{Action: "rebuild"}, Command{Action: "rollback", To: "r1"}, "overtaken by rollback"},
		"rollback by another": {Command{Action: "rollback", To: "r1"}, Command{Action: "rollback", To: "r2"}, "overtaken: release r2 is to serve now"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.change("second")
				l.serves("r2")
				l.change("third")
				l.serves("r3")
				l.server().act(conduct{stubborn: true}) // so that everything takes its time
				l.w.do(func() {
					l.w.conduct["r1"], l.w.conduct["r2"], l.w.conduct["r3"] = conduct{turn: 1}, conduct{turn: 1}, conduct{turn: 1}
				})
				first := l.asks(c.first)
				then := l.asks(c.then)
				l.ends(first, c.want)
				l.ends(then, "")
			})
		})
	}
}

// Two people ask for the same at about the same time.
func TestCommandThatIsAskedForTwiceIsDoneForBoth(t *testing.T) {
	for _, c := range []Command{{Action: "start"}, {Action: "stop"}, {Action: "restart"}, {Action: "rebuild"}, {Action: "rollback"}, {Action: "deploy"}} {
		t.Run(c.Action, func(t *testing.T) {
			serving(t, func(l *life) {
				l.change("second")
				l.serves("r2")
				l.w.do(func() {
					for _, release := range []string{"r1", "r2", "r3", "r4"} {
						l.w.conduct[release] = conduct{turn: time.Second}
					}
				})
				first := l.asks(c)
				time.Sleep(200 * time.Millisecond)
				second := l.asks(c)
				l.ends(first, "")
				l.ends(second, "")
			})
		})
	}
}

func TestCommandsEndWithTheBuild(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(l *life)
		want string
	}{
		"removed":             {(*life).Remove, "the build was taken out of the file"},
		"the supervisor ends": {(*life).Shutdown, "the supervisor stops"},
	} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				l.server().act(conduct{stubborn: true})
				l.w.do(func() { l.w.takes = time.Minute })
				rebuild := l.asks(Command{Action: "rebuild"})
				c.end(l)
				synctest.Wait()
				l.ends(rebuild, c.want)
				l.ends(l.asks(Command{Action: "restart", NoWait: true}), c.want) // while it stops
				stop := l.asks(Command{Action: "stop"})
				<-l.Done()
				l.ends(stop, "")
				l.does(Command{Action: "start"}, c.want)
				l.does(Command{Action: "stop"}, "")
			})
		})
	}
}

func TestPeopleSeeWhatACommandIsAt(t *testing.T) {
	serving(t, func(l *life) {
		server := l.server()
		server.stop() // from now on clients wait
		server.act(conduct{stubborn: true})
		l.w.do(func() { l.w.conduct["r2"] = conduct{turn: time.Second} })
		var said []string
		if err := l.Do(context.Background(), Command{Action: "rebuild"}, func(line string) { said = append(said, line) }); err != nil {
			l.Error(err)
		}
		for _, want := range []string{"one: step 1 of 2: install", "one: step 2 of 2: migrate", "one: checking release r2"} {
			if !slices.Contains(said, want) {
				l.Errorf("%q was not said: %q", want, said)
			}
		}
		said = nil
		l.serves("r2")
		server = l.server()
		server.stop()
		l.connect()
		if err := l.Do(context.Background(), Command{Action: "stop"}, func(line string) { said = append(said, line) }); err != nil {
			l.Error(err)
		}
		if want := "one: draining, 1 requests waiting"; !slices.Contains(said, want) {
			l.Errorf("%q was not said: %q", want, said)
		}
	})
}

// What failed earlier is no reason for what was asked for since.
func TestRestartSucceedsAlsoAfterAFailedAttempt(t *testing.T) {
	serving(t, func(l *life) {
		l.w.fail("Make", errBroken)
		l.change("second")
		l.told(machine.EventBuildFailed)
		l.crash(crash)
		l.serves("r1")
		l.crash(crash)
		l.phased(machine.PhaseBackoff)
		l.does(Command{Action: "restart"}, "")
	})
}

// That another generation of the old release has come up meanwhile is not what was asked for.
func TestRebuildThatFailsDoesNotSucceedByACrash(t *testing.T) {
	serving(t, func(l *life) {
		l.w.fail("Make", errBroken)
		rebuild := l.asks(Command{Action: "rebuild"})
		l.crash(crash)
		l.ends(rebuild, "it broke")
	})
}

// A build that has just come into the file: its entry is on its way to the actor.
func TestCommandThatComesBeforeTheEntryIsKept(t *testing.T) {
	for action, c := range map[string]struct {
		autostart bool
		phase     machine.Phase
	}{
		"stop":  {true, machine.PhaseStopped},
		"start": {false, machine.PhaseRunning},
	} {
		t.Run(action, func(t *testing.T) {
			story(t, func(l *life) {
				result := l.asks(Command{Action: action})
				l.entry.Autostart = c.autostart
				l.configure(false)
				l.ends(result, "")
				if p := l.View().State.Phase(); p != c.phase {
					l.Errorf("it is %s", p)
				}
			})
		})
	}
}

func TestCommandThatComesBeforeTheEntryEndsWithTheBuild(t *testing.T) {
	story(t, func(l *life) {
		result := l.asks(Command{Action: "start"})
		l.Remove()
		l.ends(result, "the build was taken out of the file")
	})
}

func TestStopWhileTheSupervisorEndsIsWrittenDown(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		l.Shutdown()
		stop := l.asks(Command{Action: "stop"})
		<-l.Done()
		l.ends(stop, "")
		if !l.w.record.StoppedByHand {
			l.Error("the next supervisor starts it")
		}
	})
}

func TestStopThatComesTooLateToBeWrittenDownSaysSo(t *testing.T) {
	serving(t, func(l *life) {
		l.Shutdown()
		<-l.Done()
		l.does(Command{Action: "stop"}, "the supervisor stops")
	})
}

func TestWhatIsAlreadySoIsSaidToBe(t *testing.T) {
	serving(t, func(l *life) {
		act := func(c Command, want Outcome) {
			l.Helper()
			if got, err := l.Act(l.Context(), c, nil); err != nil || got != want {
				l.Errorf("%s: %+v, %v, want %+v", c, got, err, want)
			}
		}
		act(Command{Action: "start"}, Outcome{Already: true})
		act(Command{Action: "start", NoWait: true}, Outcome{Already: true})
		act(Command{Action: "restart"}, Outcome{})
		act(Command{Action: "stop"}, Outcome{})
		act(Command{Action: "stop"}, Outcome{Already: true})
		act(Command{Action: "start"}, Outcome{})
		l.change("second")
		l.serves("r2")
		act(Command{Action: "rollback"}, Outcome{From: "r2", To: "r1"})
		if st := l.View().State; !st.IsPinned() {
			l.Errorf("release %s is not pinned after a rollback", st.Release)
		}
		act(Command{Action: "rebuild"}, Outcome{})
		if st := l.View().State; st.IsPinned() {
			l.Errorf("release %s is pinned after a rebuild", st.Release)
		}
	})
}

func TestRestartsThatSomebodyAskedForAreCountedApart(t *testing.T) {
	serving(t, func(l *life) {
		before := l.View().State
		l.does(Command{Action: "restart"}, "")
		old := l.server()
		l.crash(crash)
		l.replaced(old)
		if st := l.View().State; st.Restarts != before.Restarts+2 || st.RestartsByHand != before.RestartsByHand+1 {
			l.Errorf("a restart and a crash: %d restarts, %d by hand", st.Restarts, st.RestartsByHand)
		}
		if r := l.written(); r.RestartsByHand != 1 {
			l.Errorf("written down: %d by hand", r.RestartsByHand)
		}
	})
}
