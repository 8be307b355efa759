// Package saver writes down what must outlive the supervisor, so that nobody else waits for the disk.
package saver

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Saver writes down what must outlive the supervisor. Only its own goroutine waits for the disk,
// which may be slow, full or hang: neither a restart after a crash nor a signal or an edit does. A
// child whose record is not written yet is found again by its mark.
type Saver struct {
	store  world.Store
	files  world.Files
	log    hclog.Logger
	reach  func(when string, what any)
	wake   chan struct{}
	wanted chan chan<- bool // for those who wait until everything is written
	ended  chan struct{}    // closed when Run has returned

	mu      sync.Mutex
	pending map[string]*state.Record // nil: delete
	last    map[string]*state.Record // as noted last; never changed in place
	applied *config.Config           // to be kept for a start at which the file is bad; nil: it is kept

	troubles map[string]string // why the record of a build, or the copy, is not written; only for Run
}

// copyOfFile stands for the copy of the file among the names of builds.
const copyOfFile = "the file"

// saveRetry is how long the saver does not try again what could not be written (disk full). Nothing else
// makes it try: an attempt touches the folder, and whoever watches that asks for another one.
const saveRetry = 2 * time.Second

// New returns a Saver that is to be run. It calls reach before and after each write.
func New(store world.Store, files world.Files, log hclog.Logger, reach func(when string, what any)) *Saver {
	return &Saver{
		store: store, files: files, log: log, reach: reach,
		wake: make(chan struct{}, 1), wanted: make(chan chan<- bool), ended: make(chan struct{}),
		pending: map[string]*state.Record{}, last: map[string]*state.Record{}, troubles: map[string]string{},
	}
}

// Save takes what is to be written of a build (actor.Records).
func (s *Saver) Save(name string, r *state.Record) {
	s.mu.Lock()
	s.pending[name] = r
	if s.last[name] = r; r == nil {
		delete(s.last, name)
	}
	s.mu.Unlock()
	s.wakeUp()
}

// Keep takes a configuration of which a copy is to be kept.
func (s *Saver) Keep(cfg *config.Config) {
	s.mu.Lock()
	s.applied = cfg
	s.mu.Unlock()
	s.wakeUp()
}

// Restore has every record written again that somebody has removed or changed since.
func (s *Saver) Restore() {
	s.mu.Lock()
	all := maps.Clone(s.last)
	s.mu.Unlock()
	for name, r := range all {
		if s.store.Intact(name) {
			continue
		}
		s.mu.Lock()
		if _, newer := s.pending[name]; !newer && s.last[name] == r {
			s.pending[name] = r
		}
		s.mu.Unlock()
	}
	s.wakeUp()
}

// saveRest is how long the saver waits for more to come, which is written at once: a step of a build
// is seldom alone.
const saveRest = time.Millisecond

// Run writes until ctx ends and everything is written, or cannot be.
func (s *Saver) Run(ctx context.Context) {
	defer close(s.ended)
	again, rest := time.NewTimer(0), time.NewTimer(0)
	again.Stop()
	rest.Stop()
	for waiting := false; ctx.Err() == nil; {
		var results []chan<- bool
		all := false
		select {
		case <-s.wake:
		case <-again.C:
			waiting, all = false, true
		case result := <-s.wanted:
			results = append(results, result)
		case <-ctx.Done():
		}
		rest.Reset(saveRest)
		for resting := true; resting; {
			select {
			case result := <-s.wanted:
				results = append(results, result)
			case <-rest.C:
				resting = false
			}
		}
		written := s.write(all || len(results) > 0)
		for _, result := range results {
			result <- written // has room
		}
		if len(s.troubles) > 0 && !waiting {
			again.Reset(saveRetry)
			waiting = true
		}
	}
	s.Restore() // once more, nobody looks after them any longer
	s.write(true)
}

func (s *Saver) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Flush waits until everything noted before the call is written (actor.Records). It returns false if something
// cannot be written, or is not within the limit.
func (s *Saver) Flush(limit time.Duration) bool {
	late := time.NewTimer(limit)
	defer late.Stop()
	result := make(chan bool, 1)
	select {
	case s.wanted <- result:
	case <-s.ended:
		return s.idle()
	case <-late.C:
		return false
	}
	select {
	case written := <-result:
		return written
	case <-late.C:
		return false
	}
}

// idle reports whether nothing is to be written.
func (s *Saver) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending) == 0
}

// write writes what is pending and reports whether all of it was written. What could not be written
// the last time is left out unless all is to be tried.
func (s *Saver) write(all bool) bool {
	s.mu.Lock()
	todo, applied := s.pending, s.applied
	s.pending, s.applied = map[string]*state.Record{}, nil
	for name := range s.troubles {
		if all {
			break
		}
		if r, there := todo[name]; there {
			s.pending[name] = r
			delete(todo, name)
		}
		if name == copyOfFile {
			s.applied, applied = applied, nil
		}
	}
	ok := len(s.pending) == 0
	s.mu.Unlock()
	if applied != nil {
		err := s.files.Keep(applied)
		if s.troubled(copyOfFile, err) {
			s.log.Warn("no copy of the file is kept for a start at which it is bad, it will be tried again", "error", err)
		}
		s.mu.Lock()
		if err != nil && s.applied == nil {
			s.applied = applied
		}
		s.mu.Unlock()
	}
	for _, name := range slices.Sorted(maps.Keys(todo)) {
		r := todo[name]
		var err error
		s.reach("before", "the state is written")
		if r == nil {
			err = s.store.Delete(name)
		} else {
			err = s.store.Save(name, *r)
		}
		s.reach("after", "the state is written")
		if s.troubled(name, err) {
			s.log.Warn("state cannot be written, it will be tried again", "build", name, "error", err)
		}
		if err == nil {
			continue
		}
		ok = false
		s.mu.Lock()
		if _, newer := s.pending[name]; !newer {
			s.pending[name] = r
		}
		s.mu.Unlock()
	}
	return ok
}

// troubled notes how a write went, and reports whether it failed for a reason that was not logged yet.
func (s *Saver) troubled(name string, err error) bool {
	if err == nil {
		delete(s.troubles, name)
		return false
	}
	why := err.Error()
	known := s.troubles[name] == why
	s.troubles[name] = why
	return !known
}
