package supervisor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// startBuild makes a release beside the actor.
func (a *actor) startBuild(e machine.Build) {
	ctx, cancel := context.WithCancel(a.hard)
	entry, begun := a.entry, time.Now()
	point := &commitPoint{cancel: cancel}
	a.commit = point
	request := build.Request{
		Root: a.sup.root, Build: *entry, Force: e.Force,
		Progress: a.built,
		Irreversible: func() {
			if point.reached() {
				a.post(machine.BuildCommitted{Seq: e.Seq})
			}
		},
	}
	a.spawnTask(func(context.Context) {
		defer cancel()
		if !a.sup.settled(ctx) || !a.sup.gate.enter(ctx, a) {
			a.post(machine.BuildFailed{Seq: e.Seq, Cancelled: true})
			return
		}
		defer a.sup.gate.leave(a)
		a.attempts.begin(time.Now())
		release, fresh, err := a.sup.maker.Make(ctx, request)
		reach("after", "the build")
		switch {
		case err == nil && fresh:
			a.log.Info("release built", "release", release.ID, "took", time.Since(begun).Round(time.Millisecond))
			a.ended("built", release.ID, "")
			a.note("built", release.ID, "")
		case err == nil:
			a.ended("unchanged", "", "")
			a.log.Debug("inputs are those of a release that is there", "release", release.ID)
		case ctx.Err() != nil:
			a.ended("cancelled", "", "")
			a.log.Info("build cancelled", "took", time.Since(begun).Round(time.Millisecond))
			a.post(machine.BuildFailed{Seq: e.Seq, Cancelled: true})
			return
		default:
			a.ended("failed", "", err.Error())
			a.buildFailed(err)
			a.note("build_failed", "", err.Error())
			a.post(hookDue{"build_failed", err.Error()})
			a.post(machine.BuildFailed{Seq: e.Seq, Reason: err.Error()})
			return
		}
		a.listReleases()
		a.post(machine.BuildDone{Seq: e.Seq, Release: release.ID, Fresh: fresh})
	})
}

// ended notes how a build went.
func (a *actor) ended(result, release, why string) {
	a.sup.metrics.Built(a.name, result)
	a.attempts.end(result, release, why)
}

// buildFailed logs why, with the last lines of the step's own output.
func (a *actor) buildFailed(err error) {
	args := []any{"error", err}
	var step *build.StepError
	if errors.As(err, &step) {
		args = append(args, "step", step.Step, "log", step.Log)
	}
	a.log.Error("build failed, what served before serves on", args...)
}

// progress is how far a build is, and since when.
type progress struct {
	build.Progress
	at time.Time
}

// took is how long the step has run by now, or ran.
func (p *progress) took() time.Duration {
	if p.Done {
		return p.Elapsed
	}
	return p.Elapsed + time.Since(p.at)
}

// built shows how far a build is.
func (a *actor) built(p build.Progress) {
	a.progress.Store(&progress{p, time.Now()})
	a.attempts.step(p)
	if p.Done {
		reach("after step", p.Step)
	} else {
		reach("before step", p.Step)
	}
	if p.Done && !p.Skipped {
		a.sup.metrics.Step(a.name, p.Step, p.Elapsed)
		a.log.Info("build step done", "step", p.Step, "n", p.N, "of", p.Of, "took", p.Elapsed.Round(time.Millisecond))
	}
	a.wake()
}

func (a *actor) note(event, release, reason string) {
	a.sup.events.add(control.Event{Time: time.Now(), Build: a.name, Event: event, Release: release, Reason: reason})
}

// stopBuild cancels the build that runs, after the grace period. Without one it
// comes too late for a build that has just committed: the machine hears of that
// next and asks again where it still wants to.
func (a *actor) stopBuild(grace time.Duration) {
	if grace <= 0 {
		a.commit.abandon()
		return
	}
	time.AfterFunc(grace, a.commit.cancel) // cancelling one that has ended does nothing
}

// commitPoint decides, once, whether a build is cancelled before it does what
// cannot be undone, or goes on.
type commitPoint struct {
	mu        sync.Mutex
	passed    bool
	abandoned bool
	cancel    context.CancelFunc
}

// reached says whether the build may pass.
func (p *commitPoint) reached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = !p.abandoned
	return p.passed
}

// abandon cancels the build, unless it has passed. It says whether it did.
func (p *commitPoint) abandon() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.passed {
		p.abandoned = true
		p.cancel()
	}
	return !p.passed
}

// prune removes releases that are too old, beside the actor.
func (a *actor) prune() {
	if a.state.Building.Running {
		return // it may be about to answer with an old one
	}
	entry, inUse := a.entry, a.state.InUse()
	for _, g := range a.generations {
		inUse = append(inUse, g.version.Release) // a retiring one still runs from it
	}
	a.spawnTask(func(ctx context.Context) {
		if !a.sup.settled(ctx) {
			return
		}
		reach("before", "releases are pruned")
		a.warn("prune releases", build.Prune(a.sup.root, *entry, inUse...))
		reach("after", "releases are pruned")
		a.listReleases()
	})
}

// releasesListed is the message which releases are kept.
type releasesListed []string

// listReleases refreshes what others see of the release store.
func (a *actor) listReleases() {
	releases, err := build.List(a.sup.root, a.name)
	if err != nil {
		a.warn("list releases", err)
		return
	}
	a.listed(releases)
}

func (a *actor) listed(releases []build.Release) {
	ids := make([]string, len(releases))
	for i, r := range releases {
		ids[i] = r.ID
	}
	a.releases.Store(&ids)
	a.post(releasesListed(ids))
	a.wake()
}
