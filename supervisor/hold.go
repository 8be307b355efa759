package supervisor

import (
	"context"
	"fmt"
	"sync"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// hold is the message that makes an actor stand still between two turns, for
// an exec: it says whether something is under way that an exec would spoil, and
// if not waits until resume is closed.
type hold struct {
	answer chan<- string // "" or what is under way
	resume <-chan struct{}
}

func (a *actor) hold(m hold) {
	why := a.spoiled()
	m.answer <- why
	if why == "" {
		<-m.resume
	}
}

// spoiled says what an exec now would lose, or "".
func (a *actor) spoiled() string {
	switch {
	case a.sup.gate.inside(a):
		if !a.commit.abandon() {
			return a.name + " migrates its database"
		}
		return "the build of " + a.name + " is cancelled, it begins again afterwards"
	case a.passing.Load() > 0:
		return "clients of " + a.name + " are passed on"
	case a.state.Dead, a.state.Want == machine.WantRemoved, a.state.Want == machine.WantShutdown:
		return a.name + " stops"
	}
	return ""
}

// gate keeps builds from beginning while the supervisor is about to be
// replaced. The zero gate is open.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open; else closed when it opens
	in   map[*actor]bool
}

// enter waits until the gate is open, and goes in; false is that ctx ended.
func (g *gate) enter(ctx context.Context, a *actor) bool {
	for {
		g.mu.Lock()
		shut := g.shut
		if shut == nil {
			if g.in == nil {
				g.in = map[*actor]bool{}
			}
			g.in[a] = true
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

func (g *gate) leave(a *actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.in, a)
}

func (g *gate) inside(a *actor) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in[a]
}

// close shuts the gate until open is called.
func (g *gate) close() (open func()) {
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

// busyError says what an exec would lose now. It passes by itself.
type busyError struct{ what string }

func (e *busyError) Error() string { return "waiting: " + e.what }

// holdAll makes every actor stand still, until release is called. The error is
// a *busyError where something is under way: then none does.
func (s *Supervisor) holdAll() (release func(), err error) {
	all := s.all()
	resume := make(chan struct{})
	release = sync.OnceFunc(func() { close(resume) })
	answers := make([]chan string, len(all))
	for i, a := range all {
		answers[i] = make(chan string, 1)
		a.post(hold{answers[i], resume})
	}
	for i, a := range all {
		why := ""
		select {
		case why = <-answers[i]:
		case <-a.done: // it is about to be taken off the list
			why = a.name + " stops"
		}
		if why != "" {
			err = &busyError{why}
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// quiet stops what each actor answers to clients itself, and waits until who was
// taken has been answered. The actors are held. resume undoes it.
func (s *Supervisor) quiet() (resume func()) {
	var refusing []*actor
	for _, a := range s.all() {
		if a.stopRefusing != nil {
			a.stopRefusing()
			refusing = append(refusing, a)
		}
	}
	for _, a := range refusing {
		<-a.refused
	}
	return func() {
		for _, a := range refusing {
			a.startRefusing()
		}
	}
}

// progressOf tells once what is waited for.
func progressOf(say func(string)) func(error) {
	last := ""
	return func(err error) {
		if text := fmt.Sprint(err); text != last {
			last = text
			say(text)
		}
	}
}
