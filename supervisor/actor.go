package supervisor

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// actor runs one build: it feeds the build's machine with what happens, one
// event at a time, and carries out the effects in their order. Everything but
// the mailbox and what is marked atomic belongs to its one goroutine.
type actor struct {
	sup        *Supervisor
	name       string
	dir        string
	socketPath string
	log        hclog.Logger

	entry  *config.Build  // as the file has it now; never changed in place
	state  *machine.State // never changed once it was shown
	health atomic.Pointer[config.Health]
	before map[int]state.Generation // what is written of an earlier run, until it is adopted

	settings    map[string]*settingsOf // by RunKey
	launches    map[machine.Version]*launch
	generations map[int]*generation
	public      *socket
	timers      map[machine.TimerKind]*time.Timer

	stopRefusing context.CancelFunc
	refused      chan struct{}             // closed when whoever was taken has been answered
	passing      atomic.Int32              // queues that are being passed on
	refuseUntil  atomic.Pointer[time.Time] // nil or zero: not known

	commit   *commitPoint // of the build that runs
	progress atomic.Pointer[progress]
	attempts attempts
	samples  samples
	releases atomic.Pointer[[]string]
	history  history

	mail     mailbox
	tasks    sync.WaitGroup
	hard     context.Context // ends when everything must end at once
	hooks    context.Context // ends with the build
	endHooks context.CancelFunc
	view     atomic.Pointer[view]
	usage    atomic.Pointer[usage]
	queue    atomic.Int32  // clients that waited when it was looked at last; -1: not known
	moved    chan struct{} // closed and made anew by each turn; under viewMu
	mu       sync.Mutex    // guards moved
	done     chan struct{}
}

// view is what others may see of an actor: a value of one moment.
type view struct {
	entry  *config.Build
	state  *machine.State
	child  *process.Child     // that serves, or nil
	public *listener.Listener // or nil
	drains *listener.Listener // whose queue is being emptied, or nil
	stays  map[string]state.Stay
}

func newActor(s *Supervisor, name string, hard context.Context) *actor {
	a := &actor{
		sup: s, name: name, dir: filepath.Join(s.root, name),
		socketPath:  filepath.Join(s.root, name, "gunicorn.sock"),
		log:         s.log.With("build", name),
		settings:    map[string]*settingsOf{},
		launches:    map[machine.Version]*launch{},
		generations: map[int]*generation{},
		timers:      map[machine.TimerKind]*time.Timer{},
		hard:        hard,
		moved:       make(chan struct{}),
		done:        make(chan struct{}),
	}
	a.hooks, a.endHooks = context.WithCancel(hard)
	a.entry = &config.Build{Name: name}
	a.state = &machine.State{}
	a.view.Store(&view{entry: a.entry, state: &machine.State{}})
	return a
}

// configured is the message that brings a build's entry.
type configured struct {
	entry   *config.Build
	rebuild bool
}

// mailbox holds what an actor has not taken up yet.
type mailbox struct {
	mu      sync.Mutex
	items   []any
	working bool // somebody takes them up
}

// post never blocks. An actor that has nothing to do has no goroutine, and so no
// stack: a thousand builds that serve cost little.
func (a *actor) post(item any) {
	a.mail.mu.Lock()
	defer a.mail.mu.Unlock()
	a.mail.items = append(a.mail.items, item)
	if !a.mail.working {
		a.mail.working = true
		go a.work()
	}
}

// takenUp is a message that is closed when all before it has been taken up.
type takenUp chan struct{}

// take answers what was posted, in its order; nil is that nobody works any more.
func (m *mailbox) take() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	m.working = len(items) > 0
	return items
}

// work is the actor's goroutine for as long as there is something to do. When the
// machine has said Gone and every task of the actor has ended, that is its end.
func (a *actor) work() {
	for items := a.mail.take(); items != nil; items = a.mail.take() {
		for _, item := range items {
			if e := a.translate(item); e != nil {
				a.turn(e)
			}
		}
		if a.state.Dead {
			a.tasks.Wait()
			close(a.done)
			a.sup.retired(a)
			return // working stays said: what comes now is for nobody
		}
	}
}

// spawnTask runs f beside the actor; f must end soon after the context given
// to it does.
func (a *actor) spawnTask(f func(ctx context.Context)) {
	a.tasks.Add(1)
	go func() {
		defer a.tasks.Done()
		f(a.hard)
	}()
}

