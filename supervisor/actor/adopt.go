package actor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// adopt takes over what an earlier supervisor left: the generation that holds the public name goes
// on serving with all its trees, its processes run on, and everything else ends. It runs before the
// build is configured; what the file says now comes after and is compared.
func (a *Actor) adopt(m adopted) []machine.Event {
	var event machine.Event
	var members []machine.Event
	spare := map[uint64]*public.Socket{}
	for _, l := range m.handed {
		if a.public.Socket() == nil && l.Path() == a.paths.Socket() && l.Named() {
			a.public.Keep(l)
			continue
		}
		spare[l.Inode()] = a.public.Former(l)
	}
	handed := a.public.Socket() != nil
	recorded := a.state.Spawned
	for _, l := range m.found {
		newer := l.N > recorded // the state was not written any more when it came to be
		if l.N > a.state.Spawned {
			known := *a.state // others may look at that one
			known.Spawned = l.N
			a.state = &known
		}
		if process, index := a.instanceOf(l); process != "" {
			if e := a.adoptProcess(l, process, index); e != nil {
				a.Reach("after", "a process is adopted")
				members = append(members, e)
			} else {
				a.endLeftover(l, nil)
				members = append(members, machine.AdoptedProcess{N: l.N, Process: process, Index: index, Ending: true})
			}
			continue
		}
		if serves, ok := event.(machine.Adopted); ok && serves.N != 0 && a.besides(l, serves) {
			if e := a.takeBeside(l, serves); e != nil {
				a.Reach("after", "a generation is adopted")
				members = append(members, e)
				continue
			}
		}
		if event == nil && a.holdsName(l) {
			a.Reach("after", "a listener is taken back")
			if event = a.takeOver(l, newer); event != nil {
				a.Reach("after", "a generation is adopted")
				continue
			}
		}
		a.endLeftover(l, a.queueOf(l, spare))
	}
	for _, s := range spare {
		a.public.LetGo(s) // the generation that served it has ended
	}
	if event == nil && handed {
		// Nothing served, and clients were told so; keep telling them.
		event = machine.Adopted{Version: a.state.Proven, Open: true, Reason: a.state.LastExit}
	}
	// Left by a candidate that is ended now, where the record of its socket was not written any more.
	a.warn("remove staging socket", a.Ports.Sockets.Remove(a.paths.Staging()))
	a.before = nil
	a.dropFiles()
	if event != nil {
		members = append([]machine.Event{event}, members...)
	}
	return members
}

// besides reports whether l is another server tree of the generation that serves.
func (a *Actor) besides(l Leftover, serves machine.Adopted) bool {
	if v, err := a.versionOf(l); err != nil || v != serves.Version || l.Leader.Pid == 0 {
		return false
	}
	if s := a.public.Socket(); s != nil {
		return a.Ports.Sockets.HeldBy(s.Inode(), l.Pids()...)
	}
	return a.before[l.N].Role == roleServing
}

// takeBeside takes over another server tree of what serves; nil: it has ended.
func (a *Actor) takeBeside(l Leftover, serves machine.Adopted) machine.Event {
	g := a.generationOf(l, serves.Version)
	tree, err := a.Ports.Trees.Adopt(l, func(exit Exit) { a.post(childExited{g, exit}) })
	if err != nil {
		a.public.LetGo(g.sock)
		a.log.Warn("server tree ended while no supervisor watched", "generation", l.N, "pid", l.Leader.Pid, "error", err)
		return nil
	}
	g.tree = tree
	a.generations[l.N] = g
	a.log.Info("server tree adopted", "generation", l.N, "beside", serves.N, "release", serves.Version.Release, "pid", l.Leader.Pid)
	return machine.AdoptedBeside{N: l.N, Pid: l.Leader.Pid, Since: a.before[l.N].Since}
}

// queueOf returns the socket that l was given to serve on, if it is not the public one: clients may
// still wait in its queue. It returns nil if there is none, or if it cannot be taken back.
func (a *Actor) queueOf(l Leftover, spare map[uint64]*public.Socket) *public.Socket {
	for inode, s := range spare {
		if a.Ports.Sockets.HeldBy(inode, l.Pids()...) {
			delete(spare, inode)
			return s
		}
	}
	inode, held := a.before[l.N].SocketInode, a.public.Socket()
	if inode == 0 || held != nil && held.Inode() == inode {
		return nil
	}
	got, err := a.Ports.Sockets.Recover(a.paths.Socket(), inode, l.Pids()...)
	if err != nil {
		a.log.Debug("queue of a leftover generation cannot be seen", "generation", l.N, "error", err)
		return nil
	}
	return a.public.Former(got)
}

// holdsName reports whether the public name leads to generation l, and takes the listener back if
// that is possible.
func (a *Actor) holdsName(l Leftover) bool {
	if s := a.public.Socket(); s != nil {
		return a.Ports.Sockets.HeldBy(s.Inode(), l.Pids()...)
	}
	got, err := a.Ports.Sockets.Recover(a.paths.Socket(), 0, l.Pids()...)
	switch {
	case err == nil:
		a.public.Keep(got)
		return true
	case errors.Is(err, fs.ErrNotExist):
		return false
	}
	a.log.Warn("listener of a running generation cannot be taken back: it keeps serving, but clients waiting when it dies are lost",
		"generation", l.N, "pid", l.Leader.Pid, "error", err)
	// Only a generation that passed its check has the name, and the newest one whose main process
	// is alive is the likeliest; its probe will confirm it.
	return l.Leader.Pid != 0
}

