package actor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// limited is how the limits of a generation are doing.
type limited struct {
	why   string // a limit that could not be applied, or ""
	kills int    // of its processes, by the kernel, because memory ran out
}

// together is what all trees of the build may use together (Trees.Bound).
type together struct {
	of    config.Limits
	twice bool
	why   string // it could not be applied, or ""
}

// applyLimits gives what is running the limits of the entry as it is now.
func (a *Actor) applyLimits(before config.Limits) {
	if before == (config.Limits{}) && a.entry.Limits == before {
		return // nothing has any, nor had
	}
	_ = a.bind() // what is in it may have to be limited first (v1)
	for n, g := range a.generations {
		err := g.tree.Limit(a.entry.Limits)
		g.limited.why = ""
		if err != nil {
			g.limited.why = err.Error()
			a.log.Warn("limits of what is running are not those of the file", "generation", n, "error", err)
		}
	}
	for _, t := range a.oneOffs {
		if t.left() {
			a.warn("limit a task", t.tree.Limit(a.entry.Limits))
		}
	}
	a.bound()
}

// bound bounds what all trees of the build use together. It comes before a tree is started and after one
// has ended. A generation is started and ended beside another one, and what serves must not be starved
// by that: so for that time all of them may use twice as much.
func (a *Actor) bound() {
	l := a.entry.Limits
	want := together{of: config.Limits{Memory: l.Memory, CPU: l.CPU, Tasks: l.Tasks}}
	want.twice = want.of != config.Limits{} && a.changing()
	if want == a.together {
		return
	}
	err := a.bind()
	if err != nil {
		want.why = err.Error()
	}
	if want.why != "" && want.why != a.together.why {
		a.log.Warn("what the build uses cannot be limited as the file says", "error", err)
	}
	a.together = want
}

func (a *Actor) bind() error { return a.Ports.Trees.Bound(a.name, a.entry.Limits, a.changing()) }

// changing says that there are trees beside those that serve or work.
func (a *Actor) changing() bool { return a.state.Candidate.N != 0 || len(a.state.Ending) > 0 }

// lookForKills looks, now and then while the build serves, for processes that the kernel has killed, and
// tries again to bound what could not be.
func (a *Actor) lookForKills() {
	if a.entry.Limits.Memory == 0 && a.together.why == "" {
		return
	}
	a.bound()
	for _, n := range slices.Sorted(maps.Keys(a.generations)) {
		a.countKills(a.generations[n])
	}
}

// countKills tells of the processes of g that the kernel has killed since it was called last.
func (a *Actor) countKills(g *generation) {
	all := g.tree.OOMKills()
	more := all - g.limited.kills
	if more <= 0 {
		return
	}
	g.limited.kills = all
	reason := "the kernel killed " + processes(more) + ": out of memory" + a.ofLimit()
	if g.process != "" {
		reason = fmt.Sprintf("%s.%d: %s", g.process, g.index+1, reason)
	}
	a.log.Warn("kernel killed processes of a build, they used more memory than there may be", "generation", g.n, "process", g.process, "pid", g.tree.Pid(), "processes", more)
	a.Ports.Reports.OOMKilled(a.name, g.process, more)
	if g.hadClients() {
		a.losses.add(reason + ", with the requests that were in hand")
	}
	a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(machine.EventOutOfMemory), Release: g.version.Release, Pid: g.tree.Pid(), Reason: reason})
}

func processes(n int) string {
	if n == 1 {
		return "a process"
	}
	return fmt.Sprint(n, " processes")
}

// ofLimit names the limit of memory.
func (a *Actor) ofLimit() string {
	if a.entry.Limits.Memory == 0 {
		return ""
	}
	return fmt.Sprintf(" (limit %v)", a.entry.Limits.Memory)
}

// limitWarnings say what people should know of the limits of what serves, and of its processes.
func (a *Actor) limitWarnings() (all []string) {
	serving := []int{a.state.Serving.N}
	for _, m := range slices.Concat(a.state.Serving.Beside, a.state.Processes) {
		serving = append(serving, m.N)
	}
	kills := map[string]int{}
	var whys []string
	for _, n := range serving {
		g, ok := a.generations[n]
		if !ok {
			continue
		}
		if g.limited.kills > 0 {
			kills[g.process] += g.limited.kills
		}
		if why := g.limited.why; why != "" && !slices.Contains(whys, why) {
			whys = append(whys, why)
		}
	}
	for _, process := range slices.Sorted(maps.Keys(kills)) {
		all = append(all, fmt.Sprintf("the kernel killed %s of %s: out of memory%s; let it use less, or raise limits.memory",
			processes(kills[process]), cmp.Or(process, "what serves"), a.ofLimit()))
	}
	if why := a.together.why; why != "" && !slices.Contains(whys, why) {
		whys = append(whys, why)
	}
	return append(all, whys...)
}

// countStepKills counts those of a failed attempt, whose error tells of them.
func (a *Actor) countStepKills(err error) {
	var oom *build.OutOfMemoryError
	if errors.As(err, &oom) {
		a.Ports.Reports.OOMKilled(a.name, "", oom.Kills)
		a.event(machine.EventOutOfMemory, "", err.Error())
	}
}
