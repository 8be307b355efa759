package actor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// attempt is the making of a release: the one under way, or else the last one. The zero attempt
// means that none was begun in this run.
type attempt struct {
	point    *commitPoint // of the one under way
	environ  environID    // of its steps
	progress atomic.Pointer[Progress]

	mu      sync.Mutex
	now     *Attempt
	prior   *Attempt // stays the last attempt if this one changes nothing
	remarks []string // of the one under way, or else the last one
}

// The values of Attempt.Result.
const (
	AttemptRunning   = "running"
	AttemptBuilt     = "built"
	AttemptFailed    = "failed"
	AttemptCancelled = "cancelled"

	attemptUnchanged = "unchanged" // it made nothing, and nobody is told of it
)

// Attempt is how the making of a release went, or goes.
type Attempt struct {
	Started time.Time
	Took    time.Duration
	Result  string // AttemptRunning and so on
	Release string // "": it made none, or has not yet
	Error   string
	Step    string // that was begun last
	Steps   []build.StepTime
	Because []string // what had changed; nil: not known yet
	begun   []string // its steps, in words, as they began
}

// Progress is how far an attempt has come, and since when.
type Progress struct {
	build.Progress
	At time.Time
}

// Took is how long the step has been running, or ran.
func (p *Progress) Took() time.Duration {
	if p.Done {
		return p.Elapsed
	}
	return p.Elapsed + time.Since(p.At)
}

// Progress returns how far the attempt under way has come; nil if there is none.
func (a *Actor) Progress() *Progress { return a.attempt.progress.Load() }

// LastAttempt returns how the last attempt of this run went, or goes; nil if there was none.
func (a *Actor) LastAttempt() *Attempt { return a.attempt.last() }

// Remarks returns what people should know of the last attempt although it may have made a release.
func (a *Actor) Remarks() []string {
	a.attempt.mu.Lock()
	defer a.attempt.mu.Unlock()
	return slices.Clone(a.attempt.remarks)
}

func (t *attempt) begin(at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prior, t.now, t.remarks = t.now, &Attempt{Started: at, Result: AttemptRunning}, nil
}

// because records what had changed.
func (t *attempt) because(what []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil {
		t.now.Because = slices.Clone(what)
	}
}

// step records a step that has begun or ended.
func (t *attempt) step(p build.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && !p.Done && p.Of > 0 {
		t.now.Step, t.now.begun = p.Step, append(t.now.begun, stepWords(p))
	}
	if t.now != nil && p.Done {
		t.now.Steps = append(t.now.Steps, build.StepTime{Name: p.Step, Took: p.Elapsed, Skipped: p.Skipped})
	}
}

// stepWords says which step an attempt is at.
func stepWords(p build.Progress) string {
	return fmt.Sprintf("step %d of %d: %s", p.N, p.Of, p.Step)
}

// remark records what people should know of it. It reports whether the attempt had not said so yet.
func (t *attempt) remark(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.remarks, text) {
		return false
	}
	t.remarks = append(t.remarks, text)
	return true
}

// end records how it went. An unchanged attempt made nothing, so the one before it is still the last.
func (t *attempt) end(result, release, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return
	}
	if result == attemptUnchanged {
		t.now = t.prior
		return
	}
	t.now.Result, t.now.Release, t.now.Error = result, release, why
	t.now.Took = time.Since(t.now.Started)
}

// last returns a copy.
func (t *attempt) last() *Attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return nil
	}
	b := *t.now
	b.Steps, b.begun = slices.Clone(b.Steps), slices.Clone(b.begun)
	if b.Result == AttemptRunning {
		b.Took = time.Since(b.Started)
	}
	return &b
}

// cancel cancels the attempt under way, after the grace period. Without one it comes too late for
// an attempt that has just begun a step that cannot be undone: the machine is told so next, and
// cancels again if it still wants to.
func (t *attempt) cancel(grace time.Duration) {
	if grace <= 0 {
		t.point.abandon()
		return
	}
	t.point.cancelAfter(grace)
}

