package machine

import (
	"slices"
	"time"
)

// Long-running processes beside the server. They run what served last, whether or not its server runs
// at the moment.

// adoptedProcess takes over an instance that an earlier supervisor started.
func (t *turn) adoptedProcess(e AdoptedProcess) {
	t.Spawned = max(t.Spawned, e.N)
	m := Member{
		Process: e.Process, Index: e.Index,
		Tree: Tree{N: e.N, Version: e.Version, Pid: e.Pid, Ready: true, Since: e.Since},
	}
	if e.Ending {
		m = Member{Process: e.Process, Index: e.Index, After: e.N}
	}
	if i := slices.IndexFunc(t.Processes, m.sameSlot); i >= 0 {
		if !e.Ending { // the one it was to give way to, or the other way round
			t.end(e.N)
		}
		t.Processes = slices.Clone(t.Processes)
		t.Processes[i].After = e.N
		return
	}
	t.Processes = append(slices.Clone(t.Processes), m)
	if e.Ending {
		return
	}
	t.noteMember(EventAdopted, m, m.Tree, "")
}

func (m Member) sameSlot(o Member) bool { return m.Process == o.Process && m.Index == o.Index }

// slotOf returns where an instance is in a list, -1 if it is not. It looks at near first: lists are in the
// order of the file, and with a thousand instances every step would look through all for each of them.
func slotOf(list []Member, m Member, near int) int {
	if near < len(list) && list[near].sameSlot(m) {
		return near
	}
	return slices.IndexFunc(list, m.sameSlot)
}

// settleProcesses keeps the instances running that the file asks for, of the release that serves.
func (t *turn) settleProcesses() {
	release := t.Proven.Release
	var all []Member
	for _, p := range t.Policy.Processes {
		for index := range p.Count {
			m := Member{Process: p.Name, Index: index}
			if i := slotOf(t.Processes, m, len(all)); i >= 0 {
				m = t.Processes[i]
			}
			all = append(all, t.settleProcess(m, p, Version{release, p.Key}))
		}
	}
	for i, m := range t.Processes {
		if slotOf(all, m, i) < 0 { // it is no longer in the file
			if m = t.endProcess(m); slices.Contains(t.Ending, m.After) {
				all = append(all, m)
			}
		}
	}
	t.Processes = all
}

func (t *turn) settleProcess(m Member, p ProcessPolicy, want Version) Member {
	if want.Release == "" {
		return m // nothing has served yet
	}
	if !p.Overlap && m.Old != 0 {
		t.end(m.Old)
		m.Old = 0
	}
	if m.N != 0 && m.Version == want && !m.Stale {
		return m
	}
	if want.Release == t.Gone {
		return m // another is being made
	}
	if m.N != 0 || m.Version != want { // what another one did counts no more
		m.Failures, m.StartAt, m.StableAt, m.Halted = 0, time.Time{}, time.Time{}, ""
	}
	switch {
	case m.N == 0:
	case p.Overlap && m.Ready:
		m.Old = m.N
	case p.Overlap:
		t.end(m.N) // the one before it runs on
	default:
		t.end(m.N)
		m.After = m.N
	}
	m.Tree, m.Stale = Tree{Version: want}, false
	if slices.Contains(t.Ending, m.After) {
		return m
	}
	m.After = 0
	if !m.StartAt.IsZero() || m.Halted != "" && p.Restart != RestartAlways {
		return m
	}
	m.Tree, m.Halted = t.tree(want), ""
	t.do(Spawn{N: m.N, Version: want, Process: m.Process, Index: m.Index})
	return m
}

func (t *turn) processDied(m *Member, n int, reason string, clean bool, cause Cause) {
	if n == m.Old { // its successor is on its way
		t.end(n)
		m.Old = 0
		return
	}
	dead, p := m.Tree, t.policyOf(m.Process)
	t.end(n)
	m.Tree = Tree{Version: dead.Version}
	if !p.Overlap {
		m.After = n // what is left of it may still be at work
	}
	t.startAgain(m, p.Restart, reason, clean)
	t.noteMember(EventProcessExited, *m, dead, reason+"; "+t.startsAgain(*m))
	if p.Required && cause != causeHost && m.Failures >= givesWayAfter && !t.StableAt.IsZero() && dead.Version.Release == t.Serving.Version.Release {
		t.servingGivesWay(m.label() + ": " + reason)
	}
}

func (t *turn) policyOf(process string) ProcessPolicy {
	i := slices.IndexFunc(t.Policy.Processes, func(p ProcessPolicy) bool { return p.Name == process })
	if i < 0 {
		return ProcessPolicy{} // it is being ended
	}
	return t.Policy.Processes[i]
}

// unsettled says that a release may not count as stable yet, since a process it requires does not.
func (t *turn) unsettled() bool {
	return t.Fallback.Release != "" && slices.ContainsFunc(t.Processes, func(m Member) bool {
		return t.policyOf(m.Process).Required && m.Halted == "" && (m.N == 0 || !m.StableAt.IsZero() || !m.Ready)
	})
}

// endProcess ends an instance. What it returns remembers that until it has ended, since it may be
// wanted again before.
func (t *turn) endProcess(m Member) Member {
	ended := Member{Process: m.Process, Index: m.Index, After: m.After}
	for _, n := range []int{m.Old, m.N} {
		if n != 0 {
			t.end(n)
			ended.After = n
		}
	}
	return ended
}

func (t *turn) endProcesses() {
	var ending []Member
	for _, m := range t.Processes {
		if m = t.endProcess(m); slices.Contains(t.Ending, m.After) {
			ending = append(ending, m)
		}
	}
	t.Processes = ending
}

// replaceProcesses has every process replaced, since a person asked for a restart.
func (t *turn) replaceProcesses() {
	t.Processes = slices.Clone(t.Processes)
	for i := range t.Processes {
		t.Processes[i].Stale = t.Processes[i].N != 0
	}
}
