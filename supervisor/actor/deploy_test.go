package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// deployment is a deploy under way.
type deployment struct {
	l    *life
	over chan struct{} // closed when it has ended
	Deployed
	err   error
	lines []string
}

// deploys asks for a deploy.
func (l *life) deploys() *deployment {
	d := &deployment{l: l, over: make(chan struct{})}
	entry := l.entry
	go func() {
		defer close(d.over)
		d.Deployed, d.err = l.Deploy(context.Background(), Deploy{Entry: &entry, By: "ada"}, func(line string) { d.lines = append(d.lines, line) })
	}()
	synctest.Wait()
	return d
}

// ends waits for its end, and compares the reason for which it failed with want; "" is that it has
// not.
func (d *deployment) ends(want string) {
	d.l.Helper()
	select {
	case <-d.over:
		if (d.err == nil) != (want == "") || d.err != nil && !strings.Contains(d.err.Error(), want) {
			d.l.Errorf("it ended with %v, want %q", d.err, want)
		}
	case <-time.After(time.Hour):
		d.l.Fatal("it never ended")
	}
}

func (l *life) edit(inputs string) { l.w.do(func() { l.w.inputs = inputs }) }

func TestDeployEndsWhenTheChangedInputsServe(t *testing.T) {
	serving(t, func(l *life) {
		l.edit("second")
		d := l.deploys()
		d.ends("")
		if d.From != "r1" || d.Release != "r2" || !d.Changed || len(d.Doubts) > 0 || d.Took < 2*time.Second || !slices.Equal(d.Because, []string{"second changed"}) {
			l.Errorf("%+v", d.Deployed)
		}
		want := []string{"one: building: second changed", "one: step 1 of 2: install", "one: step 2 of 2: migrate"}
		if lines := slices.DeleteFunc(d.lines, func(s string) bool {
			return strings.Contains(s, "waiting for its turn") || strings.Contains(s, "finishes its requests") || strings.Contains(s, "checking release")
		}); !slices.Equal(lines, want) {
			l.Errorf("%q, want %q", lines, want)
		}
		for _, e := range l.w.events {
			if by := map[string]string{"asked": "ada", "built": "ada", "proved": "ada", "took_over": "ada"}[e.Event]; e.By != by {
				l.Errorf("%s is by %q", e.Event, e.By)
			}
			if e.Event == string(machine.EventBuilt) && e.Reason != "because: second changed" {
				l.Errorf("built because of %q", e.Reason)
			}
		}
		if l.w.by != "ada" {
			l.Errorf("the release was made for %q", l.w.by)
		}
	})
}

func TestDeployOfUnchangedInputsIsUpToDate(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		d := l.deploys()
		d.ends("")
		if d.Changed || d.Release != "r1" || l.server() != before {
			l.Errorf("%+v", d.Deployed)
		}
		// Nor does who asked for it have a hand in what comes next.
		l.w.do(func() { l.w.events = nil })
		l.change("second")
		l.serves("r2")
		for _, e := range l.w.events {
			if e.By != "" {
				l.Errorf("%s is by %q", e.Event, e.By)
			}
		}
	})
}

func TestDeployAppliesAnotherEnvironment(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.w.do(func() { l.w.environ = []string{"A=1"} })
		d := l.deploys()
		d.ends("")
		if !d.Changed || d.From != "r1" || d.Release != "r1" || l.server() == before || d.Because != nil {
			l.Errorf("%+v", d.Deployed)
		}
	})
}

func TestDeployFailsWithTheReasonAndTheOldReleaseServesOn(t *testing.T) {
	serving(t, func(l *life) {
		before := l.server()
		l.edit("second")
		l.w.fail("Make", errors.New("pip: no such package"))
		l.deploys().ends("pip: no such package; tried again in 10 s")
		l.w.fail("Make", nil)
		l.w.do(func() {
			l.w.conduct["r2"] = conduct{answer: &ProbeError{Wrong: true, Status: 400, Err: errors.New("status 400")}}
		})
		l.deploys().ends("(/log/one.log)")
		if l.server() != before {
			l.Error("another one serves")
		}
		l.deploys().ends("status 400") // asked again, it is tried again
		l.w.do(func() { delete(l.w.conduct, "r2") })
		l.deploys().ends("")
		l.serves("r2")
	})
}

func TestDeployOfAStoppedBuildIsRefused(t *testing.T) {
	serving(t, func(l *life) {
		l.does(Command{Action: "stop"}, "")
		l.edit("second")
		l.deploys().ends("the build is stopped: `start one`")
		l.says("stopped by hand")
	})
}

func TestDeployLetsARollbackStandAndSaysSo(t *testing.T) {
	serving(t, func(l *life) {
		l.change("second")
		l.serves("r2")
		l.does(Command{Action: "rollback"}, "")
		d := l.deploys()
		d.ends("release r2 was made, and that was rolled back to r1, which stands")
		l.serves("r1")
		l.edit("third")
		d = l.deploys()
		d.ends("")
		if d.From != "r1" || d.Release != "r3" {
			l.Errorf("%+v", d.Deployed)
		}
	})
}

func TestDeployThatIsOvertakenEndsWithTheNewest(t *testing.T) {
	serving(t, func(l *life) {
		l.edit("second")
		d := l.deploys()
		l.pass(time.Second)
		l.change("third")
		d.ends("")
		if d.Release != l.View().State.Serving.Version.Release || !slices.Equal(d.Because, []string{"third changed"}) {
			l.Errorf("%+v", d.Deployed)
		}
	})
	for action, want := range map[string]string{"stop": "overtaken by stop", "rollback": "overtaken by rollback"} {
		serving(t, func(l *life) {
			l.change("second")
			l.serves("r2")
			l.edit("third")
			d := l.deploys()
			l.pass(time.Second)
			l.does(Command{Action: action}, "")
			d.ends(want)
		})
	}
}