// startAttempt makes a release concurrently.
func (a *Actor) startAttempt(e machine.Build) {
	ctx, cancel := context.WithCancel(a.Hard)
	point := &commitPoint{cancel: cancel}
	a.attempt.point = point
	a.attempt.environ = idOf(a.launches.environ(a.state.RunKey, nil))
	request := build.Request{
		Root: string(a.Root), Build: *a.entry, Force: e.Force, Fresh: e.Fresh, By: a.asked.by,
		Progress: a.progressed,
		Because: func(what []string) {
			a.log.Info("build begins", "because", strings.Join(what, ", "))
			a.attempt.because(what)
			a.shown.wake()
		},
		Remark: func(text string) {
			if a.attempt.remark(text) {
				a.log.Warn("build goes on", "remark", text)
				a.shown.wake()
			}
		},
		Irreversible: func() {
			if point.reached() {
				a.tell(machine.BuildCommitted{Seq: e.Seq})
			}
		},
	}
	a.task(func(context.Context) {
		defer point.over()
		// Here and not below, where the stack would be larger: of a thousand builds all wait at a start.
		if !a.begun(ctx) || !a.Gate.enter(ctx, a) {
			a.tell(machine.BuildFailed{Seq: e.Seq, Cancelled: true})
			return
		}
		defer a.Gate.leave(a)
		a.make(ctx, e, &request)
	})
}

// make makes a release and says how it went.
func (a *Actor) make(ctx context.Context, e machine.Build, request *build.Request) {
	begun := time.Now()
	a.attempt.begin(time.Now())
	release, fresh, err := a.Ports.Releases.Make(ctx, *request)
	a.Reach("after", "the build")
	took := time.Since(begun).Round(time.Millisecond)
	switch {
	case err == nil && fresh:
		a.log.Info("release built", "release", release.ID, "took", took)
		a.ended(AttemptBuilt, release.ID, "")
		a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(machine.EventBuilt), Release: release.ID,
			Reason: because(release.Because), By: request.By})
	case err == nil:
		a.ended(attemptUnchanged, "", "")
		a.log.Debug("inputs are those of an existing release", "release", release.ID)
	case ctx.Err() != nil:
		a.ended(AttemptCancelled, "", "")
		a.log.Info("build cancelled", "took", took)
		a.tell(machine.BuildFailed{Seq: e.Seq, Cancelled: true})
		return
	default:
		a.countStepKills(err)
		a.ended(AttemptFailed, "", err.Error())
		a.logFailed(err)
		var step *build.StepError
		final := errors.As(err, &step) && step.Final
		a.tell(machine.BuildFailed{Seq: e.Seq, Reason: err.Error(), Final: final})
		return
	}
	a.listReleases()
	a.tell(machine.BuildDone{Seq: e.Seq, Release: release.ID, Fresh: fresh})
}

// because is why a release was made, in a sentence.
func because(what []string) string {
	if len(what) == 0 {
		return ""
	}
	return "because: " + strings.Join(what, ", ") // onlookers see what is before the colon
}

// ended records how an attempt went.
func (a *Actor) ended(result, release, why string) {
	a.Ports.Reports.Built(a.name, result)
	a.attempt.end(result, release, why)
}

// attemptFailed tells people why, and when it is repeated.
func (a *Actor) attemptFailed(e machine.BuildFailed) {
	if e.Cancelled {
		return
	}
	why := e.Reason
	if a.state.BuildErr == why {
		why = a.state.BuildErrAt(time.Now())
	}
	a.event(machine.EventBuildFailed, "", why)
	a.callHook(machine.Note{Event: machine.EventBuildFailed, Reason: why, Times: a.state.BuildTry})
}

// logFailed logs why, with the step and where its output is.
func (a *Actor) logFailed(err error) {
	args := []any{"error", err}
	var step *build.StepError
	if errors.As(err, &step) {
		args = append(args, "step", step.Step, "log", step.Log)
	}
	a.log.Error("build failed, what served before keeps serving", args...)
}

