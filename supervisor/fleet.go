package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// fleet is the applied file and the actors that run its builds: the facts of one moment, which are
// never changed. The supervisor's own goroutine publishes a new one with each change; any goroutine
// may read it without waiting.
type fleet struct {
	cfg     *config.Config // the one that is applied
	loaded  time.Time
	err     error // why the file as it is now is not applied; nil if it is
	actors  map[string]*actor.Actor
	leaving bool // the supervisor is to stop
}

// publish makes a changed copy of the fleet visible to others. Only the supervisor's own goroutine
// calls it.
func (s *Supervisor) publish(change func(*fleet)) {
	next := *s.fleet.Load()
	change(&next)
	s.fleet.Store(&next)
	select {
	case s.listed <- struct{}{}:
	default: // it is to be looked at anyway
	}
}

// with returns the actors and a.
func (f *fleet) with(a *actor.Actor) map[string]*actor.Actor {
	actors := maps.Clone(f.actors)
	actors[a.Name()] = a
	return actors
}

// without returns the actors except that of one build.
func (f *fleet) without(name string) map[string]*actor.Actor {
	actors := maps.Clone(f.actors)
	delete(actors, name)
	return actors
}

// all returns the actors in the order of the file; those of builds that are no longer in it come
// last.
func (f *fleet) all() []*actor.Actor {
	all := make([]*actor.Actor, 0, len(f.actors))
	seen := make(map[string]bool, len(f.actors))
	for _, b := range f.cfg.Builds {
		if a, ok := f.actors[b.Name]; ok {
			all, seen[b.Name] = append(all, a), true
		}
	}
	if len(all) == len(f.actors) {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(f.actors)) {
		if !seen[name] {
			all = append(all, f.actors[name])
		}
	}
	return all
}

// find returns the actor of a build.
func (s *Supervisor) find(name string) (*actor.Actor, error) {
	f := s.fleet.Load()
	if a, ok := f.actors[name]; ok {
		return a, nil
	}
	if _, ok := f.cfg.Build(name); ok && f.leaving {
		return nil, errors.New("the supervisor is stopping, and the build has ended")
	}
	return nil, fmt.Errorf("%w: %q is not in %s", control.ErrNoBuild, name, s.Config.Path)
}

// summary returns the state of all builds in one line: "3 builds: 1 failed, 2 running".
func (s *Supervisor) summary() string {
	f := s.fleet.Load()
	count := map[string]int{}
	for _, a := range f.actors {
		count[string(a.View().State.Phase())]++
	}
	var parts []string
	for _, phase := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[phase], phase))
	}
	line := fmt.Sprintf("%d builds: %s", len(f.actors), strings.Join(parts, ", "))
	switch len(f.actors) {
	case 0:
		line = "no builds"
	case 1:
		line = "1 build: " + parts[0][len("1 "):]
	}
	if f.err != nil {
		line += "; the file has a mistake and is not applied"
	}
	return line
}