// translate makes an event of what was posted.
func (a *actor) translate(item any) machine.Event {
	switch m := item.(type) {
	case machine.Event:
		return m
	case configured:
		return a.configure(m)
	case adopted:
		return a.adopt(m)
	case releasesListed:
		a.history.prune(m)
		return nil
	case takenUp:
		close(m)
		return nil
	case hold:
		a.hold(m)
		return nil
	case hookDue:
		a.callHook(m.event, "", m.reason)
		return nil
	case queueLeft:
		a.letGo(m.s)
		return nil
	case childExited:
		return a.exited(m)
	case nameTouched:
		return a.keepName()
	case unproved:
		return machine.ProofFailed{N: m.g.n, Reason: a.explain(m.g, m.reason)}
	case treeGone:
		delete(a.generations, m.g.n)
		a.letGo(m.g.sock)
		return machine.Ended{N: m.g.n}
	}
	panic(fmt.Sprintf("supervisor: actor was posted a %T", item))
}

// configure takes up what the file says now.
func (a *actor) configure(m configured) machine.Event {
	a.entry = m.entry
	a.health.Store(&m.entry.Health)
	environ, err := config.Environ(*m.entry, a.sup.environ)
	if err != nil {
		a.log.Error("environment cannot be read, the one before stays", "error", err)
		if set, ok := a.settings[a.state.RunKey]; ok {
			environ = set.environ
		}
	}
	a.probeSoon()
	set := &settingsOf{build: m.entry, environ: environ}
	key := set.runKey()
	a.settings[key] = set
	return machine.Configured{
		Policy: machine.Policy{
			Autostart:   m.entry.Autostart,
			Restart:     machine.Restart(m.entry.Restart),
			DelayMax:    m.entry.RestartDelayMax,
			StableAfter: m.entry.StableAfter,
			Failures:    m.entry.Health.Failures,
			Grace:       m.entry.GracefulTimeout,
		},
		RunKey:  key,
		Rebuild: m.rebuild,
	}
}

// exited says why a child ended, unless it was told to.
func (a *actor) exited(m childExited) machine.Event {
	if m.g.leaving.Load() {
		return nil
	}
	m.g.halt()
	reason := exitReason(m.exit, m.g.launch.workers)
	if m.exit.Signal == 0 {
		reason = a.explain(m.g, reason)
	}
	return machine.Exited{N: m.g.n, Reason: reason, Clean: m.exit.Clean()}
}

// exitReason is an exit in words; gunicorn's own codes are explained (gunicorn,
// arbiter.py: WORKER_BOOT_ERROR, APP_LOAD_ERROR).
func exitReason(e process.Exit, gunicorn bool) string {
	reason := e.String()
	switch {
	case gunicorn && e.Signal == 0 && e.Code == 3:
		reason += " (a gunicorn worker could not boot)"
	case gunicorn && e.Signal == 0 && e.Code == 4:
		reason += " (gunicorn could not load the application)"
	}
	return reason
}

// turn lets the machine take one event and carries out what it wants done.
// The answers of effects that are carried out at once are taken next.
func (a *actor) turn(e machine.Event) {
	for queue := []machine.Event{e}; len(queue) > 0; queue = queue[1:] {
		before := a.state.Phase()
		now := time.Now()
		next, effects := machine.Step(*a.state, queue[0], now)
		a.history.follow(a.state, &next, now)
		if next.Building.Seq != a.state.Building.Seq {
			a.progress.Store(nil) // it is of a build that has ended
		}
		a.state = &next
		for i, effect := range effects {
			if i == 0 { // later ones come right after the one before
				reach("before", effect)
			}
			if answer := a.carryOut(effect); answer != nil {
				queue = append(queue, answer)
			}
			reach("after", effect)
		}
		if after := a.state.Phase(); after != before {
			a.log.Debug("state changed", "from", before, "to", after)
		}
	}
	a.show()
}

// show lets others see the actor as it is now.
func (a *actor) show() {
	v := &view{entry: a.entry, state: a.state, stays: a.history.stays}
	if g, ok := a.generations[a.state.Serving.N]; ok {
		v.child = g.child
	}
	if a.public != nil {
		v.public = a.public.l
	}
	for _, n := range a.state.Ending {
		if g, ok := a.generations[n]; ok && g.sock != nil && !g.sock.l.Named() {
			v.drains = g.sock.l
		}
	}
	before := a.view.Swap(v)
	a.wake()
	if a.state.Phase() != before.state.Phase() {
		a.sup.phaseChanged()
	}
}

// wake tells those who wait for a change.
func (a *actor) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.moved)
	a.moved = make(chan struct{})
}

// change answers a channel that is closed by the next turn.
func (a *actor) change() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.moved
}

func (a *actor) dataDir() string { return filepath.Join(a.dir, "data") }
func (a *actor) logPath() string { return filepath.Join(a.sup.logDir(), a.name+".log") }

// warn logs an error that nothing else can be done about.
func (a *actor) warn(doing string, err error) {
	if err != nil {
		a.log.Warn("clean-up went wrong", "doing", doing, "error", err)
	}
}