// progressed shows how far an attempt has come.
func (a *Actor) progressed(p build.Progress) {
	a.attempt.progress.Store(&Progress{p, time.Now()})
	a.attempt.step(p)
	if p.Done {
		a.Reach("after step", p.Step)
	} else {
		a.Reach("before step", p.Step)
	}
	if p.Done && !p.Skipped {
		a.Ports.Reports.Step(a.name, p.Step, p.Elapsed)
		a.log.Info("build step done", "step", p.Step, "n", p.N, "of", p.Of, "took", p.Elapsed.Round(time.Millisecond))
	}
	a.shown.wake()
}

// commitPoint decides, once, whether an attempt is cancelled before it does what cannot be undone,
// or goes on.
type commitPoint struct {
	mu        sync.Mutex
	passed    bool
	abandoned bool
	cancel    context.CancelFunc
	later     *time.Timer // cancels it
}

// reached reports whether the attempt may go past the point.
func (p *commitPoint) reached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = !p.abandoned
	return p.passed
}

// abandon cancels the attempt unless it has passed the point, and reports whether it did.
func (p *commitPoint) abandon() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.passed {
		p.abandoned = true
		p.cancel()
	}
	return !p.passed
}

// cancelAfter cancels the attempt after d if it is still under way then.
func (p *commitPoint) cancelAfter(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.later == nil {
		p.later = time.AfterFunc(d, p.cancel)
	}
}

// over tells p that the attempt has ended.
func (p *commitPoint) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel()
	if p.later != nil {
		p.later.Stop()
	}
	p.cancel, p.later = func() {}, nil // what it would keep
}

// prune removes releases that are too old, concurrently.
func (a *Actor) prune() {
	if a.state.Building.Running {
		return // it may be about to return an old one
	}
	entry, inUse := a.entry, a.state.InUse()
	inUse = append(inUse, a.running()...)
	own := a.owning(a.running()...)
	a.task(func(ctx context.Context) {
		if !a.begun(ctx) {
			return
		}
		own(ctx)
		a.Reach("before", "releases are pruned")
		a.warn("prune releases", a.Ports.Releases.Prune(entry, inUse...))
		a.Reach("after", "releases are pruned")
		a.listReleases()
	})
}

// running are the releases that processes run from, also such as drain.
func (a *Actor) running() []string {
	var all []string
	for _, g := range a.generations {
		all = append(all, g.version.Release)
	}
	for _, left := range a.leftovers {
		if left.release != "" {
			all = append(all, left.release)
		}
	}
	for _, t := range a.oneOffs {
		if t.left() && t.Release != "" {
			all = append(all, t.Release)
		}
	}
	return all
}

// owning returns what gives the build's files to whom the serving generation runs as, but not the
// releases of except: after a change of user that took over, or that did not.
func (a *Actor) owning(except ...string) func(ctx context.Context) {
	g, ok := a.generations[a.state.Serving.N]
	if !ok || g.recipe == nil { // nothing serves, or an earlier run has started it
		return func(context.Context) {}
	}
	as := g.recipe.Owner
	if as.UID < 0 && as.GID < 0 {
		return func(context.Context) {} // ourselves, who may use it all
	}
	return func(ctx context.Context) {
		a.warn("change the owner", a.Ports.Releases.Own(ctx, a.name, as, except...))
	}
}

// listReleases refreshes what others see of the releases.
func (a *Actor) listReleases() {
	releases, err := a.Ports.Releases.List(a.name)
	if err != nil {
		a.warn("list releases", err)
		return
	}
	a.listed(releases)
}

func (a *Actor) listed(releases []build.Release) {
	ids, commits := make([]string, len(releases)), map[string]*build.Commit{}
	for i, r := range releases {
		ids[i] = r.ID
		if r.Commit != nil {
			commits[r.ID] = r.Commit
		}
	}
	a.shown.releases.Store(&ids)
	a.shown.commits.Store(&commits)
	a.post(releasesListed(ids))
	a.shown.wake()
}
