package actor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// Long-running processes beside the server: each instance is a generation without a socket.

// noteRest is how long nothing more of what a process says is read: one that says it without end would
// have us work without end, at no cost to its own limits. It waits when its socket is full.
const noteRest = time.Millisecond

// upAfter is how long a process has to run to be up, if it does not say so itself.
const upAfter = time.Second

// processPolicies is what the machine knows of an entry's processes.
func (a *Actor) processPolicies(entry *config.Build, environ []string) (all []machine.ProcessPolicy) {
	for i := range entry.Processes {
		p := &entry.Processes[i]
		all = append(all, machine.ProcessPolicy{
			Name: p.Name, Count: p.Count, Restart: machine.Restart(p.Restart), Overlap: p.Overlap, Required: p.Required,
			Key: a.launches.knowProcess(entry, p, environ),
		})
	}
	return all
}

// processOf returns the table of a process in the file as it is now; nil: it has none.
func (a *Actor) processOf(name string) *config.Process {
	i := slices.IndexFunc(a.entry.Processes, func(p config.Process) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &a.entry.Processes[i]
}

// beginProcess starts an instance of a process.
func (a *Actor) beginProcess(e machine.Spawn) (*generation, error) {
	r, err := a.recipeOfProcess(e.Version)
	if err != nil {
		return nil, err
	}
	g := &generation{n: e.N, process: e.Process, index: e.Index, user: r.Owner.UID, version: e.Version, recipe: r, server: r.Server(), log: a.logPath()}
	start := Start{Launch: r.Launch().Numbered(e.Index), Mark: a.mark(e.N), Build: a.name, Log: g.log, Shared: true, Limits: a.entry.Limits}
	g.tree, g.words, err = a.Ports.Trees.Start(start, func(exit Exit) { a.post(childExited{g, exit}) })
	if err != nil {
		return nil, err
	}
	return g, nil
}

// follow waits until an instance is up, and then, where it says that it is alive, as long as it does.
// known says that it was up when we came.
func (a *Actor) follow(g *generation, known bool) {
	switch {
	case g.words != nil:
		a.during(&g.life, func(ctx context.Context) {
			a.listen(ctx, g, known)
			g.words.Close() // read from only; nothing can be lost
		})
	case !known:
		a.during(&g.life, func(ctx context.Context) {
			select {
			case <-time.After(upAfter):
				a.tell(machine.Ready{N: g.n})
			case <-ctx.Done():
			}
		})
	}
}

// listen hears what an instance says by sd_notify(3).
func (a *Actor) listen(ctx context.Context, g *generation, up bool) {
	limit, late := a.health.Load().StartTimeout, "it did not say READY=1 within start_timeout (%v)"
	watched := false // it has begun to say that it is alive
	pace := server.WatchdogTime
	var until time.Time
	if !up {
		until = time.Now().Add(limit)
	}
	for {
		wait, cancel := ctx, context.CancelFunc(func() {})
		if !until.IsZero() {
			wait, cancel = context.WithDeadline(ctx, until)
		}
		text, err := g.words.Next(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && wait.Err() != nil:
			a.post(silent{g, fmt.Sprintf(late, limit)})
			return
		case err != nil:
			a.log.Warn("what a process says cannot be heard any more", "process", g.process, "pid", g.tree.Pid(), "error", err)
			return
		}
		note := server.ReadNote(text)
		if note.Watchdog != 0 {
			pace = note.Watchdog
		}
		if note.Ready && !up {
			up, until = true, time.Time{}
			a.tell(machine.Ready{N: g.n})
		}
		if note.Failed {
			a.post(silent{g, "it said WATCHDOG=trigger"})
			return
		}
		watched = watched || note.Alive
		if up && watched && (note.Alive || note.Watchdog != 0 || until.IsZero()) {
			limit, late, until = pace, "it did not say WATCHDOG=1 within %v", time.Now().Add(pace)
		}
		select {
		case <-time.After(noteRest):
		case <-ctx.Done():
			return
		}
	}
}

// hangs is that an instance does not say what it should.
func (a *Actor) hangs(m silent) {
	if m.g.leaving.Load() {
		return
	}
	a.log.Warn("process is silent", "process", m.g.process, "pid", m.g.tree.Pid(), "reason", m.reason)
	m.g.leave() // it is ended, and its exit is no news
	a.turn(machine.Exited{N: m.g.n, Reason: m.reason, Cause: machine.CauseOutside})
}

// graceOf is how long the tree of g may take to end.
func (a *Actor) graceOf(g *generation) time.Duration {
	grace := a.grace()
	switch p := a.processOf(g.process); {
	case g.process != "" && p != nil:
		return p.Grace(grace)
	case g.process != "":
		return grace
	case !g.queued && (g.sock == nil || !g.sock.WasPublic()):
		return min(grace, candidateGrace) // it has no clients
	}
	return grace
}

// adoptProcess takes over an instance that an earlier supervisor started; nil: it cannot be kept.
func (a *Actor) adoptProcess(l Leftover, name string, index int) machine.Event {
	p := a.processOf(name)
	version, err := a.versionOf(l)
	if err != nil || l.Leader.Pid == 0 || p == nil || index < 0 {
		return nil
	}
	g := &generation{
		n: l.N, process: name, index: index, user: l.User, version: version, server: server.Process{Of: p}, log: a.logPath(),
	}
	l.Shared = true
	if g.tree, err = a.Ports.Trees.Adopt(l, func(exit Exit) { a.post(childExited{g, exit}) }); err != nil {
		a.log.Warn("process ended while no supervisor watched", "process", name, "pid", l.Leader.Pid, "error", err)
		return nil
	}
	g.tree.StopBy(p.Signal(), false)
	if p.Ready == config.ReadyNotify {
		as, err := a.Ports.Host.Identity(a.entry)
		if err == nil {
			g.words, err = a.Ports.Trees.Hear(l, as)
		}
		if err != nil {
			a.log.Warn("what a process says cannot be heard any more", "process", name, "pid", l.Leader.Pid, "error", err)
		}
	}
	a.generations[l.N] = g
	a.follow(g, true)
	a.log.Info("process adopted", "process", name, "index", index, "release", version.Release, "pid", l.Leader.Pid)
	return machine.AdoptedProcess{N: l.N, Process: name, Index: index, Version: version, Pid: l.Leader.Pid, Since: a.before[l.N].Since}
}

// instanceOf returns which instance of which process a leftover is; "" is none.
func (a *Actor) instanceOf(l Leftover) (name string, index int) {
	if g, ok := a.before[l.N]; ok && g.BootID == a.BootID {
		return g.Process, g.Index
	}
	for _, pid := range l.Pids() {
		if environ, err := a.Ports.Trees.Environ(pid); err == nil { // else it may have ended; the next has the same variables
			return server.ProcessOf(environ)
		}
	}
	return "", 0
}
