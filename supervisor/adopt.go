package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// leftover is a generation of an earlier supervisor of this root, found by the
// mark that each of its processes carries; no record is needed for it.
type leftover struct {
	n       int
	mark    string
	leader  process.Found // Pid 0: its main process has ended
	members []process.Found
	newer   bool // than the state of its build
}

// pids lists who may hold the listener, the likeliest first.
func (l leftover) pids() []int {
	var all []int
	if l.leader.Pid != 0 {
		all = append(all, l.leader.Pid)
	}
	for _, m := range l.members {
		if m.Pid != l.leader.Pid {
			all = append(all, m.Pid)
		}
	}
	return all
}

// leftovers looks for what earlier supervisors of this root left running, by
// build, the youngest generation first.
func (s *Supervisor) leftovers() (map[string][]leftover, error) {
	found, err := s.table.FindMarked(s.rootID + "/")
	if err != nil {
		return nil, err
	}
	byMark := map[string]*leftover{}
	builds := map[string][]*leftover{}
	tree := func(mark string) *leftover { // nil: not a mark of ours
		rest, ours := strings.CutPrefix(mark, s.rootID+"/")
		name, number, ok := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		if !ours || !ok || err != nil || n < 1 {
			return nil
		}
		if byMark[mark] == nil {
			byMark[mark] = &leftover{n: n, mark: mark}
			builds[name] = append(builds[name], byMark[mark])
		}
		return byMark[mark]
	}
	for _, mark := range s.table.FindCgroups() {
		tree(mark) // those in it may carry no mark
	}
	for _, f := range found {
		l := tree(f.Mark)
		if l == nil {
			continue
		}
		l.members = append(l.members, f)
		if f.Pid == f.Group {
			l.leader = f
		}
	}
	all := map[string][]leftover{}
	for name, some := range builds {
		for _, l := range some {
			all[name] = append(all[name], *l)
		}
		slices.SortFunc(all[name], func(a, b leftover) int { return cmp.Compare(b.n, a.n) })
	}
	return all, nil
}

// adopted is the message that brings what an earlier supervisor left of a build.
type adopted struct {
	found  []leftover
	handed []*listener.Listener // its sockets, from before an exec
}

// adopt takes over what an earlier supervisor left: the generation that holds
// the public name goes on serving, and everything else ends. It runs before the
// build is configured; what the file says now comes after and is compared.
func (a *actor) adopt(m adopted) machine.Event {
	var event machine.Event
	spare := map[uint64]*socket{}
	for _, l := range m.handed {
		s := a.heldBefore(l)
		if a.public == nil && l.Path() == a.socketPath && l.Named() {
			a.public = s
			a.guardName()
			continue
		}
		spare[l.Inode()] = s
	}
	handed := a.public != nil
	for _, l := range m.found {
		l.newer = l.n > a.state.Spawned // the state was not written any more when it came to be
		a.state.Spawned = max(a.state.Spawned, l.n)
		if event == nil && a.holdsName(l) {
			reach("after", "a listener is taken back")
			if event = a.takeOver(l); event != nil {
				reach("after", "a generation is adopted")
				continue
			}
		}
		a.endLeftover(l, a.queueOf(l, spare))
	}
	for _, s := range spare {
		a.letGo(s) // whoever served it has ended
	}
	if event == nil && handed {
		// Nothing served, and clients were told so; they are again.
		event = machine.Adopted{Version: a.state.Proven, Open: true, Reason: a.state.LastExit}
	}
	kept := ""
	if e, ok := event.(machine.Adopted); ok {
		kept = e.Version.RunKey
	}
	a.before = nil
	a.dropOldConf(kept)
	return event
}

// queueOf answers the socket that l was given to serve on, where it is not the
// public one: clients may still wait in its queue. nil is that there is none, or
// that it cannot be had.
func (a *actor) queueOf(l leftover, spare map[uint64]*socket) *socket {
	for inode, s := range spare {
		if listener.HeldBy(inode, l.pids()...) {
			delete(spare, inode)
			return s
		}
	}
	inode := a.before[l.n].SocketInode
	if inode == 0 || a.public != nil && a.public.l.Inode() == inode {
		return nil
	}
	got, err := listener.Recover(a.socketPath, inode, l.pids()...)
	if err != nil {
		a.log.Debug("queue of a leftover generation cannot be seen", "generation", l.n, "error", err)
		return nil
	}
	return a.heldBefore(got)
}

// heldBefore makes a socket of one of an earlier run. Clients may be queued on it
// unless it still has a candidate's name.
func (a *actor) heldBefore(l *listener.Listener) *socket {
	return (&socket{l: l, public: l.Path() == a.socketPath || !l.Named()}).hold()
}

// holdsName says whether generation l is the one that the public name leads to,
// and gets the listener back where that is possible.
func (a *actor) holdsName(l leftover) bool {
	if a.public != nil {
		return listener.HeldBy(a.public.l.Inode(), l.pids()...)
	}
	got, err := listener.Recover(a.socketPath, 0, l.pids()...)
	switch {
	case err == nil:
		a.public = (&socket{l: got, public: true}).hold()
		a.guardName()
		return true
	case errors.Is(err, fs.ErrNotExist):
		return false
	}
	a.log.Warn("listener of a running generation cannot be taken back: it serves on, and clients that wait when it dies are lost",
		"generation", l.n, "pid", l.leader.Pid, "error", err)
	// Only a generation that was proved has the name, and the youngest one whose
	// main process lives is the likeliest: its probe will tell.
	return l.leader.Pid != 0
}

