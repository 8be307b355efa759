package actor

import (
	"context"
	"sync"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// Pause makes the actor stand still between two turns, for an exec, until resume is closed. The
// returned channel tells what is under way that an exec would spoil: then the actor does not stand
// still; "" says that it does. An actor that has ended says nothing: see Done.
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

// spoiled says what an exec now would lose, or "".
func (a *Actor) spoiled() string {
	switch {
	case a.Gate.inside(a):
		if !a.attempt.point.abandon() {
			return a.name + " migrates its database"
		}
		return "the build of " + a.name + " is cancelled, it begins again afterwards"
	case a.public.Passing():
		return "clients of " + a.name + " are passed on"
	case a.state.Dead, a.state.Want == machine.WantRemoved, a.state.Want == machine.WantShutdown:
		return a.name + " stops"
	}
	return ""
}

// Quiet stops what the actor itself answers to clients. over is closed when everybody who was
// accepted has the answer; resume undoes it. The actor stands still (Pause) until then.
func (a *Actor) Quiet() (over <-chan struct{}, resume func()) {
	over, again := a.public.Pause()
	return over, func() {
		if err := again(); err != nil {
			a.log.Error("clients cannot be told to come back, there is no public socket", "error", err)
		}
	}
}

// Sockets returns the listeners that the actor holds, each once. The actor stands still (Pause).
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
	for _, g := range a.generations {
		add(g.sock)
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

// enter waits until the gate is open, and goes in; false says that ctx ended.
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
