package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// Reload is SIGHUP with a result: what changes, or why nothing changes. What follows from the builds'
// inputs is found out before anything is applied, which would begin to change it.
func (s *Supervisor) Reload(ctx context.Context, dryRun bool) (changes []string, err error) {
	if !dryRun {
		s.asked(ctx, "reload")
	}
	var next *config.Config
	var before *fleet
	if failed := s.do(ctx, func() { next, err = s.load(); before = s.fleet.Load() }); failed != nil {
		return nil, failed
	}
	if err == nil {
		changes = s.changes(ctx, before, next)
	}
	if dryRun {
		return changes, err
	}
	if failed := s.do(ctx, func() { err = s.reload(next, err) }); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, err
	}
	return changes, nil
}

// asked records what a person asks of the supervisor itself.
func (s *Supervisor) asked(ctx context.Context, what string) {
	s.reports.Event(actor.Event{Time: s.world.Host.Now(), Event: string(machine.EventAsked), Reason: what, By: control.Who(ctx)})
}

// reload applies the file as it was read, and has every build look at its inputs. A file that is bad,
// or that cannot be applied while running, which is wrong, changes nothing.
func (s *Supervisor) reload(next *config.Config, wrong error) error {
	if s.upgrade.under.Load() {
		return errUpgrading
	}
	if err := s.apply(next, wrong); err != nil {
		return err
	}
	for _, a := range s.fleet.Load().all() {
		a.InputsChanged()
	}
	return nil
}

// load reads the file.
func (s *Supervisor) load() (*config.Config, error) {
	next, err := s.world.Files.Load(s.Config.Path)
	if err == nil && next.Root != s.Config.Root {
		err = fmt.Errorf("%s: root changed from %s to %s: stop and start the supervisor to move it; nothing was changed", next.Path, s.Config.Root, next.Root)
	}
	return next.On(s.Host), err
}

// apply makes the running builds follow next, touching only what differs. wrong is why next cannot
// be applied: then only what `status` reports changes.
func (s *Supervisor) apply(next *config.Config, wrong error) error {
	s.publish(func(f *fleet) { f.err = wrong })
	s.phaseChanged() // the status line tells of it
	if wrong != nil {
		s.watch()
		return wrong
	}
	f := s.fleet.Load()
	plan := config.Diff(f.cfg, next)
	if !f.leaving {
		s.applyShared(next)
		s.applyBuilds(next, plan)
	}
	if !plan.Empty() {
		s.log.Info("changes of the file are applied", "changes", strings.Join(strings.Split(strings.TrimSpace(plan.String()), "\n"), "; "))
	}
	return nil
}

// touched checks what the watcher reported; the contents decide.
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
		if !slices.Equal(before.Files, s.inputs[id].Files) || !slices.Equal(before.Locks, s.inputs[id].Locks) {
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
	if err != nil && f.err != nil && err.Error() == f.err.Error() { // reported before
		s.publish(func(f *fleet) { f.err = err })
		s.watch() // what the file includes may be something else now
		return
	}
	if err := s.apply(next, err); err != nil {
		s.log.Error("edited file is not applied, everything keeps running as before", "error", err)
		return
	}
	s.log.Info("edited file is applied", "path", s.Config.Path)
}

// applyShared makes what the builds share follow cfg.
func (s *Supervisor) applyShared(cfg *config.Config) {
	s.publish(func(f *fleet) { f.cfg, f.loaded = cfg, s.world.Host.Now() })
	s.saver.Keep(cfg)
	s.log.SetLevel(hclog.LevelFromString(cfg.Supervisor.LogLevel))
	s.world.Releases.SetParallel(cfg.Supervisor.MaxParallelBuilds)
	s.world.Releases.SetCollectors(collectors(cfg))
	s.logs.Store(cfg.Supervisor.LogDir)
	if err := s.world.Files.MakeFolder(cfg.Supervisor.LogDir, logFolderMode); err != nil {
		s.log.Error("log folder cannot be made, what servers print is lost", "error", err)
	}
	s.frontend.apply(cfg)
	if err := s.world.Control.SetReaders(cfg.Supervisor.ControlGroup); err != nil {
		s.log.Error("members of the group cannot look", "error", err)
	}
	if err := s.world.Program.Room(descriptorsEach*len(cfg.Builds) + descriptorsOfProcess*cfg.Instances()); err != nil {
		s.log.Debug("room for descriptors cannot be made at once", "error", err)
	}
	for _, missing := range cfg.MissingPassed(s.Environ) {
		s.log.Warn("variables of pass_env are not in the supervisor's environment", "build", missing.Build, "names", missing.Names)
	}
}

