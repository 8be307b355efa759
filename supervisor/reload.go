package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
)

// Reload is SIGHUP with a result: what changes, or why nothing does.
func (s *Supervisor) Reload(ctx context.Context, dryRun bool) (changes []string, err error) {
	if failed := s.do(ctx, func() { changes, err = s.reload(dryRun) }); failed != nil {
		return nil, failed
	}
	return changes, err
}

// reload reads the file again and applies what changed, in it and in the builds' inputs; dry only
// says what would change. A file that is bad, or that cannot be applied while running, changes
// nothing.
func (s *Supervisor) reload(dry bool) ([]string, error) {
	if s.upgrade.under.Load() {
		return nil, errUpgrading
	}
	next, err := s.load()
	if dry {
		if err != nil {
			return nil, err
		}
		return lines(config.Diff(s.fleet.Load().cfg, next).String()), nil
	}
	changes, err := s.apply(next, err)
	if err != nil {
		return nil, err
	}
	for _, a := range s.fleet.Load().all() {
		a.InputsChanged()
	}
	return changes, nil
}

// load reads the file.
func (s *Supervisor) load() (*config.Config, error) {
	next, err := s.world.Files.Load(s.Config.Path)
	if err == nil && next.Root != s.Config.Root {
		err = fmt.Errorf("%s: root changed from %s to %s: stop and start the supervisor to move it; nothing was changed", next.Path, s.Config.Root, next.Root)
	}
	return next, err
}

// apply makes what runs follow next, touching only what differs, and returns what that was. wrong
// is why next cannot be applied: then nothing changes but what `status` says.
func (s *Supervisor) apply(next *config.Config, wrong error) ([]string, error) {
	s.publish(func(f *fleet) { f.err = wrong })
	if wrong != nil {
		s.watch()
		return nil, wrong
	}
	f := s.fleet.Load()
	plan := config.Diff(f.cfg, next)
	if !f.leaving {
		s.applyShared(next)
		s.applyBuilds(next, plan)
	}
	return lines(plan.String()), nil
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// touched looks at what the watcher saw; what the contents say decides.
func (s *Supervisor) touched(ids []string) {
	if len(ids) == 0 || s.upgrade.misses(ids) {
		return
	}
	for _, id := range ids {
		if id == "" {
			s.fileTouched()
			continue
		}
		f := s.fleet.Load()
		b, ok := f.cfg.Build(id)
		a := f.actors[id]
		if !ok || a == nil {
			continue
		}
		before := s.inputs[id]
		s.look(b)
		if !slices.Equal(before.Files, s.inputs[id].Files) {
			s.watch()
		}
		if s.inputs[id].Hash == before.Hash && !b.WatchSource {
			continue
		}
		s.log.Info("inputs changed", "build", id)
		a.Configure(&b, false) // its env_file may be what changed
		a.InputsChanged()
	}
}

// fileTouched applies an edit of the file.
func (s *Supervisor) fileTouched() {
	f := s.fleet.Load()
	if f.leaving {
		return
	}
	next, err := s.load()
	if err == nil && next.Sum == f.cfg.Sum && f.err == nil {
		return
	}
	if err != nil && f.err != nil && err.Error() == f.err.Error() {
		return // said before
	}
	if _, err := s.apply(next, err); err != nil {
		s.log.Error("edited file is not applied, what ran before runs on", "error", err)
		return
	}
	s.log.Info("edited file is applied", "path", s.Config.Path)
}

// applyShared makes what the builds share follow cfg.
func (s *Supervisor) applyShared(cfg *config.Config) {
	s.publish(func(f *fleet) { f.cfg, f.loaded = cfg, time.Now() })
	s.log.SetLevel(hclog.LevelFromString(cfg.Supervisor.LogLevel))
	s.world.Releases.SetParallel(cfg.Supervisor.MaxParallelBuilds)
	s.logs.Store(cfg.Supervisor.LogDir)
	if err := s.world.Files.MakeFolder(cfg.Supervisor.LogDir, 0o750); err != nil {
		s.log.Error("log folder cannot be made, builds cannot start", "error", err)
	}
	s.frontend.apply(cfg)
	if err := s.world.Program.Room(descriptorsEach * len(cfg.Builds)); err != nil {
		s.log.Debug("descriptors are opened one after the other", "error", err)
	}
}

// descriptorsEach is how many a build that serves needs: a pidfd and two of its listener, and one
// for what goes on concurrently.
const descriptorsEach = 4

// applyBuilds carries out a plan. Only the builds it names look at their inputs.
func (s *Supervisor) applyBuilds(cfg *config.Config, plan config.Plan) {
	for _, name := range plan.Removed {
		if a, ok := s.fleet.Load().actors[name]; ok {
			a.Remove()
		}
		delete(s.inputs, name)
	}
	for _, name := range plan.Added {
		b, _ := cfg.Build(name)
		s.configure(b, true)
	}
	for _, change := range plan.Changed {
		b, _ := cfg.Build(change.Name)
		s.configure(b, change.Cost == config.CostRebuild)
	}
	s.watch()
}

// configure brings a build's entry to its actor, which is made where there is none.
func (s *Supervisor) configure(b config.Build, rebuild bool) {
	before := s.inputs[b.Name]
	s.look(b)
	a, ok := s.fleet.Load().actors[b.Name]
	if !ok {
		a = s.enlist(b, nil)
	}
	// Its requirements may read a variable of env that was edited.
	a.Configure(&b, rebuild || ok && s.inputs[b.Name].Hash != before.Hash)
}

// look reads what the watched files of a build are now.
func (s *Supervisor) look(b config.Build) { s.inputs[b.Name] = s.world.Files.Inputs(b) }

// retired takes an actor that has ended off the list. Where its build has come back to the file
// meanwhile, a new one takes its place.
func (s *Supervisor) retired(a *actor.Actor) {
	select {
	case s.requests <- func() {
		s.publish(func(f *fleet) { f.actors = f.without(a.Name()) })
		s.reports.forget(a.Name())
		f := s.fleet.Load()
		if b, ok := f.cfg.Build(a.Name()); ok && !f.leaving {
			s.configure(b, false)
			s.watch()
		}
	}:
	case <-s.ended:
	}
}

// watch watches the file, and what goes into each build. Where the file cannot be applied, what it
// names and is not there, or is bad, is watched as well: when it comes, the file is good.
func (s *Supervisor) watch() {
	f := s.fleet.Load()
	targets := []watch.Target{{Files: []string{f.cfg.Path}}}
	for _, b := range f.cfg.Builds {
		t := watch.Target{ID: b.Name, Files: s.inputs[b.Name].Files}
		if b.WatchSource {
			t.Trees = []string{b.Source}
		}
		targets = append(targets, t)
	}
	var errs config.Errors
	if errors.As(f.err, &errs) {
		targets = append(targets, watch.Target{Files: errs.About()})
	}
	s.world.Watcher.Set(targets)
}
