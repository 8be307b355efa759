package actor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// generation is a running tree with everything that belongs to it. The actor owns it; its
// goroutines end with its context.
type generation struct {
	n         int
	process   string // of which it is an instance; "" for a server
	index     int    // which one
	user      int    // who runs it, by number; -1: the supervisor's own user
	version   machine.Version
	recipe    *server.Recipe // nil: an earlier run has started it
	server    server.Server  // what is known of what it is
	look      *build.Look    // at its environment, before it takes over; nil: none is needed
	tree      Tree
	sock      *public.Socket // nil: it could not be taken back from an adopted one
	queued    bool           // begun on the public listener, where clients waited before it
	words     server.Words   // readiness of its workers; nil: they cannot report it
	log       string
	logOffset int64 // where its own output begins in the log
	limited   limited
	parting
	checks
}

// parting is how a generation ends.
type parting struct {
	leaving atomic.Bool               // told to end: its exit is no event
	killed  atomic.Pointer[time.Time] // when it is killed if it has not ended by then; nil: it has not been told to end
	dead    bool                      // its main process has ended
	asked   bool                      // an instance of a process, which has got its signal to end
}

// checks is when a generation is checked and probed.
type checks struct {
	life   lifetime    // of what checks and probes it
	mu     sync.Mutex  // guards what follows
	halted bool        // there are no more
	next   *time.Timer // of the next probe
}

// halt ends checking and probing.
func (g *generation) halt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halted = true
	if g.next != nil {
		g.next.Stop()
	}
	g.life.end()
}

// leave marks g as told to end: it is not checked or probed any more.
func (g *generation) leave() {
	g.leaving.Store(true)
	g.halt()
}

// spawn starts generation n on the public listener or on a staging socket of its own, and has it
// checked.
func (a *Actor) spawn(e machine.Spawn) machine.Event {
	g, err := a.begin(e)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			a.post(startMisses{e.Version.Release, err})
		}
		return machine.SpawnFailed{N: e.N, Reason: err.Error()}
	}
	a.generations[e.N] = g
	if g.process != "" {
		a.log.Debug("process started", "process", g.process, "index", g.index, "generation", e.N, "release", e.Version.Release, "pid", g.tree.Pid())
		a.follow(g, false)
		return machine.Spawned{N: e.N, Pid: g.tree.Pid()}
	}
	a.log.Debug("generation spawned", "generation", e.N, "release", e.Version.Release, "pid", g.tree.Pid(), "public", e.Public)
	var staged <-chan struct{}
	if !e.Public && e.With == 0 {
		staged = a.stageStatics(g)
	}
	a.during(&g.life, func(ctx context.Context) {
		a.verify(ctx, g, staged)
		if g.words != nil {
			g.words.Close() // read from only; nothing can be lost
		}
	})
	return machine.Spawned{N: e.N, Pid: g.tree.Pid()}
}

func (a *Actor) begin(e machine.Spawn) (*generation, error) {
	if e.Process != "" {
		return a.beginProcess(e)
	}
	r, err := a.recipeOf(e.Version)
	if err != nil {
		return nil, err
	}
	g := &generation{n: e.N, user: r.Owner.UID, version: e.Version, recipe: r, server: r.Server(), queued: e.Public, log: a.logPath()}
	if e.Public {
		if s := a.public.Socket(); s != nil && a.isServed(s, nil) && a.public.Restore() == public.KeptNoMore {
			a.post(folderTouched{}) // with this tree alone on a new socket, no client would reach the others
			return nil, errors.New("the public socket is lost, and all server trees are replaced")
		}
		// Made again if it could not be taken back from an adopted generation.
		if err := a.public.Open(); err != nil {
			return nil, err
		}
		g.sock = a.public.Socket().Hold()
	} else if e.With != 0 {
		with, ok := a.generations[e.With]
		if !ok {
			return nil, fmt.Errorf("start beside generation %d: it could not be started", e.With)
		}
		g.sock = with.sock.Hold()
	} else if g.sock, err = a.public.Stage(a.paths.Staging()); err != nil {
		return nil, err
	} else {
		g.look = a.lookOf(e.Version, *r.Release)
	}
	g.logOffset = a.Ports.Host.OutputSize(g.log)
	start := Start{Launch: r.Launch(), Mark: a.mark(e.N), Build: a.name, Listener: g.sock.Listener, Log: g.log, Limits: a.entry.Limits}
	g.tree, g.words, err = a.Ports.Trees.Start(start, func(exit Exit) { a.post(childExited{g, exit}) })
	if err != nil {
		a.public.LetGo(g.sock)
		return nil, err
	}
	return g, nil
}

