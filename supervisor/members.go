package supervisor

import (
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// replicasOf says how many server trees of a build serve.
func replicasOf(v *actor.View) control.Replicas {
	g := v.State.Serving
	r := control.Replicas{Want: max(v.Entry.Replicas, 1), Ready: g.Well(), Pids: []int{}}
	if g.Pid != 0 {
		r.Pids = append(r.Pids, g.Pid)
	}
	for _, m := range g.Beside {
		if m.Pid != 0 {
			r.Pids = append(r.Pids, m.Pid)
		}
	}
	return r
}

// processesOf are the instances of a build's processes.
func processesOf(st *machine.State) (all []control.ProcessStatus) {
	for _, m := range st.Processes {
		p := control.ProcessStatus{
			Name: m.Process, Index: m.Index, State: stateOf(m), Pid: m.Pid, Restarts: m.Restarts, LastExit: m.LastExit,
		}
		if m.N != 0 {
			p.Release = m.Version.Release
		}
		if m.Ready {
			p.Since = m.Since.UTC().Truncate(time.Second)
		}
		if !m.StartAt.IsZero() {
			p.NextTry = m.StartAt.UTC().Truncate(time.Second)
		}
		all = append(all, p)
	}
	return all
}

// stateOf is the state of an instance, in the words that builds have.
func stateOf(m machine.Member) string {
	switch {
	case m.N != 0 && m.Ready:
		return control.ProcessRunning
	case m.N != 0:
		return control.ProcessStarting
	case m.Halted != "":
		return control.ProcessStopped
	case !m.StartAt.IsZero():
		return control.ProcessBackoff
	}
	return control.ProcessStopping // the one before it has not ended yet
}
