package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

const (
	root   = layout.Root("/opt/medctrl")
	bootID = "this boot"
)

var (
	socketPath  = root.Build("one").Socket()
	stagingPath = root.Build("one").Staging()
	errBroken   = errors.New("it broke")
	crash       = Exit{Words: "killed by SIGSEGV", Code: -1, Signal: true}
)

// life is one actor in a world.
type life struct {
	*Actor
	*testing.T
	w     *world
	entry config.Build
	begun chan struct{} // closed: every build has taken over what was left
	hard  context.CancelFunc
	phase int // how often the phase has changed
}

// entry is a build as a file may have it.
func entry() config.Build {
	return config.Build{
		Name: "one", AppDir: "API", Workers: 1, GracefulTimeout: 10 * time.Second, Autostart: true,
		Restart: config.RestartAlways, RestartDelayMax: 30 * time.Second, StableAfter: 10 * time.Second, KeepReleases: 3,
		Health: config.Health{Path: "/", Interval: 5 * time.Second, Timeout: 2 * time.Second, StartTimeout: time.Minute, Failures: 3},
	}
}

// born returns an actor of entry that was told nothing yet.
func born(t *testing.T, w *world, entry config.Build) *life {
	l := &life{T: t, w: w, entry: entry, begun: make(chan struct{})}
	var hard context.Context
	hard, l.hard = context.WithCancel(context.Background())
	close(l.begun)
	l.Actor = New(&Fleet{
		Ports: w.ports(), Root: root, RootID: "root", BootID: bootID, Log: hclog.NewNullLogger(), Hard: hard,
		Gate: &Gate{}, Begun: l.begun, LogDir: func() string { return "/log" }, Reach: func(string, any) {},
		PhaseChanged: func() { l.phase++ }, Retired: func(*Actor) {},
	}, &l.entry)
	return l
}

// end stops the supervisor of l, if that has not been done.
func (l *life) end() {
	l.Helper()
	l.Shutdown()
	<-l.Done()
	l.hard()
	if left := l.w.living(); len(left) > 0 && left[0].conduct.endless == nil {
		l.Errorf("%d trees are left", len(left))
	}
	if open := l.w.folder.Open(); len(open) > 0 {
		l.Errorf("%d sockets are left open, the first at %s", len(open), open[0].Path())
	}
}

// configure tells the actor of its entry as l has it.
func (l *life) configure(rebuild bool) {
	entry := l.entry
	l.Configure(&entry, rebuild)
}

// until waits until the actor is as described.
func (l *life) until(what string, ok func(v *View) bool) {
	l.Helper()
	deadline := time.After(time.Hour)
	for {
		changed, v := l.Changed(), l.View()
		if ok(v) {
			synctest.Wait()
			return
		}
		select {
		case <-changed:
		case <-deadline:
			l.Fatalf("never %s: it is %s (%s); events: %s", what, v.State.Phase(), v.State.Reason(), l.w.told())
		}
	}
}

// serves waits until the release with that id serves, and all that came of it is over.
func (l *life) serves(id string) {
	l.Helper()
	l.until("serving "+id, func(v *View) bool {
		s := v.State
		return s.Phase() == machine.PhaseRunning && s.Serving.Version.Release == id && s.Candidate.N == 0 && len(s.Ending) == 0 && !s.Building.Running
	})
}

// phased waits until the build is in that phase.
func (l *life) phased(p machine.Phase) {
	l.Helper()
	l.until(string(p), func(v *View) bool { return v.State.Phase() == p })
}

// told waits until people were told of an event.
func (l *life) told(event machine.EventName) {
	l.Helper()
	l.until("told of "+string(event), func(*View) bool { return slices.Contains(strings.Fields(l.w.told()), string(event)) })
}

// replaced waits until another tree than t serves.
func (l *life) replaced(t *tree) {
	l.Helper()
	l.until("replaced", func(v *View) bool { return v.Tree != nil && v.Tree != Tree(t) })
	l.serves(l.View().State.Serving.Version.Release)
}

// crash has what serves end as e says, and waits until the actor knows.
func (l *life) crash(e Exit) {
	l.Helper()
	t := l.server()
	t.exit(e)
	l.until("aware of the crash", func(v *View) bool { return v.Tree != Tree(t) })
}

// pass lets time pass.
func (l *life) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// server is the tree that serves.
func (l *life) server() *tree {
	l.Helper()
	t, ok := l.View().Tree.(*tree)
	if !ok {
		l.Fatalf("nothing serves: it is %s", l.View().State.Phase())
	}
	return t
}

// connect makes a client at the public socket.
func (l *life) connect() *fakesocket.Client {
	l.Helper()
	c, err := l.w.folder.Connect(socketPath)
	if err != nil {
		l.Fatal(err)
	}
	synctest.Wait()
	return c
}

// change changes the inputs and says so.
func (l *life) change(inputs string) {
	l.w.do(func() { l.w.inputs = inputs })
	l.InputsChanged()
}

// events compares what people were told since the last time with want.
func (l *life) events(want string) {
	l.Helper()
	if told := l.w.told(); told != want {
		l.Errorf("told of %q, want %q", told, want)
	}
	l.w.do(func() { l.w.events = nil })
}

// says compares why the build is not simply running with want, which is part of it.
func (l *life) says(want string) {
	l.Helper()
	if got := l.View().State.Reason(); (got == "") != (want == "") || !strings.Contains(got, want) {
		l.Errorf("the reason is %q, want %q", got, want)
	}
}

// story runs f on a build that nobody has configured, and stops the supervisor afterwards.
func story(t *testing.T, f func(l *life)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := born(t, newWorld(), entry())
		defer l.end()
		f(l)
	})
}

// serving runs f on a build whose release r1 serves and is stable.
func serving(t *testing.T, f func(l *life)) {
	t.Helper()
	story(t, func(l *life) {
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.pass(l.entry.StableAfter)
		l.w.do(func() { l.w.events = nil })
		f(l)
	})
}
