// Package claim tells what an earlier supervisor really left running from what only says so.
package claim

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Claims are what was found of a build that says it is of an earlier supervisor: processes and
// cgroups, by the generation that they name. Anybody can start a process with any mark in its
// environment, so nothing is believed that Evidence.Confirm does not return.
type Claims struct {
	processes []claim
	cgroups   []int // generations that have one: only we can make it
	tasks     taskClaims
}

type claim struct {
	world.Marked
	n int
}

const (
	// highestGeneration bounds what is taken for a generation's number. Nobody starts that many.
	highestGeneration = 1 << 30
	// unrecorded bounds how many generations may have been started of a build after its record was
	// written last: it is written within moments of each.
	unrecorded = 1000
)

// generationOf reads a mark: ROOT ID/BUILD/GENERATION.
func generationOf(rootID, mark string) (build string, n int, ok bool) {
	rest, ours := strings.CutPrefix(mark, rootID+"/")
	build, number, both := strings.Cut(rest, "/")
	n, err := strconv.Atoi(number)
	ok = ours && both && err == nil && n >= 1 && n <= highestGeneration && number == strconv.Itoa(n) && config.IsName(build)
	return build, n, ok
}

// Sort sorts what was found of the root with that ID by the builds that it names: processes, and the
// marks that cgroups stand for. What a process says counts for less than the cgroup that it is in.
func Sort(rootID string, found []world.Marked, cgroups []string) map[string]*Claims {
	all := map[string]*Claims{}
	of := func(mark string) (c *Claims, n int) {
		name, n, ok := generationOf(rootID, mark)
		if !ok {
			return nil, 0
		}
		if all[name] == nil {
			all[name] = &Claims{}
		}
		return all[name], n
	}
	task := func(mark string) *taskClaim {
		name, id, ok := taskOf(rootID, mark)
		if !ok {
			return nil
		}
		if all[name] == nil {
			all[name] = &Claims{}
		}
		if all[name].tasks == nil {
			all[name].tasks = taskClaims{}
		}
		return all[name].tasks.of(id, mark)
	}
	for _, mark := range cgroups {
		if t := task(mark); t != nil {
			t.cgroup = true
		}
		if c, n := of(mark); c != nil { // the processes in it may carry no mark
			c.cgroups = append(c.cgroups, n)
		}
	}
	for _, m := range found {
		mark := m.Mark
		if m.Cgroup != "" {
			mark = m.Cgroup
		}
		if t := task(mark); t != nil {
			t.processes = append(t.processes, m)
		}
		if c, n := of(mark); c != nil {
			c.processes = append(c.processes, claim{m, n})
		}
	}
	return all
}

// Evidence is what confirms a claim.
type Evidence struct {
	RootID string
	BootID string
	Record state.Record // of the build; the zero one where there is none
	User   int          // whom the entry has the build run as
}

// Confirm returns the generations and tasks of a build that are confirmed, the newest generation first,
// and the processes that are not. c may be nil.
func (e Evidence) Confirm(build string, c *Claims) (left, tasks []actor.Leftover, refused []world.Marked) {
	if c == nil {
		return nil, nil, nil
	}
	left, refused = e.confirm(build, c)
	tasks, more := e.confirmTasks(c.tasks)
	return left, tasks, append(refused, more...)
}

// confirm returns the generations that are confirmed, the newest first, and the processes that are
// not. A process is confirmed by the cgroup that it is in, by the record that names its pid and start
// time, or by running as the user whom the generation was started as: by the record, by its main
// process, or else by the entry. The last is all there is where a supervisor was killed before it had
// written down what it started, and no protection from what the same user runs: builds of one user
// are not protected from one another.
func (e Evidence) confirm(build string, c *Claims) (left []actor.Leftover, refused []world.Marked) {
	byN := map[int]*actor.Leftover{}
	of := func(n int) *actor.Leftover {
		if byN[n] == nil {
			byN[n] = &actor.Leftover{N: n, Mark: e.RootID + "/" + build + "/" + strconv.Itoa(n), User: e.userOf(n, c)}
		}
		return byN[n]
	}
	for _, n := range c.cgroups {
		of(n)
	}
	leads := map[int]claim{} // the likeliest main process of a generation that is not recorded
	for _, p := range c.processes {
		recorded, isMain := e.recorded(p)
		user := e.userOf(p.n, c)
		if !isMain && p.Cgroup == "" && (p.User != user || e.beyond(p.n)) {
			refused = append(refused, p.Marked)
			continue
		}
		l := of(p.n)
		l.Members = append(l.Members, p.Process)
		switch {
		case isMain:
			l.Leader = p.Process
		case recorded || !p.Leader:
		case leads[p.n].Pid == 0 || p.likelierThan(leads[p.n]):
			leads[p.n] = p
			l.Leader = p.Process
		}
	}
	for _, l := range byN {
		left = append(left, *l)
	}
	slices.SortFunc(left, func(a, b actor.Leftover) int { return cmp.Compare(b.N, a.N) })
	return left, refused
}

// likelierThan reports whether p rather than q is the main process of their generation, which is the
// first of it to be started.
func (p claim) likelierThan(q claim) bool {
	if inside := p.Cgroup != ""; inside != (q.Cgroup != "") {
		return inside
	}
	return cmp.Or(cmp.Compare(p.StartTime, q.StartTime), cmp.Compare(p.Pid, q.Pid)) < 0
}

// recorded reports whether the record has the generation that p names, since this boot, and whether p
// is the main process that was written down of it.
func (e Evidence) recorded(p claim) (recorded, isMain bool) {
	g, ok := e.generation(p.n)
	return ok, ok && g.Pid == p.Pid && g.StartTime == p.StartTime
}

func (e Evidence) generation(n int) (state.Generation, bool) {
	i := slices.IndexFunc(e.Record.Generations, func(g state.Generation) bool { return g.N == n && g.BootID == e.BootID })
	if i < 0 {
		return state.Generation{}, false
	}
	return e.Record.Generations[i], true
}

// beyond reports whether a number is too far from those that were written down to be one of ours.
func (e Evidence) beyond(n int) bool {
	return e.Record.NextGeneration > 0 && n >= e.Record.NextGeneration+unrecorded
}

// userOf is whom generation n was started as.
func (e Evidence) userOf(n int, c *Claims) int {
	g, ok := e.generation(n)
	switch {
	case ok && g.User != nil && *g.User < 0:
		return os.Geteuid()
	case ok && g.User != nil:
		return *g.User
	}
	if ok { // of a supervisor that did not write it down
		for _, p := range c.processes {
			if _, isMain := e.recorded(p); isMain && p.User >= 0 {
				return p.User
			}
		}
	}
	return e.User
}
