package build

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// What hangs in a file system cannot be cancelled: a source on a server that is gone, a disk that
// takes nothing. Make waits for it no longer than its context, or step_timeout, says; it ends behind
// Make's back when it can, and until then no other attempt of that build begins.

// hang returns how long an attempt may take to end after it was cancelled: as long as what serves
// has at a stop, but no less than its processes need, which are killed after afterTerm.
func hang(b config.Build) time.Duration {
	return max(b.GracefulTimeout, afterTerm+afterKill+3*time.Second)
}

// overrun is how long after step_timeout, when it was told to end, a step may take to do so.
const overrun = 20 * time.Second

// attempts are the attempts that are running, of each build at most one.
type attempts struct {
	mu      sync.Mutex
	running map[string]<-chan struct{} // by the build's folder; closed when it has ended
}

// begin waits for the attempt before, for which nobody else waits any more, and returns what says
// that this one has ended.
func (a *attempts) begin(ctx context.Context, r Request) (ended func(), err error) {
	key := filepath.Join(r.Root, r.Build.Name)
	limit := time.NewTimer(r.Build.StepTimeout)
	defer limit.Stop()
	for {
		before, ended := a.tryBegin(key)
		if ended != nil {
			return ended, nil
		}
		if r.Progress != nil {
			r.Progress(Progress{Step: "waiting for the attempt before, which does not end: does a file system hang?"})
		}
		select {
		case <-before:
		case <-limit.C:
			return nil, fmt.Errorf("the attempt before does not end, and nothing can end it: does a file system hang, of %s or %s?", r.Build.Source, r.Root)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (a *attempts) tryBegin(key string) (before <-chan struct{}, ended func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if before, ok := a.running[key]; ok {
		return before, nil
	}
	if a.running == nil {
		a.running = map[string]<-chan struct{}{}
	}
	over := make(chan struct{})
	a.running[key] = over
	return nil, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.running, key)
		close(over)
	}
}

// patience is how long an attempt is waited for.
type patience struct {
	limit time.Duration // of a step, with the time it has to end
	lost  chan error    // gets what took longer

	mu   sync.Mutex
	left bool // nobody waits for the attempt any more
}

func patienceFor(b config.Build) *patience {
	return &patience{limit: b.StepTimeout + overrun, lost: make(chan error, 1)}
}

// watch begins to wait for something; done ends that.
func (p *patience) watch(what string) (done func()) {
	if p == nil {
		return func() {} // nobody waits
	}
	timer := time.AfterFunc(p.limit, func() {
		select {
		case p.lost <- fmt.Errorf("%s takes longer than step_timeout, and nothing can end it: does a file system hang?", what):
		default: // something else was lost before
		}
	})
	return func() { timer.Stop() }
}

// leave has nothing of the attempt reach whoever asked for it.
func (p *patience) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = true
}

// unlessLeft calls f unless the attempt was left.
func (p *patience) unlessLeft(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.left {
		f()
	}
}

// request returns r of an attempt that is waited for, with callbacks that are not called once the attempt was left.
func (p *patience) request(r Request) Request {
	r.patience = p
	if say := r.Progress; say != nil {
		r.Progress = func(now Progress) { p.unlessLeft(func() { say(now) }) }
	}
	if remark := r.Remark; remark != nil {
		r.Remark = func(text string) { p.unlessLeft(func() { remark(text) }) }
	}
	if irreversible := r.Irreversible; irreversible != nil {
		r.Irreversible = func() { p.unlessLeft(irreversible) }
	}
	return r
}

// made is what became of an attempt.
type made struct {
	release Release
	fresh   bool
	err     error
}

// Make makes a release of the inputs as they are now. Where a complete release of the very same
// inputs is there it returns that one, not fresh, and runs nothing. A failed step comes back as
// *StepError; one that is Final comes back again, without another attempt, until the inputs change
// or r.Force asks for one. A cancelled ctx comes back as its error, unless the release was complete
// already, and soon, whatever hangs.
func (m *Maker) Make(ctx context.Context, r Request) (rel Release, fresh bool, err error) {
	ended, err := m.attempts.begin(ctx, r)
	if err != nil {
		return Release{}, false, err
	}
	attempt, cancel := context.WithCancel(ctx)
	defer cancel()
	p := patienceFor(r.Build)
	result := make(chan made, 1)
	go func() {
		defer ended()
		var got made
		got.release, got.fresh, got.err = m.makeWhole(attempt, p.request(r))
		result <- got
	}()
	left := hang(r.Build)
	select {
	case got := <-result:
		return got.release, got.fresh, got.err
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-p.lost:
		cancel()
		left = time.Second // it was told to end long ago
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case got := <-result:
		if ctx.Err() == nil && got.err != nil {
			got.err = err // it says more than that the attempt was cancelled
		}
		return got.release, got.fresh, got.err
	case <-timer.C:
	}
	p.leave()
	m.Log.Error("attempt does not end and is left behind: does a file system hang?", "build", r.Build.Name, "source", r.Build.Source)
	return Release{}, false, err
}