func TestDeployThatIsNotWaitedForGoesOn(t *testing.T) {
	serving(t, func(l *life) {
		l.edit("second")
		entry := l.entry
		if d, err := l.Deploy(context.Background(), Deploy{Entry: &entry, NoWait: true}, nil); err != nil || d.Release != "" {
			l.Errorf("%+v, %v", d, err)
		}
		l.serves("r2")
	})
	serving(t, func(l *life) {
		l.edit("second")
		entry := l.entry
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := l.Deploy(ctx, Deploy{Entry: &entry}, nil); !errors.Is(err, context.DeadlineExceeded) {
			l.Error(err)
		}
		l.serves("r2")
	})
}

// What may have cost a client its request is not passed over.
func TestDeploySaysWhatWasNotDrained(t *testing.T) {
	const byCommand = "a death before it is told to end"
	for what, c := range map[string]struct {
		during func(l *life, d *deployment)
		want   string
	}{
		"a server that does not finish": {func(l *life, _ *deployment) { l.server().act(conduct{stubborn: true}) }, "killed at the end of graceful_timeout"},
		"a crash":                       {func(l *life, _ *deployment) { l.crash(crash) }, "the server exited, with the requests that it had accepted: killed by SIGSEGV"},
		"a death while it finishes": {func(l *life, _ *deployment) {
			before := l.server()
			before.act(conduct{stubborn: true})
			l.until("r2 serves", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
			before.exit(Exit{Words: "killed by SIGKILL", Code: -1, Signal: true, Number: 9})
		}, "ended while it was to finish its requests: killed by SIGKILL"},
		byCommand: {func(l *life, _ *deployment) {
			before := l.server()
			before.sock.Keep(1)
			l.until("r2 serves", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
			before.exit(Exit{Words: "exit code 1", Code: 1})
		}, "ended while it was to finish its requests: exit code 1"},
		"memory that runs out": {func(l *life, _ *deployment) {
			before := l.server()
			before.act(conduct{stubborn: true})
			l.until("r2 serves", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
			l.w.do(func() { before.kills = 1 })
		}, "the kernel killed a process: out of memory, with the requests that were in hand"},
		"a name that is lost": {func(l *life, _ *deployment) {
			if err := l.w.folder.Remove(socketPath); err != nil {
				l.Error(err)
			}
			l.w.guard()
		}, "name was removed"},
	} {
		t.Run(what, func(t *testing.T) {
			serving(t, func(l *life) {
				if what == byCommand {
					l.another() // one that is told to end when nobody is connected any more
				}
				l.edit("second")
				d := l.deploys()
				c.during(l, d)
				d.ends("")
				if !strings.Contains(strings.Join(d.Doubts, "; "), c.want) {
					l.Errorf("%q, want %q", d.Doubts, c.want)
				}
			})
		})
	}
}

func TestDeployDoesNotWaitForALongDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := entry()
		e.GracefulTimeout = time.Hour
		l := born(t, newWorld(), e)
		defer l.end()
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.server().act(conduct{stubborn: true})
		l.edit("second")
		begun := time.Now()
		d := l.deploys()
		d.ends("")
		if took := time.Since(begun); took > time.Minute || d.Took >= mostDrain || !strings.Contains(strings.Join(d.Doubts, "; "), "still finishing its requests") {
			l.Errorf("after %v: %+v", took, d.Deployed)
		}
	})
}

// The release took over and dies twice while the one before still drains.
func TestDeployOfAReleaseThatGivesWayFails(t *testing.T) {
	serving(t, func(l *life) {
		l.server().act(conduct{stubborn: true})
		l.edit("second")
		d := l.deploys()
		l.until("r2 serves", func(v *View) bool { return v.State.Serving.Version.Release == "r2" })
		l.crash(crash)
		l.until("r2 serves again", func(v *View) bool { return v.State.Serving.Version.Release == "r2" && v.State.Serving.Ready })
		l.crash(crash)
		d.ends("release r2 took over and gave way to r1: killed by SIGSEGV")
		l.deploys().ends("nothing has changed since release r2 was made, and that gave way to r1")
	})
}

func TestDeployOfABuildThatServedNothingPromisesNothing(t *testing.T) {
	story(t, func(l *life) {
		l.Adopt(nil, nil)
		l.w.fail("Make", errBroken)
		l.configure(false)
		l.phased(machine.PhaseFailed)
		if c := l.connect(); c.Fate() != fakesocket.Refused {
			l.Errorf("client is %s", c.Fate())
		}
		l.w.fail("Make", nil)
		d := l.deploys()
		d.ends("")
		if d.From != "" || d.Release != "r1" || len(d.Doubts) == 0 || strings.Contains(strings.Join(d.lines, "\n"), "the server before") {
			l.Errorf("%+v", d.Deployed)
		}
	})
}

func TestCommitsOfReleasesAreShown(t *testing.T) {
	story(t, func(l *life) {
		c := &build.Commit{Hash: "abc"}
		l.w.do(func() { l.w.commit = c })
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		if l.Commit("r1") != c || l.Commit("r2") != nil {
			l.Errorf("%v, %v", l.Commit("r1"), l.Commit("r2"))
		}
	})
}
