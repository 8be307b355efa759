package supervisor

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// generation is a running tree with what belongs to it. The actor owns it;
// its goroutines end with its context.
type generation struct {
	n         int
	version   machine.Version
	launch    *launch
	child     *process.Child
	sock      *socket
	queued    bool     // begun on the public listener, where clients wait before it
	ready     *os.File // where its workers say that they are ready; nil: they cannot
	logOffset int64    // where its own output begins in the log
	stop      context.CancelFunc
	ctx       context.Context
	leaving   atomic.Bool // told to end: its exit is no event

	mu     sync.Mutex  // guards what follows
	halted bool        // nothing is proved or probed any more
	next   *time.Timer // of the next probe
}

// halt ends proving and probing.
func (g *generation) halt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.halted = true
	if g.next != nil {
		g.next.Stop()
	}
	g.stop()
}

// Raw events: what the actor itself must translate before the machine sees it.
type (
	childExited struct {
		g    *generation
		exit process.Exit
	}
	unproved struct {
		g      *generation
		reason string
	}
	treeGone struct{ g *generation }
)

// spawn starts generation n on the public listener or on a staging socket of
// its own, and has it proved.
func (a *actor) spawn(e machine.Spawn) machine.Event {
	g, err := a.begin(e)
	if err != nil {
		return machine.SpawnFailed{N: e.N, Reason: err.Error()}
	}
	a.generations[e.N] = g
	a.log.Debug("generation spawned", "generation", e.N, "release", e.Version.Release, "pid", g.child.Pid(), "public", e.Public)
	a.spawnTask(func(context.Context) {
		a.prove(g.ctx, g)
		if g.ready != nil {
			g.ready.Close() // read from only; nothing can be lost
		}
	})
	return machine.Spawned{N: e.N, Pid: g.child.Pid()}
}

func (a *actor) begin(e machine.Spawn) (*generation, error) {
	l, err := a.prepare(e.Version)
	if err != nil {
		return nil, err
	}
	g := &generation{n: e.N, version: e.Version, launch: l, queued: e.Public}
	if e.Public {
		if err := a.regain(); err != nil {
			return nil, err
		}
		g.sock = a.public.hold()
	} else if g.sock, err = a.bind(a.socketPath + ".next"); err != nil {
		return nil, err
	}
	spec := l.spec
	spec.Mark = fmt.Sprintf("%s/%s/%d", a.sup.rootID, a.name, e.N)
	spec.Listener = g.sock.l.File()
	if l.workers {
		ours, childs, err := readyPair()
		if err != nil {
			a.letGo(g.sock)
			return nil, err
		}
		defer childs.Close()
		g.ready, spec.Ready = ours, childs
	}
	g.logOffset = journal.Size(spec.Log)
	g.child, err = a.sup.table.Spawn(spec, func(exit process.Exit) { a.post(childExited{g, exit}) })
	if err != nil {
		if g.ready != nil {
			g.ready.Close() // nothing was read from it
		}
		a.letGo(g.sock)
		return nil, err
	}
	g.ctx, g.stop = context.WithCancel(a.hard)
	return g, nil
}

// bind makes a listener at path with the build's owner, group and mode.
func (a *actor) bind(path string) (*socket, error) {
	o, err := config.IdentityOf(*a.entry)
	if err != nil {
		return nil, err
	}
	l, err := listener.Bind(path, listener.Options{
		UID: o.UID, GID: o.GID, Mode: a.entry.SocketMode, Backlog: backlog,
	})
	if err != nil {
		return nil, err
	}
	return (&socket{l: l}).hold(), nil
}

// backlog of every listener; the kernel cuts it to net.core.somaxconn (4096
// since Linux 5.4).
const backlog = 4096

// end sends TERM now and sees to it that the tree of generation n is gone
// after the grace period.
func (a *actor) end(n int) {
	g, ok := a.generations[n]
	if !ok {
		a.post(machine.Ended{N: n}) // it was never born
		return
	}
	g.leave()
	a.warn("end generation", g.child.SignalGroup(syscall.SIGTERM))
	grace := a.entry.GracefulTimeout
	if !g.queued && !g.sock.public {
		grace = min(grace, candidateGrace) // it holds no client
	}
	a.spawnTask(func(ctx context.Context) { a.finish(ctx, g, grace) })
}

// candidateGrace is how long a candidate that is not taken may clean up.
const candidateGrace = 5 * time.Second

// retire lets generation n, which has lost the public name, take what is in
// its queue, and ends it. The grace period covers both.
func (a *actor) retire(n int, hung bool) {
	g, ok := a.generations[n]
	if !ok {
		a.post(machine.Ended{N: n})
		return
	}
	g.leave()
	grace, to := a.entry.GracefulTimeout, a.publicPath()
	a.spawnTask(func(ctx context.Context) {
		begun := time.Now()
		if g.sock == nil {
			a.log.Debug("queue of an adopted generation cannot be seen", "generation", g.n)
		} else if hung {
			// It does not take them; when it comes to, it may.
			queue := make(chan struct{})
			a.passing.Add(1)
			go func() {
				defer close(queue)
				defer a.passing.Add(-1)
				a.passOn(ctx, g.sock.l, to)
			}()
			defer func() { <-queue }()
		} else {
			drain, cancel := context.WithTimeout(ctx, grace)
			a.warn("drain generation", g.sock.l.Drained(drain))
			reach("after", "the queue is empty")
			cancel()
		}
		a.finish(ctx, g, max(grace-time.Since(begun), 0))
	})
}

// finish ends the tree of g and says so.
func (a *actor) finish(ctx context.Context, g *generation, grace time.Duration) {
	for {
		err := g.child.End(ctx, grace)
		reach("after", "a tree has ended")
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			grace = 0
			ctx = context.Background()
			continue
		}
		a.log.Error("generation does not end", "generation", g.n, "pid", g.child.Pid(), "error", err)
		break
	}
	a.post(treeGone{g})
}

// leave marks g as told to go: nothing more is proved or probed.
func (g *generation) leave() {
	g.leaving.Store(true)
	g.halt()
}
