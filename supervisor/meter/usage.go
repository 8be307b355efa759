package meter

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// queueOf returns how many clients wait to be accepted; -1 if that is not known.
func queueOf(v *actor.View) int {
	if v.Public == nil {
		return -1
	}
	n, err := v.Public.QueueLen()
	if err != nil {
		return -1
	}
	return n
}

const (
	usageFresh    = 500 * time.Millisecond // how old a look may be to be shown
	usagePatience = 10 * time.Millisecond  // how long a status waits for a newer one
	usageStale    = 5 * time.Minute        // an older look is no longer a base for recent CPU use
)

// look keeps concurrent requests from looking twice.
type look struct {
	mu    sync.Mutex
	ended time.Time
	under chan struct{} // closed when the look that is under way has ended; nil: none is
}

// Refresh makes sure that what builds use is known. With thousands of processes a look takes longer
// than a status may: then Of returns what the previous one saw.
func (m *Meters) Refresh() {
	u := &m.look
	u.mu.Lock()
	if time.Since(u.ended) < usageFresh {
		u.mu.Unlock()
		return
	}
	if u.under == nil {
		under := make(chan struct{})
		u.under = under
		m.Task(func() {
			m.Usage(m.Hard)
			u.mu.Lock()
			defer u.mu.Unlock()
			u.ended, u.under = time.Now(), nil // also if it failed
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

// Usage returns what each build uses now, in the order of Builds. What cannot be found out is missing.
func (m *Meters) Usage(ctx context.Context) []control.Usage {
	actors := m.Builds()
	all := make([]control.Usage, len(actors))
	meters := make([]*meter, len(actors))
	var trees []actor.Tree
	var of []int // the actor of each tree
	for i, a := range actors {
		v := a.View()
		meters[i] = m.of(a.Name())
		all[i] = control.Usage{Build: a.Name(), Queue: queueOf(v), LastGood: v.State.Serving.Since}
		meters[i].queue.Store(int32(all[i].Queue))
		for _, p := range v.Entry.Processes {
			all[i].Beside = append(all[i].Beside, control.ProcessUsage{Name: p.Name, Want: p.Count})
		}
		if v.Tree != nil {
			trees, of = append(trees, v.Tree), append(of, i)
		}
		for _, tree := range v.Beside {
			trees, of = append(trees, tree), append(of, i)
		}
	}
	used, err := m.Trees.Usage(ctx, trees)
	if err != nil {
		m.Log.Debug("what builds use cannot be found", "error", err)
		return all
	}
	now := time.Now()
	for i := 0; i < len(trees); {
		b, from := &all[of[i]], i
		beside := processesByPid(actors[of[i]].View(), b)
		for ; i < len(trees) && of[i] == of[from]; i++ {
			b.Processes += used[i].Processes
			b.Memory += used[i].Memory
			b.CPU += used[i].CPU
			if p := beside[trees[i].Pid()]; p != nil {
				p.Memory += used[i].Memory
				p.CPU += used[i].CPU
			}
		}
		meters[of[from]].used(trees[from:i], used[from:i], now)
	}
	m.look.mu.Lock()
	defer m.look.mu.Unlock()
	m.look.ended = now
	return all
}

// processesByPid returns where to count what an instance of a process uses, by its main process.
func processesByPid(v *actor.View, u *control.Usage) map[int]*control.ProcessUsage {
	by := map[int]*control.ProcessUsage{}
	for _, m := range v.State.Processes {
		if i := slices.IndexFunc(u.Beside, func(p control.ProcessUsage) bool { return p.Name == m.Process }); i >= 0 && m.Pid != 0 {
			by[m.Pid] = &u.Beside[i]
		}
	}
	return by
}

// used records what the trees of a build have used so far.
func (m *meter) used(trees []actor.Tree, used []world.Usage, now time.Time) {
	next, before := &usage{at: now, totals: map[int]time.Duration{}}, m.usage.Load()
	for i, u := range used {
		pid := trees[i].Pid()
		since, spent := now.Add(-u.Age), u.CPU
		if before != nil && now.Sub(before.at) < usageStale {
			if total, known := before.totals[pid]; known {
				since, spent = before.at, u.CPU-total
			}
		}
		// the time of a process that has ended is no longer counted
		if took := now.Sub(since); took > 0 && spent > 0 {
			next.cpu += spent.Seconds() / took.Seconds()
		}
		next.memory += u.Memory
		next.totals[pid] = u.CPU
	}
	m.usage.Store(next)
}