// mark identifies the tree of generation n, also for a later supervisor.
func (a *Actor) mark(n int) string { return fmt.Sprintf("%s/%s/%d", a.RootID, a.name, n) }

// exited returns why a generation ended, unless it was told to.
func (a *Actor) exited(m childExited) machine.Event {
	a.countKills(m.g)
	m.g.dead = true
	if m.g.leaving.Load() {
		a.diedEarly(m)
		return nil
	}
	m.g.halt()
	reason, output := m.exit.Words, []string(nil)
	switch {
	case m.exit.Signal: // whoever sent it knows why
	case m.g.process != "":
		reason = server.Explain(m.g.server, reason, m.g.tree.Said(m.g.log, server.OutputLines))
	default:
		output = a.output(m.g)
		reason = a.presented(m.g, server.Explain(m.g.server, m.g.server.Exit(reason, m.exit.Code), output))
	}
	return machine.Exited{N: m.g.n, Reason: reason, Clean: m.exit.Clean, Cause: causeOfExit(m.exit, output)}
}

// diedEarly notes what ended by itself while it was to finish its requests.
func (a *Actor) diedEarly(m childExited) {
	if kill := m.g.killed.Load(); m.g.hadClients() && (kill == nil || m.exit.Signal && m.exit.Number != int(syscall.SIGTERM) && time.Now().Before(*kill)) {
		a.losses.add("the server before ended while it was to finish its requests: " + m.exit.Words)
	}
}

// hadClients reports whether clients could connect to g.
func (g *generation) hadClients() bool {
	return g.process == "" && (g.queued || g.sock != nil && g.sock.WasPublic())
}

// explain adds the last lines of the generation's own output to a reason.
func (a *Actor) explain(g *generation, reason string) string {
	return a.presented(g, server.Explain(g.server, reason, a.output(g)))
}

// presented is what a generation said, for status, events and the log, which more people read than its
// output: without its passwords, and with the source's files in the place of their copies in a release
// that has not taken over, as there they are corrected.
func (a *Actor) presented(g *generation, text string) string {
	environ := a.launches.environ(a.state.RunKey, nil)
	if g.recipe != nil {
		environ = slices.Concat(g.recipe.Launch().Env, environ)
	}
	text = build.Conceal(text, environ)
	if g.queued || g.sock == nil || g.sock.WasPublic() || g.recipe == nil {
		return text
	}
	return strings.ReplaceAll(text, g.recipe.Release.App(*a.entry), a.entry.AppPath())
}

// output is what the generation printed last.
func (a *Actor) output(g *generation) []string {
	return a.Ports.Host.Output(g.log, g.logOffset, server.OutputLines)
}

// candidateGrace is how long an unwanted candidate may take to clean up.
const candidateGrace = 5 * time.Second

// end sends TERM now and makes sure that the tree of generation n is gone after the grace period.
func (a *Actor) end(n int) {
	g, ok := a.generations[n]
	if !ok {
		a.tell(machine.Ended{N: n}) // it was never started
		return
	}
	g.leave()
	grace := a.graceOf(g)
	if !g.dead && !g.finishesAtTerm() && a.sharesListener(g) {
		grace = 0
	}
	g.killedAfter(grace)
	if grace > 0 {
		a.warn("end generation", g.tree.Terminate())
		if g.asked = g.process != ""; g.asked {
			a.save() // it does not get its signal again from the next supervisor
		}
	}
	clients := g.hadClients()
	a.task(func(ctx context.Context) { a.finish(ctx, g, grace, clients) })
}

// sharesListener reports whether another tree takes clients of the listener of g. A server that is asked
// to end may take more of them and drop them, as uvicorn does, or shut the listener down for all, as
// daphne.
func (a *Actor) sharesListener(g *generation) bool {
	return g.sock != nil && g.hadClients() && a.isServed(g.sock, g)
}

