package supervisor

import (
	"context"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// Usage answers what each build uses now.
func (s *Supervisor) Usage(ctx context.Context) []control.Usage { return s.lookAtUsage(ctx) }

// queueOf is how many clients wait to be accepted; -1 where that is not known.
func queueOf(v *view) int {
	if v.public == nil {
		return -1
	}
	n, err := v.public.QueueLen()
	if err != nil {
		return -1
	}
	return n
}

// usage is what the serving tree of an actor used when it was looked at.
type usage struct {
	pid    int
	at     time.Time
	memory uint64
	total  time.Duration
	cpu    float64 // cores, since the look before or else since it serves
}

const (
	usageFresh    = 500 * time.Millisecond // how old a look may be that is shown
	usagePatience = 10 * time.Millisecond  // how long a status waits for a newer one
	usageStale    = 5 * time.Minute        // a look before this says nothing of lately
)

// usageLook keeps those who ask at the same time from looking twice.
type usageLook struct {
	mu    sync.Mutex
	ended time.Time
	under chan struct{} // closed when the look that is under way has ended; nil: none is
}

// refreshUsage sees to it that actors know what they use. With thousands of
// processes a look takes longer than a status may: the one before is shown then.
func (s *Supervisor) refreshUsage() {
	u := &s.usage
	u.mu.Lock()
	if time.Since(u.ended) < usageFresh {
		u.mu.Unlock()
		return
	}
	if u.under == nil {
		under := make(chan struct{})
		u.under = under
		s.task(func() {
			s.lookAtUsage(s.hard)
			u.mu.Lock()
			defer u.mu.Unlock()
			u.ended, u.under = time.Now(), nil // also where it could not be done
			close(under)
		})
	}
	under := u.under
	u.mu.Unlock()
	select {
	case <-under:
	case <-time.After(usagePatience):
	}
}

// lookAtUsage answers what each build uses now, and lets its actor know.
func (s *Supervisor) lookAtUsage(ctx context.Context) []control.Usage {
	actors := s.all()
	all := make([]control.Usage, len(actors))
	var children []*process.Child
	var of []int // the actor of each child
	for i, a := range actors {
		v := a.view.Load()
		all[i] = control.Usage{Build: a.name, Queue: queueOf(v), LastGood: v.state.Serving.Since}
		a.queue.Store(int32(all[i].Queue))
		if v.child != nil {
			children, of = append(children, v.child), append(of, i)
		}
	}
	used, err := s.table.Usage(ctx, children)
	if err != nil {
		s.log.Debug("what builds use cannot be found", "error", err)
		return all
	}
	now := time.Now()
	for i, child := range children {
		b, a := &all[of[i]], actors[of[i]]
		b.Processes, b.Memory, b.CPU = used[i].Processes, used[i].Memory, used[i].CPU
		next := &usage{pid: child.Pid(), at: now, memory: b.Memory, total: b.CPU}
		since, spent := now.Add(-child.Age()), next.total
		if before := a.usage.Load(); before != nil && before.pid == next.pid && now.Sub(before.at) < usageStale {
			since, spent = before.at, next.total-before.total
		}
		if took := now.Sub(since); took > 0 && spent > 0 { // a process that has ended takes its time with it
			next.cpu = spent.Seconds() / took.Seconds()
		}
		a.usage.Store(next)
	}
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	s.usage.ended = now
	return all
}

// FrontCounts answers what became of the front's requests.
func (s *Supervisor) FrontCounts() control.FrontCounts { return control.FrontCounts(s.front.Stats()) }
