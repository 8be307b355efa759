package machine

import (
	"fmt"
	"slices"
	"time"
)

// What replicas and processes have in common: each is started again with a backoff of its own.

// member returns the replica or process whose tree n is, so that it can be changed; nil: there is none.
func (t *turn) member(n int) *Member {
	if n == 0 {
		return nil
	}
	for _, list := range []*[]Member{&t.Serving.Beside, &t.Candidate.Beside, &t.Processes} {
		if i := slices.IndexFunc(*list, func(m Member) bool { return m.N == n || m.Old == n }); i >= 0 {
			*list = slices.Clone(*list)
			return &(*list)[i]
		}
	}
	return nil
}

// Tree returns the tree with that number, of those that serve, may come to serve or are processes.
func (s State) Tree(n int) (tree Tree, ok bool) {
	for _, one := range []Tree{s.Serving.Tree, s.Candidate.Tree} {
		if one.N == n && n != 0 {
			return one, true
		}
	}
	for _, list := range [][]Member{s.Serving.Beside, s.Candidate.Beside, s.Processes} {
		for _, m := range list {
			switch n {
			case 0:
			case m.N:
				return m.Tree, true
			case m.Old:
				return Tree{N: n}, true
			}
		}
	}
	return Tree{}, false
}

// Trees returns all of them, by their numbers.
func (s State) Trees() map[int]Tree {
	trees := make(map[int]Tree, len(s.Processes)+2)
	for _, list := range [][]Member{s.Processes, s.Candidate.Beside, s.Serving.Beside} {
		for _, m := range list {
			trees[m.Old] = Tree{N: m.Old}
			trees[m.N] = m.Tree
		}
	}
	for _, one := range []Tree{s.Candidate.Tree, s.Serving.Tree} {
		trees[one.N] = one
	}
	delete(trees, 0) // of those that there are not
	return trees
}

// Owns says that n is a server tree of g.
func (g *Generation) Owns(n int) bool {
	return n != 0 && (n == g.N || slices.ContainsFunc(g.Beside, func(m Member) bool { return m.N == n }))
}

func (t *turn) memberReady(n int) {
	m := t.member(n)
	switch {
	case m == nil || m.N != n || m.Ready:
		return
	case t.Candidate.Owns(n):
		m.Ready = true
		t.proved()
		return
	}
	m.Ready, m.Since, m.StableAt = true, t.now, t.now.Add(t.Policy.StableAfter)
	if m.Process != "" {
		if m.Old != 0 {
			t.end(m.Old)
			m.Old = 0
		}
		t.noteMember(EventProcessReady, *m, m.Tree, "")
		return
	}
	t.do(Watch{N: n})
	t.noteMember(EventReplicaReady, *m, m.Tree, "")
	t.chooseLead()
}

// memberDied ends what is left of tree n.
func (t *turn) memberDied(n int, reason string, clean bool, cause Cause) {
	m := t.member(n)
	switch {
	case m == nil:
	case t.Candidate.Owns(n):
		t.candidateFailed(reason, cause)
	case m.Process != "":
		t.processDied(m, n, reason, clean, cause)
	default:
		t.replicaDied(m, reason, clean)
	}
}

// startAgain has a member start again when its backoff says so, unless its policy forbids it.
func (t *turn) startAgain(m *Member, restart Restart, reason string, clean bool) {
	m.Failures++
	m.LastExit, m.StableAt, m.StartAt = reason, time.Time{}, time.Time{}
	if restart == RestartNever || restart == RestartOnFailure && clean {
		m.Halted = fmt.Sprintf("%s; restart = %q, `restart` brings it back", reason, restart)
		return
	}
	m.Restarts++
	if d := t.backoff(m.Failures); d > 0 {
		m.StartAt = t.now.Add(d)
	}
}

// membersDue does what is due of members.
func (t *turn) membersDue() {
	for _, list := range []*[]Member{&t.Serving.Beside, &t.Processes} {
		*list = slices.Clone(*list)
		for i := range *list {
			m := &(*list)[i]
			if t.due(m.StartAt) {
				m.StartAt = time.Time{}
			}
			if t.due(m.StableAt) {
				m.StableAt, m.Failures = time.Time{}, 0
			}
		}
	}
}

// membersAt keeps one timer for whatever is due first.
func (t *turn) membersAt() {
	first := time.Time{}
	for _, list := range [][]Member{t.Serving.Beside, t.Processes} {
		for _, m := range list {
			for _, at := range []time.Time{m.StartAt, m.StableAt} {
				if !at.IsZero() && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
		}
	}
	if first.Before(t.now) && !first.IsZero() && !first.Equal(t.MembersAt) {
		first = t.now
	}
	t.deadline(&t.MembersAt, TimerMembers, first)
}

// lacksMember says that a replica or process is to be started, now or after its backoff.
func (t *turn) lacksMember() bool {
	idle := func(m Member) bool { return m.N == 0 && m.Halted == "" }
	if slices.ContainsFunc(t.Serving.Beside, idle) || slices.ContainsFunc(t.Processes, idle) {
		return true
	}
	count := 0
	for _, p := range t.Policy.Processes {
		count += p.Count
	}
	return len(t.Processes) < count
}

// hurryMembers cuts the backoff of members short.
func (t *turn) hurryMembers() {
	t.Serving.Deaths = 0
	for _, list := range []*[]Member{&t.Serving.Beside, &t.Processes} {
		*list = slices.Clone(*list)
		for i := range *list {
			m := &(*list)[i]
			m.StartAt, m.Halted, m.Failures = time.Time{}, "", 0
		}
	}
}

// startsAgain says, for people, when a member that has died is started again.
func (t *turn) startsAgain(m Member) string {
	switch {
	case m.Halted != "":
		return "not started again"
	case m.StartAt.IsZero():
		return again(0)
	}
	return again(m.StartAt.Sub(t.now))
}

func (t *turn) noteMember(event EventName, m Member, tree Tree, reason string) {
	if reason != "" {
		reason = m.label() + ": " + reason
	} else {
		reason = m.label()
	}
	t.do(Note{Event: event, N: tree.N, Release: tree.Version.Release, Reason: reason, Times: m.Failures})
}

// label names a member for people.
func (m Member) label() string {
	if m.Process == "" {
		return fmt.Sprintf("server tree %d", m.Index+1)
	}
	return fmt.Sprintf("%s.%d", m.Process, m.Index+1)
}

// memberTrouble returns the first member that does not run as it should, and says so in a sentence, ""
// where all do.
func (s State) memberTrouble() (m Member, reason string) {
	for _, m := range s.Serving.Beside {
		beside := fmt.Sprintf("%d of %d server trees serve: ", s.Serving.Well(), len(s.Serving.Beside)+1)
		switch {
		case m.Halted != "":
			return m, beside + m.Halted
		case m.Unhealthy:
			return m, beside + m.Reason
		case m.LastExit != "" && !m.Ready && m.Failures > 0:
			return m, beside + m.LastExit
		}
	}
	for _, m := range s.Processes {
		switch {
		case m.Halted != "":
			return m, "process " + m.label() + " does not run: " + m.Halted
		case m.LastExit != "" && !m.Ready && m.Failures > 0:
			return m, "process " + m.label() + " does not run: " + m.LastExit
		case m.Failures > 1:
			return m, "process " + m.label() + " keeps ending: " + m.LastExit
		}
	}
	return Member{}, ""
}

// Well is how many of a generation's trees serve well.
func (g Generation) Well() int {
	well := b2i(g.fit() == fitWell)
	for _, m := range g.Beside {
		well += b2i(m.fit() == fitWell)
	}
	return well
}
