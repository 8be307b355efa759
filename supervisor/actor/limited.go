package actor

import (
	"errors"
	"fmt"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// limited is how the limits of a generation are doing.
type limited struct {
	why   string // a limit that could not be applied, or ""
	kills int    // of its processes, by the kernel, because memory ran out
}

// applyLimits gives what is running the limits of the entry as it is now.
func (a *Actor) applyLimits(before config.Limits) {
	if before == (config.Limits{}) && a.entry.Limits == before {
		return // nothing has any, nor had
	}
	for n, g := range a.generations {
		err := g.tree.Limit(a.entry.Limits)
		g.limited.why = ""
		if err != nil {
			g.limited.why = err.Error()
			a.log.Warn("limits of what is running are not those of the file", "generation", n, "error", err)
		}
	}
}

// lookForKills is called now and then while g is running.
func (a *Actor) lookForKills(g *generation) {
	if g.tree.OOMKills() != int(g.seenKills.Load()) {
		a.post(killed{g})
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
	g.seenKills.Store(int32(all))
	reason := "the kernel killed " + processes(more) + ": out of memory" + a.ofLimit()
	a.log.Warn("kernel killed processes of a build, they used more memory than there may be", "generation", g.n, "pid", g.tree.Pid(), "processes", more)
	a.Ports.Reports.OOMKilled(a.name, more)
	if g.hadClients() {
		a.losses.add(reason + ", with the requests that were in hand")
	}
	a.event(machine.EventOutOfMemory, g.version.Release, reason)
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

// limitWarnings say what people should know of the limits of what serves.
func (a *Actor) limitWarnings() []string {
	g, ok := a.generations[a.state.Serving.N]
	if !ok {
		return nil
	}
	var all []string
	if g.limited.kills > 0 {
		all = append(all, fmt.Sprintf("the kernel killed %s of what serves: out of memory%s; let it use less, or raise limits.memory", processes(g.limited.kills), a.ofLimit()))
	}
	if g.limited.why != "" {
		all = append(all, g.limited.why)
	}
	return all
}

// countStepKills counts those of a failed attempt, whose error tells of them.
func (a *Actor) countStepKills(err error) {
	var oom *build.OutOfMemoryError
	if errors.As(err, &oom) {
		a.Ports.Reports.OOMKilled(a.name, oom.Kills)
		a.event(machine.EventOutOfMemory, "", err.Error())
	}
}