// isServed reports whether another tree than but takes clients of s.
func (a *Actor) isServed(s *public.Socket, but *generation) bool {
	for _, g := range a.generations {
		if g != but && g.hadClients() && !g.leaving.Load() && !g.dead && g.sock != nil && g.sock.Inode() == s.Inode() {
			return true
		}
	}
	return false
}

// retire lets generation n, which has lost the public name, serve what is in its queue, and finish what
// it has accepted where it might drop that, and ends it. The grace period covers all of it. A hung
// generation does not accept its queue, which is passed on.
func (a *Actor) retire(n int, hung bool) {
	g, ok := a.generations[n]
	if !ok {
		a.tell(machine.Ended{N: n})
		return
	}
	g.leave()
	grace := a.entry.GracefulTimeout
	passOn := func(context.Context) {}
	if hung && g.sock != nil {
		passOn = a.public.PassOn(g.sock)
	}
	a.task(func(ctx context.Context) {
		begun := time.Now()
		switch {
		case g.sock == nil:
			a.log.Debug("queue of an adopted generation cannot be seen", "generation", g.n)
			a.losses.add("the queue of the server before could not be seen")
		case hung:
			a.losses.add("the server before hung, with the requests that it had accepted")
			queue := make(chan struct{})
			go func() {
				defer close(queue)
				passOn(ctx)
			}()
			defer func() { <-queue }()
		default:
			drain, cancel := context.WithTimeout(ctx, grace)
			if err := g.sock.Drained(drain); err != nil {
				a.warn("drain generation", err)
				a.losses.add("the queue of the server before was not empty in time")
			}
			a.Reach("after", "the queue is empty")
			cancel()
			if !g.finishesAtTerm() && a.letFinish(ctx, g.sock, grace-time.Since(begun)) != nil {
				a.losses.add("the server before may have had clients when it was told to end")
			}
		}
		a.finish(ctx, g, max(grace-time.Since(begun), 0), true)
	})
}

// finishesAtTerm reports whether g is known to finish its requests at SIGTERM. What an earlier run has
// started may be any server.
func (g *generation) finishesAtTerm() bool {
	return g.recipe != nil && g.server.FinishesAtTerm()
}

// termGrace is what is left of a grace period for a server that gets SIGTERM while clients are
// connected.
const termGrace = 5 * time.Second

// letFinish waits, within a grace period, until nobody is connected to a server that has lost its name
// and may drop its requests at SIGTERM. For one who stays connected it leaves termGrace. The error
// says that clients may be connected still.
func (a *Actor) letFinish(ctx context.Context, s *public.Socket, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace-min(grace/2, termGrace))
	defer cancel()
	err := s.Idle(ctx)
	if err != nil {
		a.log.Debug("server is told to end while clients may be connected", "socket", s.Path(), "error", err)
	}
	return err
}

// killedAfter says how long g has from now on to end.
func (g *generation) killedAfter(grace time.Duration) {
	at := time.Now().Add(grace)
	g.killed.Store(&at)
}

// finish ends the tree of g and posts that it has ended. clients says that it may have some.
func (a *Actor) finish(ctx context.Context, g *generation, grace time.Duration, clients bool) {
	begun := time.Now()
	g.killedAfter(grace)
	defer func() {
		if clients && time.Since(begun) >= grace { // else SIGTERM was enough
			a.losses.add("the server before was killed at the end of graceful_timeout, with the requests that it had not finished")
		}
		a.post(treeEnded{g})
	}()
	if err := a.endTree(ctx, g.tree, grace); err != nil {
		a.log.Error("generation does not end", "generation", g.n, "pid", g.tree.Pid(), "error", err)
	}
}

// endTree ends a tree. When ctx ends there is no time left: what is still there is killed.
func (a *Actor) endTree(ctx context.Context, t Tree, grace time.Duration) error {
	err := t.End(ctx, grace)
	a.Reach("after", "a tree has ended")
	if err != nil && ctx.Err() != nil {
		err = t.End(context.Background(), 0)
		a.Reach("after", "a tree has ended")
	}
	return err
}
