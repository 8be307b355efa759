package supervisor

import (
	"context"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// Usage answers what each build uses now.
func (s *Supervisor) Usage(ctx context.Context) []control.Usage {
	var all []control.Usage
	var children []*process.Child
	var of []int // the build of each child
	for _, a := range s.all() {
		v := a.view.Load()
		u := control.Usage{Build: a.name, Queue: -1, LastGood: v.state.Serving.Since}
		if v.public != nil {
			if n, err := v.public.QueueLen(); err == nil { // else it is not known
				u.Queue = n
			}
		}
		if v.child != nil {
			children, of = append(children, v.child), append(of, len(all))
		}
		all = append(all, u)
	}
	used, err := s.table.Usage(ctx, children)
	if err != nil {
		s.log.Debug("what builds use cannot be found", "error", err)
		return all
	}
	for i, u := range used {
		b := &all[of[i]]
		b.Processes, b.Memory, b.CPU = u.Processes, u.Memory, u.CPU
	}
	return all
}

// FrontCounts answers what became of the front's requests.
func (s *Supervisor) FrontCounts() control.FrontCounts { return control.FrontCounts(s.front.Stats()) }