// takeOver makes l the serving generation. If its main process has died in the meantime, only the
// listener is kept, for its successor. It returns nil if nothing can be kept.
func (a *Actor) takeOver(l Leftover, newer bool) machine.Event {
	version, err := a.versionOf(l)
	if err != nil {
		a.log.Warn("what a running generation serves cannot be read, it is replaced", "generation", l.N, "error", err)
	}
	if l.Leader.Pid != 0 {
		g := a.generationOf(l, version)
		tree, err := a.Ports.Trees.Adopt(l, func(exit Exit) { a.post(childExited{g, exit}) })
		if err == nil {
			g.tree = tree
			a.generations[l.N] = g
			a.log.Info("generation adopted", "generation", l.N, "release", version.Release, "pid", l.Leader.Pid)
			return machine.Adopted{N: l.N, Version: version, Pid: l.Leader.Pid, Newer: newer, Since: a.before[l.N].Since, Open: true, Alone: a.public.Socket() == nil}
		}
		a.public.LetGo(g.sock)
		a.log.Warn("generation ended while no supervisor watched", "generation", l.N, "pid", l.Leader.Pid, "error", err)
	}
	if a.public.Socket() == nil {
		return nil
	}
	a.endLeftover(l, nil) // orphaned workers finish what they hold
	return machine.Adopted{Version: version, Newer: newer, Open: true, Reason: "it ended while no supervisor watched"}
}

// missing records the end of a generation that was serving when the state was written and is gone
// now.
func (a *Actor) missing(r state.Record, found []Leftover) {
	for _, g := range r.Generations {
		if g.Role != roleServing || slices.ContainsFunc(found, func(l Leftover) bool { return l.N == g.N && len(l.Members) > 0 }) {
			continue
		}
		a.state.LastExit = "it ended while no supervisor watched"
		if g.BootID != a.BootID {
			a.state.LastExit = "the machine was rebooted"
		}
		a.state.Restarts++
		a.log.Warn("generation of an earlier run is gone", "generation", g.N, "pid", g.Pid, "reason", a.state.LastExit)
	}
}

func (a *Actor) generationOf(l Leftover, v machine.Version) *generation {
	g := &generation{
		n: l.N, user: l.User, version: v, queued: true,
		server: server.Gunicorn{}, log: a.logPath(),
	}
	g.logOffset = a.Ports.Host.OutputSize(g.log)
	if s := a.public.Socket(); s != nil {
		g.sock = s.Hold()
	}
	return g
}

// leftoverGrace is how long a leftover may take to finish its requests if the entry does not say.
const leftoverGrace = 30 * time.Second

// endLeftover ends the tree of a generation that is no longer wanted. If queue is given, the
// generation first serves the clients in it; those that are left are passed on.
func (a *Actor) endLeftover(l Leftover, queue *public.Socket) {
	a.log.Info("leftover generation is ended", "generation", l.N, "pids", l.Pids())
	next := *a.state
	next.Ending = append(slices.Clone(next.Ending), l.N)
	a.state = &next // others may be reading the one before
	var left leaving
	if v, err := a.versionOf(l); err == nil { // else it is not known what to keep for it
		left.release = v.Release
	}
	tree := a.Ports.Trees.Remains(l)
	grace := leftoverGrace
	if a.entry.GracefulTimeout > 0 {
		grace = a.entry.GracefulTimeout
	}
	if name, _ := a.instanceOf(l); name != "" {
		sig := syscall.SIGTERM
		if p := a.processOf(name); p != nil {
			sig, grace = p.Signal(), p.Grace(grace)
		}
		known, written := a.before[l.N]
		tree.StopBy(sig, known.Asked)
		if known.Role, known.Asked = roleRetiring, true; written {
			left.record = &known // for one more supervisor
		}
	}
	a.leftovers[l.N] = left
	if queue == nil || l.Leader.Pid == 0 { // before a successor starts; what cannot be told so is found by End
		if err := tree.Terminate(); err != nil {
			a.log.Debug("leftover generation is not told to end yet", "generation", l.N, "error", err)
		}
	}
	a.task(func(ctx context.Context) {
		begun := time.Now()
		if queue != nil && l.Leader.Pid != 0 {
			drain, cancel := context.WithTimeout(ctx, grace)
			a.warn("drain leftover generation", queue.Drained(drain))
			cancel()
			_ = a.letFinish(ctx, queue, grace-time.Since(begun)) // it may be any server, and has told the log
		}
		if err := a.endTree(ctx, tree, max(grace-time.Since(begun), 0)); err != nil {
			a.log.Error("leftover generation does not end", "generation", l.N, "error", err)
		}
		a.post(leftoverEnded{l.N, queue})
	})
}

// versionOf returns what a generation runs: by the record, or else by its environment, where it was
// not written any more.
func (a *Actor) versionOf(l Leftover) (machine.Version, error) {
	if g, ok := a.before[l.N]; ok && g.BootID == a.BootID && g.Release != "" && g.RunKey != "" {
		return machine.Version{Release: g.Release, RunKey: g.RunKey}, nil
	}
	for _, pid := range l.Pids() {
		environ, err := a.Ports.Trees.Environ(pid)
		if err != nil {
			continue // it may have ended; the next process has the same variables
		}
		if release, runKey, ok := server.VersionOf(environ); ok {
			return machine.Version{Release: release, RunKey: runKey}, nil
		}
	}
	return machine.Version{}, fmt.Errorf("no process of generation %d says which release it runs", l.N)
}
