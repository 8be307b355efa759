package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// verify waits until generation g is ready and, concurrently, its environment has passed its check
// where that has changed, and its static files are ready to go live. It posts Ready, or ProofFailed
// with the reason; nothing when ctx ends first.
func (a *Actor) verify(ctx context.Context, g *generation, staged <-chan struct{}) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	looked := make(chan error, 1)
	go func() {
		err := a.look(both, g)
		if err != nil {
			cancel()
		}
		looked <- err
	}()
	lengthened := a.keepQueue(ctx, both, g)
	failed := a.awaitReady(both, g)
	if failed == nil {
		awaitStaged(both, staged)
	} else {
		cancel()
	}
	err := <-looked
	cancel()
	<-lengthened
	var refused *build.LookError
	switch {
	case ctx.Err() != nil: // it ended, or is no longer wanted
	case errors.As(err, &refused):
		a.tell(machine.ProofFailed{N: g.n, Reason: err.Error(), Cause: causeOfLook(err)})
	case failed != nil:
		a.post(*failed)
	default:
		a.tell(machine.Ready{N: g.n})
	}
}

// lengthenEvery is how often the queue of a server that is starting is lengthened, of those that shorten
// it: it does so at a moment of its own.
const lengthenEvery = 10 * time.Millisecond

// keepQueue keeps the queue of g as long as others until ctx ends, at the latest when g may take over.
// The returned channel is closed when that is done. life ends when g has ended, or is no longer wanted.
func (a *Actor) keepQueue(life, ctx context.Context, g *generation) <-chan struct{} {
	done := make(chan struct{})
	if g.server.KeepsQueue() {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		if g.queued { // clients wait already
			tick := time.NewTicker(lengthenEvery)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := g.sock.Lengthen(); err != nil {
					break // it will be tried, and said, at the end
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		}
		<-ctx.Done()
		if life.Err() == nil {
			a.warn("lengthen the queue", g.sock.Lengthen())
		}
	}()
	return done
}

// awaitReady waits until every worker of g has said that it is ready, if its server can, and the
// probe got the expected answer. It returns why that is not so.
func (a *Actor) awaitReady(ctx context.Context, g *generation) *unready {
	set := a.health.Load()
	deadline, cancel := context.WithTimeout(ctx, set.StartTimeout)
	defer cancel()
	var err error
	if g.words != nil {
		err = server.Await(deadline, g.words, a.Ports.Trees.Alive)
	}
	if err == nil {
		err = a.awaitAnswer(deadline, g)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(deadline.Err(), context.DeadlineExceeded):
		return &unready{g, fmt.Sprintf("not ready within start_timeout (%v): %v", set.StartTimeout, err), machine.CauseOutside}
	}
	return &unready{g, err.Error(), causeOfCheck(err)}
}

// How often a server that does not answer as expected yet is probed again.
const (
	askAgainFirst = 20 * time.Millisecond
	askAgainLast  = time.Second
)

// awaitAnswer probes until the answer is as expected. A server whose workers have all said that
// they are ready gets as many wrong answers as health allows; one that says nothing may be wrong
// until ctx ends. If clients have queued for it, a probe's turn may come late: each probe gets
// twice the time of the one before, or a server working through a long queue would never pass.
func (a *Actor) awaitAnswer(ctx context.Context, g *generation) error {
	wrong, patience := 0, time.Duration(0)
	for pause := askAgainFirst; ; pause = min(2*pause, askAgainLast) {
		set := a.health.Load()
		timeout := max(set.Timeout, patience)
		err := a.Ports.Host.Probe(ctx, cmp.Or(g.tree.Private(), g.sock.Path()), set, timeout)
		if err == nil {
			return nil
		}
		var answer *ProbeError
		switch {
		case !errors.As(err, &answer):
			if g.queued {
				a.post(folderTouched{}) // its name may be what is missing
			}
		case answer.Wrong && g.words != nil:
			if wrong++; wrong >= set.Failures {
				return err
			}
		case answer.Late && g.queued:
			patience = 2 * timeout
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// watch probes the serving generation g every interval until it is halted. Between probes it costs
// a timer and no goroutine.
func (a *Actor) watch(g *generation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.halted {
		g.next = time.AfterFunc(a.health.Load().Interval, func() { a.watchOnce(g) })
	}
}

// probeSoon makes a changed interval begin now.
func (a *Actor) probeSoon() {
	for _, n := range slices.Sorted(maps.Keys(a.generations)) {
		g := a.generations[n]
		g.mu.Lock()
		// A probe that is under way sets the timer itself, with the new interval.
		if g.next != nil && g.next.Stop() && !g.halted {
			g.next.Reset(a.health.Load().Interval)
		}
		g.mu.Unlock()
	}
}

// watchOnce probes g, posts the result, and sets the timer for the next time. The health keys are
// read again each time: they apply live.
func (a *Actor) watchOnce(g *generation) {
	g.mu.Lock()
	if g.halted {
		g.mu.Unlock()
		return
	}
	a.tasks.Add(1) // before halted can be set, so before tasks are waited for
	ctx, leave := g.life.enter(a.Hard)
	g.mu.Unlock()
	defer a.tasks.Done()
	defer leave()
	begun, set := time.Now(), a.health.Load()
	private := g.tree.Private()
	err := a.Ports.Host.Probe(ctx, cmp.Or(private, a.paths.Socket()), set, set.Timeout)
	if err == nil && private != "" && g.sock == nil { // only a client sees whether the name leads to it
		err = a.Ports.Host.Probe(ctx, a.paths.Socket(), set, set.Timeout)
	}
	if ctx.Err() != nil {
		return
	}
	var verdict *ProbeError
	if errors.As(err, &verdict) && verdict.Ours {
		// Neither good nor bad: our own lack is never the build's fault.
		a.log.Warn("server was not probed", "generation", g.n, "reason", err)
		a.watch(g)
		return
	}
	a.Ports.Reports.Probed(a.name, time.Since(begun), err == nil)
	if err == nil && g.sock != nil && !g.sock.Named() {
		a.post(folderTouched{})
	}
	if err != nil {
		a.post(folderTouched{}) // its name may be what is missing
		a.tell(machine.ProbeFailed{N: g.n, Reason: err.Error()})
	} else {
		a.tell(machine.ProbeOK{N: g.n})
	}
	a.watch(g)
}

// awaitStaged waits, for a limited time, until the static files of a candidate are ready to go live;
// staged is nil if it has none.
func awaitStaged(ctx context.Context, staged <-chan struct{}) {
	if staged == nil {
		return
	}
	timer := time.NewTimer(stageWait)
	defer timer.Stop()
	select {
	case <-staged:
	case <-timer.C: // then they go live later than the release
	case <-ctx.Done():
	}
}
