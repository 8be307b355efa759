package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/health"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// prove waits until generation g is ready: every worker has said so, where its
// server can say it, and the probe is answered as expected. It posts Ready, or
// ProofFailed with the reason; nothing when ctx ends first.
func (a *actor) prove(ctx context.Context, g *generation) {
	set := a.health.Load()
	deadline, cancel := context.WithTimeout(ctx, set.StartTimeout)
	defer cancel()
	err := g.awaitWorkers(deadline)
	if err == nil {
		err = a.awaitAnswer(deadline, g)
	}
	switch {
	case ctx.Err() != nil: // it ended, or is no longer wanted
	case err == nil:
		a.post(machine.Ready{N: g.n})
	case errors.Is(deadline.Err(), context.DeadlineExceeded):
		a.post(unproved{g, fmt.Sprintf("not ready within start_timeout (%v): %v", set.StartTimeout, err)})
	default:
		a.post(unproved{g, err.Error()})
	}
}

// awaitWorkers waits for the word of as many living workers as there are to be.
func (g *generation) awaitWorkers(ctx context.Context) error {
	if g.ready == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		// A deadline in the past makes Read return; the only error is that the
		// file is closed, which does so too.
		_ = g.ready.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	said, want := map[int]bool{}, 0
	word := make([]byte, 64)
	for {
		n, err := g.ready.Read(word)
		if err != nil {
			if want == 0 {
				return errors.New("no worker has loaded the application")
			}
			return fmt.Errorf("%d of %d workers have loaded the application", len(said), want)
		}
		var pid int
		if _, err := fmt.Sscanf(string(word[:n]), "%d %d", &pid, &want); err != nil {
			continue // not our hook's word: the application may write what it likes
		}
		said[pid] = true
		for pid := range said {
			if syscall.Kill(pid, 0) == syscall.ESRCH {
				delete(said, pid)
			}
		}
		if len(said) >= want {
			return nil
		}
	}
}

// How often a server that does not answer as expected yet is asked again.
const (
	askAgainFirst = 20 * time.Millisecond
	askAgainLast  = time.Second
)

// awaitAnswer probes until the answer is as expected. A server whose workers
// have all said that they are ready gets as many wrong answers as health
// allows; one that says nothing may be wrong until ctx ends. Where clients have
// queued for it, a probe's turn may come late: each is given twice the time of
// the one before, or a server that works off a long queue would never pass.
func (a *actor) awaitAnswer(ctx context.Context, g *generation) error {
	wrong, patience := 0, time.Duration(0)
	for pause := askAgainFirst; ; pause = min(2*pause, askAgainLast) {
		set := a.health.Load()
		p := probe(set, g.sock.l.Path())
		p.Timeout = max(p.Timeout, patience)
		_, err := p.Do(ctx)
		if err == nil {
			return nil
		}
		var answer *health.Error
		switch {
		case !errors.As(err, &answer):
		case answer.Kind == health.Status && g.ready != nil:
			if wrong++; wrong >= set.Failures {
				return err
			}
		case answer.Kind == health.TimedOut && g.queued:
			patience = 2 * p.Timeout
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// watch probes the serving generation g every interval until it is halted. In
// between it costs a timer and no goroutine.
func (a *actor) watch(g *generation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.halted {
		g.next = time.AfterFunc(a.health.Load().Interval, func() { a.watchOnce(g) })
	}
}

// probeSoon lets a changed interval begin now.
func (a *actor) probeSoon() {
	g, ok := a.generations[a.state.Serving.N]
	if !ok {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	// A probe that is under way sets the timer itself, with the new interval.
	if g.next != nil && g.next.Stop() {
		g.next.Reset(a.health.Load().Interval)
	}
}

// watchOnce probes g, says how that went, and sets the timer for the next time.
// What the file says of health is read anew each time: it applies live.
func (a *actor) watchOnce(g *generation) {
	g.mu.Lock()
	if g.halted {
		g.mu.Unlock()
		return
	}
	a.tasks.Add(1) // before halt can be seen, so before anybody waits for tasks
	g.mu.Unlock()
	defer a.tasks.Done()
	begun := time.Now()
	_, err := probe(a.health.Load(), a.socketPath).Do(g.ctx)
	if g.ctx.Err() == nil {
		took := time.Since(begun)
		a.sup.metrics.Probed(a.name, took, err == nil)
		a.samples.probed(took)
	}
	switch {
	case g.ctx.Err() != nil:
		return
	case err != nil:
		a.post(nameTouched{}) // its name may be what is missing
		a.post(machine.ProbeFailed{N: g.n, Reason: err.Error()})
	default:
		a.post(machine.ProbeOK{N: g.n})
	}
	a.watch(g)
}

func probe(h *config.Health, socket string) health.Probe {
	return health.Probe{Socket: socket, Path: h.Path, Host: h.Host,
		Min: h.Expect.Min, Max: h.Expect.Max, Timeout: h.Timeout}
}

// readyPair makes the two ends over which workers say that they are ready:
// ours, and the one the child inherits. Datagrams, so that no word of one
// worker mixes with another's.
func readyPair() (ours, childs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make readiness socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "ready"), os.NewFile(uintptr(fds[1]), "ready of child"), nil
}
