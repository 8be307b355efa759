package machine

import (
	"slices"
	"time"
)

// Server trees side by side on one listener. One of them leads: what happens to it happens to the
// generation, unless another takes its place.

// size gives a generation room for that many server trees.
func (g *Generation) size(replicas int) {
	g.Beside = nil
	for i := 1; i < replicas; i++ {
		g.Beside = append(g.Beside, Member{Index: i})
	}
}

// resize gives a generation that was adopted as many server trees as the file says.
func (t *turn) resize() {
	beside := slices.Clone(t.Serving.Beside)
	want := max(t.Policy.Replicas, 1) - 1
	for len(beside) > want {
		if n := beside[len(beside)-1].N; n != 0 {
			t.end(n)
		}
		beside = beside[:len(beside)-1]
	}
	for len(beside) < want {
		beside = append(beside, Member{})
	}
	for i := range beside {
		beside[i].Index = i + 1
	}
	t.Serving.Beside = slices.Clip(beside)
}

// adoptedBeside takes another tree of what serves over.
func (t *turn) adoptedBeside(e AdoptedBeside) {
	if t.Serving.N == 0 || t.Serving.Owns(e.N) {
		t.changed = false
		return
	}
	t.Spawned = max(t.Spawned, e.N)
	m := Member{Index: len(t.Serving.Beside) + 1, Tree: Tree{N: e.N, Version: t.Serving.Version, Pid: e.Pid, Ready: true, Since: e.Since}}
	t.Serving.Beside = append(slices.Clone(t.Serving.Beside), m)
	t.do(Watch{N: e.N})
}

// complete says that all trees of g have passed their checks.
func (g *Generation) complete() bool {
	return g.N != 0 && g.Ready && !slices.ContainsFunc(g.Beside, func(m Member) bool { return !m.Ready })
}

// settleReplicas keeps the trees running beside the one that leads.
func (t *turn) settleReplicas() {
	g := &t.Serving
	if g.N == 0 || !t.Open || t.Lost || t.Alone || g.Version.Release == t.Gone {
		return
	}
	for i, m := range g.Beside {
		if m.N == 0 && m.StartAt.IsZero() && (m.Halted == "" || t.Policy.Restart == RestartAlways) {
			t.startReplica(g, i, true)
		}
	}
}

// crowded says that what serves lacks trees that cannot be started beside it.
func (t *turn) crowded() bool {
	return t.Alone && t.Serving.N != 0 && slices.ContainsFunc(t.Serving.Beside, func(m Member) bool { return m.N == 0 && m.Halted == "" })
}

func (t *turn) startReplica(g *Generation, i int, public bool) {
	g.Beside = slices.Clone(g.Beside)
	m := &g.Beside[i]
	m.Tree, m.Halted = t.tree(g.Version), ""
	with := 0
	if !public {
		with = g.N
	}
	t.do(Spawn{N: m.N, Version: m.Version, Public: public, With: with})
}

// endAll ends every tree of a generation.
func (t *turn) endAll(g Generation) {
	t.end(g.N)
	for _, m := range g.Beside {
		if m.N != 0 {
			t.end(m.N)
		}
	}
}

// fitness is how well a tree serves.
type fitness int

const (
	fitNone fitness = iota // it does not run
	fitSoon                // it is starting
	fitHung
	fitWell
)

func (tree Tree) fit() fitness {
	switch {
	case tree.N == 0:
		return fitNone
	case !tree.Ready:
		return fitSoon
	case tree.Unhealthy:
		return fitHung
	}
	return fitWell
}

// fittest returns the index of the replica that serves best, -1 if none runs.
func (g *Generation) fittest() int {
	best := -1
	for i, m := range g.Beside {
		if m.N != 0 && (best < 0 || m.fit() > g.Beside[best].fit()) {
			best = i
		}
	}
	return best
}

// chooseLead lets a replica lead that serves better than the tree that leads.
func (t *turn) chooseLead() {
	g := &t.Serving
	i := g.fittest()
	if g.N == 0 || i < 0 || g.Beside[i].fit() <= g.fit() {
		return
	}
	before := g.Tree
	t.promote(i)
	switch {
	case !g.Ready: // neither serves yet
	case !before.Ready:
		t.recovered()
	case before.Unhealthy && !g.Unhealthy:
		t.healthy()
	}
}

// promote lets replica i lead in the place of the tree that does.
func (t *turn) promote(i int) {
	g := &t.Serving
	g.Beside = slices.Clone(g.Beside)
	m := &g.Beside[i]
	g.Tree, m.Tree = m.Tree, g.Tree
	m.StableAt = time.Time{}
	if m.Ready {
		m.StableAt = t.now.Add(t.Policy.StableAfter)
	}
}

// leadDied has the fittest of the others lead, or the generation die.
func (t *turn) leadDied(reason string, clean bool) {
	i := t.Serving.fittest()
	if i < 0 {
		t.died(reason, clean)
		return
	}
	dead := t.Serving.N
	wasReady, wasUnhealthy := t.Serving.Ready, t.Serving.Unhealthy
	t.promote(i)
	t.replicaDied(t.member(dead), reason, clean)
	switch {
	case t.Serving.Ready && !wasReady:
		t.recovered()
	case !t.Serving.Ready && wasReady:
		t.stableAt(time.Time{}) // it begins when that one is ready
	case wasUnhealthy && !t.Serving.Unhealthy && t.Serving.Ready:
		t.healthy()
	case t.Serving.Unhealthy && !wasUnhealthy:
		t.note(EventUnhealthy, t.Serving, t.Serving.Reason)
		t.hungGivesWay()
	}
}

// afterHang is how long the end of a tree that hung has the processors for itself: it is woken up to
// finish what it holds, and together with its successor's boot that keeps the others from serving.
const afterHang = 500 * time.Millisecond

// replicaDied ends what is left of a tree whose clients the others serve, or which hangs.
func (t *turn) replicaDied(m *Member, reason string, clean bool) {
	dead := m.Tree
	t.end(dead.N)
	m.Tree = Tree{}
	t.Restarts++
	t.LastExit = reason
	t.startAgain(m, t.Policy.Restart, reason, clean)
	if dead.Unhealthy && m.Halted == "" && m.StartAt.IsZero() {
		m.StartAt = t.now.Add(afterHang)
	}
	t.noteMember(EventReplicaFailed, *m, dead, reason+"; "+t.startsAgain(*m))
	t.Serving.Deaths++
	if t.StableAt.IsZero() {
		return
	}
	t.stableAt(t.now.Add(t.Policy.StableAfter))
	if t.Serving.Deaths >= givesWayAfter {
		t.servingGivesWay(reason)
	}
}

// replaceHung replaces trees that hang beside one that serves well.
func (t *turn) replaceHung() {
	for _, m := range t.Serving.Beside {
		if m.N != 0 && m.Unhealthy && t.Serving.fit() == fitWell {
			t.replicaDied(t.member(m.N), m.Reason, false)
		}
	}
}

func (t *turn) memberOK(n int) {
	m := t.member(n)
	if m == nil || m.Misses == 0 || !t.Serving.Owns(n) {
		t.changed = false
		return
	}
	m.Misses, m.Unhealthy, m.Reason = 0, false, ""
	t.chooseLead()
}

func (t *turn) memberMissed(e ProbeFailed) {
	m := t.member(e.N)
	if m == nil || !m.Ready || !t.Serving.Owns(e.N) {
		t.changed = false
		return
	}
	m.Misses++
	m.Reason = e.Reason
	if m.Misses >= t.Policy.Failures {
		m.Unhealthy = true
		t.replaceHung()
	}
}
