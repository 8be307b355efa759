package supervisor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// saver writes down what must outlive the supervisor, concurrently with the actors: a restart after
// a crash never waits for a disk. A child whose record is not written yet is found again by its
// mark.
type saver struct {
	store   world.Store
	log     hclog.Logger
	reach   func(when string, what any)
	writing chan struct{} // has room for whoever writes: one at a time
	mu      sync.Mutex
	pending map[string]*state.Record // nil: delete
	last    map[string]*state.Record // as noted last; never changed in place
	wake    chan struct{}
}

// saveRetry is how long the saver waits after a write that failed (disk full).
const saveRetry = 2 * time.Second

func newSaver(store world.Store, log hclog.Logger, reach func(string, any)) *saver {
	return &saver{store: store, log: log, reach: reach, writing: make(chan struct{}, 1), pending: map[string]*state.Record{}, last: map[string]*state.Record{}, wake: make(chan struct{}, 1)}
}

// Save takes what is to be written of a build (actor.Records).
func (s *saver) Save(name string, r *state.Record) {
	s.mu.Lock()
	s.pending[name] = r
	if s.last[name] = r; r == nil {
		delete(s.last, name)
	}
	s.mu.Unlock()
	s.wakeUp()
}

// restore has every record written again that somebody has removed or changed since.
func (s *saver) restore() {
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

// run writes until ctx ends and everything is written, or cannot be.
func (s *saver) run(ctx context.Context) {
	for {
		select {
		case <-s.wake:
		case <-ctx.Done():
			s.flush()
			return
		}
		if s.flush() {
			continue
		}
		select {
		case <-time.After(saveRetry):
			s.wakeUp()
		case <-ctx.Done():
		}
	}
}

func (s *saver) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// flush writes what is pending and reports whether all of it was written. When it returns, every
// record saved before the call has been written or could not be.
func (s *saver) flush() bool {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	s.mu.Lock()
	todo := s.pending
	s.pending = map[string]*state.Record{}
	s.mu.Unlock()
	ok := true
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
		if err == nil {
			continue
		}
		ok = false
		s.log.Warn("state cannot be written, it will be tried again", "build", name, "error", err)
		s.mu.Lock()
		if _, newer := s.pending[name]; !newer {
			s.pending[name] = r
		}
		s.mu.Unlock()
	}
	return ok
}
