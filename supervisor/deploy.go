package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Deploy reads the file, has a build look at its inputs, and returns when they serve, or with the
// reason why they do not.
func (s *Supervisor) Deploy(ctx context.Context, name string, wait bool, progress func(string)) (control.Deployed, error) {
	var a *actor.Actor
	var entry config.Build
	asked, err := s.world.Host.Now(), error(nil)
	if failed := s.do(ctx, func() {
		// Many builds that are deployed at once have it read once.
		if began := s.world.Host.Now(); !s.read.After(asked) && !s.upgrade.under.Load() {
			_ = s.apply(s.load()) // its error is kept
			s.read = began
		}
		a, entry, err = s.deployable(name)
	}); failed != nil {
		return control.Deployed{}, failed
	}
	if err != nil {
		return control.Deployed{}, err
	}
	failed := s.frontend.front.Failed(name)
	d, err := a.Deploy(ctx, actor.Deploy{Entry: &entry, NoWait: !wait, By: control.Who(ctx)}, progress)
	if !s.saver.Flush(savePatience) {
		s.log.Warn("what was asked for is not written down yet, a supervisor that is killed now forgets it", "build", name, "action", "deploy")
	}
	if now := s.frontend.front.Failed(name); d.Changed && now > failed { // less: the build lost its location meanwhile
		d.Doubts = append(d.Doubts, fmt.Sprintf("requests that the front could not pass on: %d", now-failed))
	}
	return control.Deployed{
		Release: d.Release, From: d.From, Changed: d.Changed, Because: d.Because, Took: d.Took.Seconds(),
		NoneLost: d.Changed && d.From != "" && len(d.Doubts) == 0, Doubts: d.Doubts, Commit: commitOf(a.Commit(d.Release)),
	}, err
}

// deployable returns a build's actor and entry, once its watched files have been read as they are now:
// the watcher, which is about to tell of an edit, finds nothing new then.
func (s *Supervisor) deployable(name string) (*actor.Actor, config.Build, error) {
	f := s.fleet.Load()
	switch {
	case s.upgrade.under.Load():
		return nil, config.Build{}, errUpgrading
	case f.leaving:
		return nil, config.Build{}, errors.New("the supervisor is stopping")
	case f.err != nil:
		return nil, config.Build{}, fmt.Errorf("nothing was deployed, because the file has mistakes:\n%w", f.err)
	}
	b, ok := f.cfg.Build(name)
	a := f.actors[name]
	if !ok || a == nil {
		return nil, config.Build{}, fmt.Errorf("%w: %q is not in %s", control.ErrNoBuild, name, s.Config.Path)
	}
	before := s.inputs[name]
	s.look(b)
	if now := s.inputs[name]; !slices.Equal(before.Files, now.Files) || !slices.Equal(before.Locks, now.Locks) {
		s.watch()
	}
	return a, b, nil
}

// commitOf is a release's commit, as the API shows it.
func commitOf(c *build.Commit) *control.Commit {
	if c == nil {
		return nil
	}
	return &control.Commit{Hash: c.Hash, Branch: c.Branch, Subject: c.Subject, Author: c.Author, Time: c.Time, Changed: c.Changed}
}