// collectors returns the names of the builds that collect static files.
func collectors(cfg *config.Config) []string {
	var all []string
	for _, b := range cfg.Builds {
		if b.CollectStatic {
			all = append(all, b.Name)
		}
	}
	return all
}

// logFolderMode is the mode of the folder of the builds' logs.
const logFolderMode = 0o750

// descriptorsEach is how many descriptors a serving build needs: a pidfd, two for its listener, and
// one for concurrent work.
const descriptorsEach = 4

// descriptorsOfProcess is how many an instance of a process needs: a pidfd, and what it prints to.
const descriptorsOfProcess = 2

// applyBuilds carries out a plan. Only the builds it names look at their inputs.
func (s *Supervisor) applyBuilds(cfg *config.Config, plan config.Plan) {
	for _, name := range plan.Removed {
		if a, ok := s.fleet.Load().actors[name]; ok {
			a.Remove()
		}
		delete(s.inputs, name)
	}
	if len(plan.Added) == len(cfg.Builds) { // at a start no entry is kept twice
		for i := range cfg.Builds {
			s.configure(&cfg.Builds[i], true)
		}
		s.watch()
		return
	}
	for _, name := range plan.Added {
		b, _ := cfg.Build(name)
		s.configure(&b, true)
	}
	for _, change := range plan.Changed { // a copy: an actor that points into the file would keep all of it
		b, _ := cfg.Build(change.Name)
		s.configure(&b, change.Cost == config.CostRebuild)
	}
	s.watch()
}

// configure passes a build's entry to its actor, making the actor if there is none. The entry does not
// change any more.
func (s *Supervisor) configure(b *config.Build, rebuild bool) {
	before, known := s.inputs[b.Name]
	s.look(*b)
	a, ok := s.fleet.Load().actors[b.Name]
	if !ok {
		a = s.enlist(b, nil)
	}
	a.Configure(b, rebuild)
	if known && s.inputs[b.Name].Hash != before.Hash {
		a.InputsChanged() // the watcher, which is about to tell, finds nothing new then
	}
}

// look reads the watched files of a build as they are now.
func (s *Supervisor) look(b config.Build) { s.inputs[b.Name] = s.world.Files.Inputs(b) }

// retired removes an actor that has ended from the fleet. If its build has come back to the file in
// the meantime, a new actor takes its place.
func (s *Supervisor) retired(a *actor.Actor) {
	select {
	case s.requests <- func() {
		s.publish(func(f *fleet) { f.actors = f.without(a.Name()) })
		s.reports.forget(a.Name())
		f := s.fleet.Load()
		if b, ok := f.cfg.Build(a.Name()); ok && !f.leaving {
			s.configure(&b, false)
			s.watch()
		}
	}:
	case <-s.ended:
	}
}

// watch watches the file with those that it includes, and what goes into each build. If the file cannot
// be applied, it also watches what it includes as it is now, and the missing or bad files that it names:
// once they are fixed, the file may be good.
func (s *Supervisor) watch() {
	f := s.fleet.Load()
	targets := []watch.Target{{Files: []string{f.cfg.Path}, Globs: f.cfg.Include}}
	for _, b := range f.cfg.Builds {
		name := b.Name // the functions below would keep all of b
		t := watch.Target{
			ID: name, Files: s.inputs[name].Files, Locks: s.inputs[name].Locks,
			Making:   func() bool { return s.making(name) },
			Restless: func(paths []string) { s.sourceRestless(name, paths) },
		}
		if b.WatchSource {
			t.Trees = []string{b.Source}
		}
		targets = append(targets, t)
	}
	var errs config.Errors
	if errors.As(f.err, &errs) {
		targets = append(targets, watch.Target{Files: errs.About(), Globs: s.world.Files.Includes(f.cfg.Path)})
	}
	s.world.Watcher.Set(targets)
}
