package world

import (
	"os"
	"sync"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// boxes confines servers, whose start in place of one that crashed clients wait for. After each start
// it prepares the next one of the build.
type boxes struct {
	spares *sandbox.Spares
	work   sync.WaitGroup

	mu     sync.Mutex
	next   []preparation
	closed bool
}

// preparation is what is still to be prepared. A build is known by its folder, a start by its mark.
type preparation struct {
	build, mark string
	policy      sandbox.Policy
}

func newBoxes() *boxes { return &boxes{spares: sandbox.NewSpares()} }

// confine puts a server into a box, as confine does a command. done is called when it was started, or
// could not be, in which case child is nil; it returns what is to be called when its tree has ended.
func (x *boxes) confine(spec *process.Spec, b *build.Box, log *os.File) (done func(child *process.Child) (ended func()), err error) {
	nothing := func() {}
	if b == nil {
		return func(*process.Child) func() { return nothing }, nil
	}
	policy, err := policyOf(spec, b, log)
	if err != nil {
		return nil, err
	}
	one := preparation{b.Run, spec.Mark, policy}
	ruleset, err := x.spares.Ruleset(one.build, policy)
	if err != nil {
		return nil, boxError(err)
	}
	enclose(spec, policy, ruleset)
	return func(child *process.Child) func() {
		ruleset.Close() // nothing was written
		if child == nil {
			return nothing
		}
		x.spares.Expect(one.build, one.mark)
		x.prepare(one)
		return func() { x.spares.Ended(one.build, one.mark) }
	}, nil
}

// prepare has it prepared, by one goroutine for all builds.
func (x *boxes) prepare(one preparation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	if x.next = append(x.next, one); len(x.next) == 1 {
		x.work.Go(x.prepareAll)
	}
}

func (x *boxes) prepareAll() {
	for {
		x.mu.Lock()
		one := x.next[0] // it stays until it is done: it says that somebody is at work
		x.mu.Unlock()
		// Where it cannot be made the next start makes its own, or says why it cannot.
		_ = x.spares.Prepare(one.build, one.mark, one.policy)
		x.mu.Lock()
		x.next = x.next[1:]
		done := len(x.next) == 0
		x.mu.Unlock()
		if done {
			return
		}
	}
}

// close waits for what is being prepared, and prepares nothing more.
func (x *boxes) close() {
	x.mu.Lock()
	x.closed, x.next = true, x.next[:min(len(x.next), 1)]
	x.mu.Unlock()
	x.work.Wait()
	x.spares.Close()
}
