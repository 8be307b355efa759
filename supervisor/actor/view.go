package actor

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// View is what others may see of an actor: the facts of one moment, which are never changed.
type View struct {
	Entry  *config.Build
	State  *machine.State
	Tree   Tree            // that leads the serving generation, or nil
	Beside []Tree          // the others of it, and the processes
	Public public.Listener // nil: there is none
	Drains public.Listener // whose queue is being emptied, or nil
	Stays  map[string]state.Stay
	Static string   // why static files are not those of the release that serves; "": they are
	Limits []string // what people should know of its limits
	Lost   []string // what is printed and kept nowhere
	// Environ is the environment that the file asks for.
	Environ   []string
	Bounds    Bounds
	Tasks     []Task // that are running, or ended within the last minute; the oldest first
	Schedules []Scheduled
	Asked     string // the last command of a person that was handled; "": none

	tasks map[string]Tree // of those Tasks of which something is left, by ID
}

// Bounds are what confines the generation that serves, or would confine one where none does.
type Bounds struct {
	Boxed  bool
	Limits config.Limits
}

// bounds returns what confines what serves.
func (a *Actor) bounds() Bounds {
	b := Bounds{a.entry.Sandbox.Enabled, a.entry.Limits}
	g, ok := a.generations[a.state.Serving.N]
	if !ok {
		return b
	}
	b.Boxed = g.tree.Boxed()
	if set, ok := a.launches.set(g.version.RunKey); ok {
		b.Limits = b.Limits.Live(set.entry.Limits)
	}
	return b
}

// shown holds what others may see. All of it may be read from any goroutine.
type shown struct {
	view     atomic.Pointer[View]
	releases atomic.Pointer[[]string]
	commits  atomic.Pointer[map[string]*build.Commit] // of these
	mu       sync.Mutex                               // guards moved
	moved    chan struct{}                            // closed at the next change; nil: nobody waits
}

// wake wakes everyone waiting for a change.
func (s *shown) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved != nil {
		close(s.moved)
		s.moved = nil
	}
}

// publish lets others see the actor as it is now.
func (a *Actor) publish() {
	before := a.shown.view.Load()
	v := &View{Entry: a.entry, State: a.state, Stays: a.history.stays, Static: a.history.statics.why, Asked: a.asked.last, Limits: a.limitWarnings(), Bounds: a.bounds(),
		Environ: a.launches.environ(a.state.RunKey, nil)}
	v.Tasks, v.tasks = a.shownTasks()
	v.Schedules = a.shownSchedules()
	if g, ok := a.generations[a.state.Serving.N]; ok {
		v.Tree = g.tree
	}
	for _, list := range [][]machine.Member{a.state.Serving.Beside, a.state.Processes} {
		for _, m := range list {
			if g, ok := a.generations[m.N]; ok {
				v.Beside = append(v.Beside, g.tree)
			}
		}
	}
	v.Lost = lostOutput(v)
	if s := a.public.Socket(); s != nil {
		v.Public = s.Listener
	}
	for _, n := range a.state.Ending {
		if g, ok := a.generations[n]; ok && g.sock != nil && !g.sock.Named() {
			v.Drains = g.sock.Listener
		}
	}
	a.shown.view.Store(v)
	a.shown.wake()
	if a.state.Phase() != before.State.Phase() {
		a.PhaseChanged()
	}
}

// lostOutput says what of what is running prints to no log, each reason once.
func lostOutput(v *View) (all []string) {
	trees := v.Beside
	if v.Tree != nil {
		trees = append([]Tree{v.Tree}, trees...)
	}
	for _, t := range trees {
		if err := t.Unlogged(); err != nil {
			if text := fmt.Sprintf("what is printed is lost until the next start: %v", err); !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	return all
}

// View returns the actor as it was last published.
func (a *Actor) View() *View { return a.shown.view.Load() }

// Changed returns a channel that is closed by the next change.
func (a *Actor) Changed() <-chan struct{} {
	a.shown.mu.Lock()
	defer a.shown.mu.Unlock()
	if a.shown.moved == nil {
		a.shown.moved = make(chan struct{})
	}
	return a.shown.moved
}

// Kept returns the releases that are kept, oldest first; nil if they could not be listed.
func (a *Actor) Kept() []string {
	if ids := a.shown.releases.Load(); ids != nil {
		return *ids
	}
	return nil
}

// Commit returns the commit of a release that is kept; nil if it is not known.
func (a *Actor) Commit(release string) *build.Commit {
	if commits := a.shown.commits.Load(); commits != nil {
		return (*commits)[release]
	}
	return nil
}
