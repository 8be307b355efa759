package supervisor

import (
	"slices"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// attempts is the last build of an actor as it goes. The zero attempts is that
// none was begun in this run.
type attempts struct {
	mu    sync.Mutex
	begun time.Time
	now   *control.BuildResult
	prior *control.BuildResult // what a build that changes nothing leaves as the last
}

func (t *attempts) begin(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prior, t.begun, t.now = t.now, at, &control.BuildResult{Started: at, Result: "running"}
}

// step notes a step that has ended.
func (t *attempts) step(p build.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && p.Done {
		t.now.Steps = append(t.now.Steps, control.StepTook{Step: p.Step, Took: p.Elapsed.Seconds(), Skipped: p.Skipped})
	}
}

// end notes how it went: built, failed or cancelled; "unchanged" made nothing,
// and what was built before is still the last.
func (t *attempts) end(result, release, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return
	}
	if result == "unchanged" {
		t.now = t.prior
		return
	}
	t.now.Result, t.now.Release, t.now.Error = result, release, why
	t.now.Took = time.Since(t.begun).Seconds()
}

// last answers a copy.
func (t *attempts) last() *control.BuildResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return nil
	}
	b := *t.now
	b.Steps = slices.Clone(b.Steps)
	if b.Result == "running" {
		b.Took = time.Since(t.begun).Seconds()
	}
	return &b
}
