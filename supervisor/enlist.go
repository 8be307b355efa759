package supervisor

import (
	"context"
	"errors"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// takeUp begins to supervise what cfg says. What an earlier run left comes
// first, all of it: to start what each of a thousand builds has to serve, or to
// look at its inputs, takes longer than to adopt all of them.
func (s *Supervisor) takeUp(cfg *config.Config) {
	s.mu.Lock()
	plan := s.applyShared(cfg)
	for _, b := range cfg.Builds {
		s.enlist(b)
	}
	s.records = nil // old by the time that a build is added
	s.mu.Unlock()
	<-s.takenUp()
	s.handed.drop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyBuilds(cfg, plan)
}

// settled waits until every build was taken up: what can wait for that leaves a
// supervisor of many builds the processor and the disk to come back sooner. False
// is that ctx ended.
func (s *Supervisor) settled(ctx context.Context) bool {
	select {
	case <-s.begun:
		return true
	case <-ctx.Done():
		return false
	}
}

// takenUp answers what is closed when every actor has taken up all it was sent.
func (s *Supervisor) takenUp() <-chan struct{} {
	all := s.all()
	ups := make([]takenUp, len(all))
	for i, a := range all {
		ups[i] = make(takenUp)
		a.post(ups[i])
	}
	done := make(chan struct{})
	s.task(func() {
		defer close(done)
		for i, a := range all {
			select {
			case <-ups[i]:
			case <-a.done:
			}
		}
	})
	return done
}

// enlist makes and starts the actor of a build.
func (s *Supervisor) enlist(b config.Build) *actor {
	a := newActor(s, b.Name, s.hard)
	if err := s.maker.Tidy(s.root, b.Name); err != nil {
		a.log.Warn("leftovers of an earlier run stay", "error", err)
	}
	if err := listener.Tidy(a.dir); err != nil {
		a.log.Warn("socket names of an earlier run stay", "error", err)
	}
	releases, err := build.List(s.root, b.Name)
	if err != nil {
		a.log.Warn("releases of an earlier run cannot be listed", "error", err)
	}
	s.recall(a, releases)
	a.entry = &b
	a.health.Store(&b.Health)
	if err == nil {
		a.listed(releases)
	}
	s.actors[b.Name] = a
	a.post(adopted{s.found[b.Name], s.handed.take(b.Name)})
	delete(s.found, b.Name)
	return a
}

// recall restores what is written of an earlier run. A file that cannot be read
// is kept aside for a look, so that it is not in the way.
func (s *Supervisor) recall(a *actor, releases []build.Release) {
	record, found := s.records[a.name]
	var err error
	if !found {
		record, found, err = s.store.Load(a.name)
	}
	var corrupt *state.CorruptError
	switch {
	case errors.As(err, &corrupt):
		aside, failed := s.store.SetAside(a.name)
		a.warn("set state aside", failed)
		a.log.Error("state of an earlier run is not readable, the build starts without it", "error", err, "kept", aside)
	case err != nil:
		a.log.Error("state of an earlier run cannot be read, the build starts without it", "error", err)
	case found:
		a.restore(record, releases)
		a.missing(record, s.found[a.name])
	}
}
