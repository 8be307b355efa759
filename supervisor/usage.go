package supervisor

import (
	"context"
	"sync"
	"time"

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
		u := control.Usage{Build: a.name, Queue: queueOf(v), LastGood: v.state.Serving.Since}
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
			s.lookAtUsage()
			u.mu.Lock()
			defer u.mu.Unlock()
			u.ended, u.under = time.Now(), nil
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

func (s *Supervisor) lookAtUsage() {
	var children []*process.Child
	var of []*actor
	for _, a := range s.all() {
		v := a.view.Load()
		if v.child != nil {
			children, of = append(children, v.child), append(of, a)
		}
		a.queue.Store(int32(queueOf(v)))
	}
	used, err := s.table.Usage(s.hard, children)
	if err != nil {
		s.log.Debug("what builds use cannot be found", "error", err)
		return
	}
	now := time.Now()
	for i, a := range of {
		next := &usage{pid: children[i].Pid(), at: now, memory: used[i].Memory, total: used[i].CPU}
		since, spent := now.Add(-children[i].Age()), next.total
		if before := a.usage.Load(); before != nil && before.pid == next.pid && now.Sub(before.at) < usageStale {
			since, spent = before.at, next.total-before.total
		}
		if took := now.Sub(since); took > 0 && spent > 0 { // a process that has ended takes its time with it
			next.cpu = spent.Seconds() / took.Seconds()
		}
		a.usage.Store(next)
	}
}

// FrontCounts answers what became of the front's requests.
func (s *Supervisor) FrontCounts() control.FrontCounts { return control.FrontCounts(s.front.Stats()) }
