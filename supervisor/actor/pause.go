package actor

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// Pause makes the actor stand still between two turns, for an exec, until resume is closed. The
// returned channel yields what is under way that an exec would spoil, in which case the actor goes
// on; "" means that it stands still. An actor that has ended sends nothing: see Done.
func (a *Actor) Pause(resume <-chan struct{}) (busy <-chan string) {
	answer := make(chan string, 1)
	a.post(paused{answer, resume})
	return answer
}

func (a *Actor) pause(m paused) {
	why := a.spoiled()
	m.answer <- why
	if why == "" {
		<-m.resume
	}
}

// spoiled returns what an exec would lose now, or "".
func (a *Actor) spoiled() string {
	switch {
	case a.Gate.inside(a):
		if !a.attempt.point.abandon() {
			return a.name + " is migrating its database"
		}
		return "the build of " + a.name + " is being cancelled, it begins again afterwards"
	case a.schedules.beginning() != "":
		return a.name + " begins a run of the schedule " + a.schedules.beginning()
	case a.public.Passing():
		return "clients of " + a.name + " are being passed on"
	case a.state.Dead, a.state.Want == machine.WantRemoved, a.state.Want == machine.WantShutdown:
		return a.name + " is stopping"
	}
	return ""
}

// Quiet stops the actor's own refusals to clients. over is closed once every accepted client has
// its answer; resume undoes it. The actor must stand still (Pause) until then.
func (a *Actor) Quiet() (over <-chan struct{}, resume func()) {
	over, again := a.public.Pause()
	return over, func() {
		if err := again(); err != nil {
			a.log.Error("clients cannot be told to come back, there is no public socket", "error", err)
		}
	}
}

// Sockets returns the listeners that the actor holds, each once. The actor must stand still
// (Pause).
func (a *Actor) Sockets() []public.Listener {
	var all []public.Listener
	seen := map[*public.Socket]bool{nil: true}
	add := func(s *public.Socket) {
		if !seen[s] {
			seen[s] = true
			all = append(all, s.Listener)
		}
	}
	add(a.public.Socket())
	for _, n := range slices.Sorted(maps.Keys(a.generations)) {
		add(a.generations[n].sock)
	}
	return all
}

// Gate keeps attempts from beginning while the supervisor is about to be replaced. The zero Gate is
// open.
type Gate struct {
	mu   sync.Mutex
	shut chan struct{}  // nil: open; else closed when it opens
	in   map[*Actor]int // attempts: one may begin a moment before the one before it has left
}

// Close shuts the gate until open is called.
func (g *Gate) Close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := make(chan struct{})
	g.shut = shut
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = nil
		close(shut)
	})
}

// enter waits until the gate is open; it returns false if ctx ended first.
func (g *Gate) enter(ctx context.Context, a *Actor) bool {
	for {
		g.mu.Lock()
		shut := g.shut
		if shut == nil {
			if g.in == nil {
				g.in = map[*Actor]int{}
			}
			g.in[a]++
			g.mu.Unlock()
			return true
		}
		g.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return false
		}
	}
}

func (g *Gate) leave(a *Actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in[a]--; g.in[a] == 0 {
		delete(g.in, a)
	}
}

func (g *Gate) inside(a *Actor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in[a] > 0
}