// takeOver makes the serving generation of l. Where its main process has died
// meanwhile only the listener is kept, for its successor; nil is that nothing
// can be kept.
func (a *actor) takeOver(l leftover) machine.Event {
	version, err := versionOf(l)
	if err != nil {
		a.log.Warn("what a running generation serves cannot be read, another takes its place", "generation", l.n, "error", err)
	}
	if l.leader.Pid != 0 {
		g := a.generationOf(l, version)
		child, err := a.sup.table.Adopt(l.leader.Pid, l.leader.StartTime, l.mark, func(exit process.Exit) { a.post(childExited{g, exit}) })
		if err == nil {
			g.child = child
			a.generations[l.n] = g
			a.log.Info("generation adopted", "generation", l.n, "release", version.Release, "pid", l.leader.Pid)
			return machine.Adopted{N: l.n, Version: version, Pid: l.leader.Pid, Newer: l.newer, Since: a.before[l.n].Since, Open: true}
		}
		g.stop()
		a.unhold(g)
		a.log.Warn("generation ended while no supervisor watched", "generation", l.n, "pid", l.leader.Pid, "error", err)
	}
	if a.public == nil {
		return nil
	}
	a.endLeftover(l, nil) // orphaned workers finish what they hold
	return machine.Adopted{Version: version, Newer: l.newer, Open: true, Reason: "it ended while no supervisor watched"}
}

// missing notes a generation that served when the state was written and is gone.
func (a *actor) missing(r state.Record, found []leftover) {
	for _, g := range r.Generations {
		if g.Role != "serving" || slices.ContainsFunc(found, func(l leftover) bool { return l.n == g.N && len(l.members) > 0 }) {
			continue
		}
		a.state.LastExit = "it ended while no supervisor watched"
		if g.BootID != a.sup.bootID {
			a.state.LastExit = "the machine was started anew"
		}
		a.state.Restarts++
		a.log.Warn("generation of an earlier run is gone", "generation", g.N, "pid", g.Pid, "reason", a.state.LastExit)
	}
}

func (a *actor) generationOf(l leftover, v machine.Version) *generation {
	g := &generation{
		n: l.n, version: v, queued: true,
		launch:    &launch{spec: process.Spec{Log: a.logPath()}, workers: true},
		logOffset: journal.Size(a.logPath()),
	}
	if a.public != nil {
		g.sock = a.public.hold()
	}
	g.ctx, g.stop = context.WithCancel(a.hard)
	return g
}

// unhold gives up a generation's hold of the public socket, which keeps its own.
func (a *actor) unhold(g *generation) {
	if g.sock != nil {
		a.letGo(g.sock)
		g.sock = nil
	}
}

// endLeftover ends the tree of a generation that is not wanted any more. Where
// queue is given, it first takes who waits there, and who is left is passed on.
func (a *actor) endLeftover(l leftover, queue *socket) {
	a.log.Info("leftover generation is ended", "generation", l.n, "pids", l.pids())
	child := a.sup.table.Remains(l.leader.Pid, l.leader.StartTime, l.mark)
	grace := leftoverGrace
	if a.entry.GracefulTimeout > 0 {
		grace = a.entry.GracefulTimeout
	}
	a.spawnTask(func(ctx context.Context) {
		begun := time.Now()
		if queue != nil && l.leader.Pid != 0 {
			drain, cancel := context.WithTimeout(ctx, grace)
			a.warn("drain leftover generation", queue.l.Drained(drain))
			cancel()
		}
		if err := child.End(ctx, max(grace-time.Since(begun), 0)); err != nil {
			a.log.Error("leftover generation does not end", "generation", l.n, "error", err)
		}
		a.post(queueLeft{queue})
	})
}

// queueLeft is the message that nobody serves a socket any more.
type queueLeft struct{ s *socket }

// leftoverGrace is how long a generation of a build that is no longer in the
// file may finish what it holds.
const leftoverGrace = 30 * time.Second

// versionOf reads from a generation's environment what it runs.
func versionOf(l leftover) (machine.Version, error) {
	for _, pid := range l.pids() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			continue // it may have ended; the next one knows as well
		}
		var v machine.Version
		for entry := range strings.SplitSeq(string(text), "\x00") {
			if id, ok := strings.CutPrefix(entry, releaseKey+"="); ok {
				v.Release = id
			}
			if key, ok := strings.CutPrefix(entry, runKeyKey+"="); ok {
				v.RunKey = key
			}
		}
		if v.Release != "" && v.RunKey != "" {
			return v, nil
		}
	}
	return machine.Version{}, fmt.Errorf("no process of generation %d says which release it runs", l.n)
}

// The environment in which a child carries what it runs.
const (
	releaseKey = "MEDCTRL_RELEASE"
	runKeyKey  = "MEDCTRL_RUN_KEY"
)

// dropOldConf removes generated configurations but that of the RunKey kept: they
// are written again where they are needed.
func (a *actor) dropOldConf(kept string) {
	paths, err := filepath.Glob(filepath.Join(a.dir, "run", "gunicorn-*.conf.py"))
	if err != nil {
		return // the pattern is good
	}
	for _, path := range paths {
		if filepath.Base(path) != confName(kept) {
			a.warn("remove old gunicorn configuration", os.Remove(path))
		}
	}
}
