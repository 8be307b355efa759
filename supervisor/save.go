package supervisor

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// saver writes down what must outlive the supervisor, beside the actors: a
// crash is answered without waiting for a disk. What is not written yet is
// found again by the mark that every child carries.
type saver struct {
	store   *state.Store
	log     hclog.Logger
	writing sync.Mutex // held while anything is written
	mu      sync.Mutex
	pending map[string]*state.Record // nil: delete
	wake    chan struct{}
}

// saveRetry is how long the saver waits after a write that failed (disk full).
const saveRetry = 2 * time.Second

func newSaver(store *state.Store, log hclog.Logger) *saver {
	return &saver{store: store, log: log, pending: map[string]*state.Record{}, wake: make(chan struct{}, 1)}
}

// save notes that a's record is to be written. Called by a's own goroutine.
func (s *saver) save(a *actor) {
	var r *state.Record
	if a.state.Want != machine.WantRemoved {
		r = a.record()
	}
	s.put(a.name, r)
}

func (s *saver) put(name string, r *state.Record) {
	s.mu.Lock()
	s.pending[name] = r
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
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

// flush writes what is pending and answers whether all of it was written. What
// was put before it has been written when it returns, or could not be.
func (s *saver) flush() bool {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	todo := s.pending
	s.pending = map[string]*state.Record{}
	s.mu.Unlock()
	ok := true
	for name, r := range todo {
		var err error
		reach("before", "the state is written")
		if r == nil {
			err = s.store.Delete(name)
		} else {
			err = s.store.Save(name, *r)
		}
		reach("after", "the state is written")
		if err == nil {
			continue
		}
		ok = false
		s.log.Warn("state cannot be written, it is tried again", "build", name, "error", err)
		s.mu.Lock()
		if _, newer := s.pending[name]; !newer {
			s.pending[name] = r
		}
		s.mu.Unlock()
	}
	return ok
}

// record is what must outlive the supervisor of this build.
func (a *actor) record() *state.Record {
	st := a.state
	r := &state.Record{
		Build: a.name,
		// What is not started automatically needs nobody's hand to stay so.
		StoppedByHand: st.Want == machine.WantStopped && st.Policy.Autostart,
		Release:       st.Release, LastBuilt: st.LastBuilt, Previous: st.Previous,
		Proven: st.Proven.Release, ProvenRunKey: st.Proven.RunKey,
		Fallback: st.Fallback.Release, FallbackRunKey: st.Fallback.RunKey,
		Bad:      map[string]string{},
		Restarts: st.Restarts, LastExit: st.LastExit, BuildError: st.BuildErr,
		NextGeneration: st.Spawned + 1,
		Stays:          a.history.stays,
	}
	for v, reason := range st.Bad {
		r.Bad[v.Release+"/"+v.RunKey] = reason
	}
	for _, g := range a.generations {
		inode := uint64(0)
		if g.sock != nil {
			inode = g.sock.l.Inode()
		}
		r.Generations = append(r.Generations, state.Generation{
			N: g.n, Role: a.role(g.n), Release: g.version.Release, RunKey: g.version.RunKey,
			Pid: g.child.Pid(), StartTime: g.child.StartTime(), BootID: a.sup.bootID,
			SocketInode: inode,
		})
		if last := &r.Generations[len(r.Generations)-1]; g.n == st.Serving.N {
			last.Since = st.Serving.Since.UTC().Round(0)
		}
	}
	return r
}

func (a *actor) role(n int) string {
	switch n {
	case a.state.Serving.N:
		return "serving"
	case a.state.Candidate.N:
		return "candidate"
	}
	return "retiring"
}

// restore begins an actor's life where the record of an earlier one left off,
// as far as it has the releases still.
func (a *actor) restore(r state.Record, releases []build.Release) {
	st := a.state
	kept := func(id string) bool {
		return slices.ContainsFunc(releases, func(r build.Release) bool { return r.ID == id })
	}
	st.LastBuilt, st.Previous = r.LastBuilt, r.Previous
	st.Restarts, st.LastExit = r.Restarts, r.LastExit
	st.Spawned = max(r.NextGeneration-1, 0)
	a.history.restored(r.Stays)
	if r.StoppedByHand {
		st.Want = machine.WantStopped
	}
	if len(r.Bad) > 0 {
		st.Bad = map[machine.Version]string{}
	}
	for key, reason := range r.Bad {
		if release, runKey, ok := strings.Cut(key, "/"); ok {
			st.Bad[machine.Version{Release: release, RunKey: runKey}] = reason
		}
	}
	if kept(r.Proven) {
		st.Proven = machine.Version{Release: r.Proven, RunKey: r.ProvenRunKey}
	}
	if kept(r.Fallback) {
		st.Fallback = machine.Version{Release: r.Fallback, RunKey: r.FallbackRunKey}
	}
	a.before = map[int]state.Generation{}
	for _, g := range r.Generations {
		a.before[g.N] = g
	}
	if r.Release == "" {
		return
	}
	if !kept(r.Release) {
		_, err := build.Get(a.sup.root, a.name, r.Release)
		a.log.Warn("release of the last run is not there any more, it is built again", "release", r.Release, "error", err)
		st.LastBuilt = ""
		return
	}
	st.Release = r.Release
}
