package actor

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Fleet is what the actors of one supervisor share. It does not change during their lives, except
// for what its functions return.
type Fleet struct {
	Ports  Ports
	Root   layout.Root
	RootID string // the marks of this root's trees begin with it
	BootID string // of the machine's boot, goes into records
	Log    hclog.Logger
	Hard   context.Context // ends when everything must end at once
	Gate   *Gate           // attempts wait here while the supervisor is about to be replaced
	// Begun is closed when every build has taken over what an earlier run left, and what its attempts
	// left half-way is gone. Attempts and pruning wait for it, so that a supervisor of many builds
	// serves all of them sooner after a restart.
	Begun <-chan struct{}
	// Executed says that this supervisor was executed in the place of another one: nothing was missed.
	Executed bool
	// LogDir returns the folder of the servers' output.
	LogDir func() string
	// Reach is called before and after each effect and every other moment at which a kill of the
	// supervisor makes a difference (package killpoint).
	Reach func(when string, what any)
	// Stepped is called after each step of a build's machine, before its effects are carried out. It
	// is for tests; nil: nobody wants to know.
	Stepped func(name string, s Step)
	// PhaseChanged is called after a build's phase has changed. It must not block.
	PhaseChanged func()
	// Retired is called once the actor has ended: it accepts nothing after that.
	Retired func(a *Actor)
}

// Step is one step of a build's machine.
type Step struct {
	Before, After *machine.State
	Event         machine.Event
	Effects       []machine.Effect
	At            time.Time
}

// Actor runs one build. Everything but the mailbox and what is marked atomic belongs to its one
// goroutine.
type Actor struct {
	*Fleet
	identity

	entry  *config.Build  // as the file has it now; never changed in place
	state  *machine.State // never changed once published
	health atomic.Pointer[config.Health]
	earlier
	together together

	launches    launches
	generations map[int]*generation
	public      *public.Name
	timers      []*timer // few: a list is enough
	attempt     attempt
	history     history
	losses      losses
	hooks       hooks
	oneOffs     map[string]*task // by ID
	schedules   schedules

	course
	asked commands
	shown shown
}

// identity is the build's name with what it makes of it. It does not change.
type identity struct {
	name  string
	paths layout.Build
	log   hclog.Logger
}

// course is what an actor runs by: what is posted to it and what it runs beside its goroutine.
type course struct {
	mail  mailbox
	tasks sync.WaitGroup
	done  chan struct{} // closed when it has ended
}

// earlier is what an earlier run left.
type earlier struct {
	before    map[int]state.Generation // its records, until they are adopted
	leftovers map[int]leaving          // its generations that are being ended
}

// leaving is a generation of an earlier run that is being ended.
type leaving struct {
	release string            // "": it is not known what to keep for it
	record  *state.Generation // of an instance of a process, which gets its signal to end; nil: there is none
}

// New returns the actor of the build called entry.Name. It does nothing until it has been given
// what an earlier run left (Adopt) and its entry (Configure).
func New(f *Fleet, entry *config.Build) *Actor {
	a := &Actor{
		Fleet:       f,
		identity:    identity{entry.Name, f.Root.Build(entry.Name), f.Log.With("build", entry.Name)},
		course:      course{done: make(chan struct{})},
		entry:       entry,
		state:       &machine.State{},
		generations: map[int]*generation{},
		earlier:     earlier{leftovers: map[int]leaving{}},
		oneOffs:     map[string]*task{},
	}
	a.health.Store(&entry.Health)
	a.public = public.New(public.Options{
		Path:   a.paths.Socket(),
		Log:    a.log,
		Bind:   func(path string) (public.Listener, error) { return a.Ports.Sockets.Bind(path, a.entry) },
		Remove: a.Ports.Sockets.Remove,
		Now:    a.Ports.Host.Now,
		Guard:  a.guard,
		Task:   a.task,
	})
	a.shown.view.Store(&View{Entry: entry, State: a.state})
	return a
}

// mailbox holds what an actor has not handled yet.
type mailbox struct {
	mu      sync.Mutex
	items   []message
	working bool // a goroutine handles them
}

// post never blocks. An actor that has nothing to do has no goroutine, and so no stack: a thousand
// serving builds cost little.
func (a *Actor) post(m message) {
	a.mail.mu.Lock()
	defer a.mail.mu.Unlock()
	a.mail.items = append(a.mail.items, m)
	if !a.mail.working {
		a.mail.working = true
		go a.work()
	}
}

// tell posts an event that the machine understands as it is.
func (a *Actor) tell(e machine.Event) { a.post(happened{e}) }

// take returns what was posted, in order; nil means that there is nothing left and the goroutine
// ends.
func (m *mailbox) take() []message {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	m.working = len(items) > 0
	return items
}

// empty reports whether everything that was posted has been handled.
func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items) == 0
}

// work is the actor's goroutine for as long as there is something to do. When the machine has said
// Gone and every task of the actor has ended, that is its end.
func (a *Actor) work() {
	for items := a.mail.take(); items != nil; items = a.mail.take() {
		for _, m := range items {
			a.handle(m)
		}
		if a.state.Dead {
			a.tasks.Wait()
			if !a.mail.empty() {
				continue // whoever waits at a socket that a task is done with is passed on
			}
			close(a.done)
			a.Retired(a)
			return // working stays true: later messages are dropped
		}
	}
}

// task runs f concurrently; f must end soon after the context given to it does.
func (a *Actor) task(f func(ctx context.Context)) {
	a.tasks.Add(1)
	go func() {
		defer a.tasks.Done()
		f(a.Hard)
	}()
}

// during runs f concurrently, by a lifetime.
func (a *Actor) during(l *lifetime, f func(ctx context.Context)) {
	ctx, leave := l.enter(a.Hard)
	a.task(func(context.Context) {
		defer leave()
		f(ctx)
	})
}

// handle does what a message asks for.
func (a *Actor) handle(m message) {
	switch m := m.(type) {
	case happened:
		a.happened(m.event)
		a.askEarly()
	case configured:
		a.turn(a.configure(m))
		a.askEarly()
	case asked:
		a.accept(m.ticket)
	case adopted:
		for _, e := range a.adopt(m) {
			a.turn(e)
		}
	case childExited:
		if e := a.exited(m); e != nil {
			a.turn(e)
		}
	case unready:
		a.turn(machine.ProofFailed{N: m.g.n, Reason: a.explain(m.g, m.reason), Cause: m.cause})
	case silent:
		a.hangs(m)
	case treeEnded:
		a.countKills(m.g)
		delete(a.generations, m.g.n)
		a.dropFiles()
		a.public.LetGo(m.g.sock)
		a.turn(machine.Ended{N: m.g.n})
		if !m.g.finishesAtTerm() && m.g.hadClients() {
			a.keepName() // it may have removed or shut down the socket that others serve
		}
	case leftoverEnded:
		delete(a.leftovers, m.n)
		a.public.LetGo(m.sock)
		if a.public.Socket() == nil && !a.public.Left() && a.state.Want != machine.WantServe {
			// It may have had the name, on a socket that could not be taken back.
			a.warn("remove the public socket", a.Ports.Sockets.Remove(a.paths.Socket()))
		}
		a.turn(machine.Ended{N: m.n})
	case folderTouched:
		a.keepRelease()
		a.keepName()
		a.keepFolder()
	case startMisses:
		a.releaseGone(m.release, m.why)
	case releasesListed:
		a.history.prune(m)
		a.staticsAfterPruning(len(m))
	case staticsPublished:
		a.staticsEnded(m)
	case staticsDue:
		a.history.statics.again = nil
		a.keepStatics()
	case shutdown:
		s := a.public.Socket()
		a.turn(machine.Shutdown{Held: s != nil && m.held(s.Inode())})
	case paused:
		a.pause(m)
	case caughtUp:
		close(m)
	case timerFired:
		a.fired(m.timer)
	case scheduleDue:
		if a.keepSchedules() {
			a.publish()
		}
	case runWritten:
		a.startRun(m.d)
	default:
		a.taskMessage(m)
	}
}

// happened tells the machine of an event, and keeps what it does not need to know.
func (a *Actor) happened(e machine.Event) {
	switch e := e.(type) {
	case machine.BuildDone:
		if e.Fresh {
			a.worksIn(e.Release, a.attempt.environ)
		}
		defer func() {
			if a.asked.last == "deploy" && !e.Fresh && a.state.Candidate.N == 0 && !a.state.Building.Running {
				a.asked.by = "" // nothing had changed: what comes next is no one's doing
			}
		}()
	case machine.ProbeOK, machine.ProbeFailed:
		a.lookForKills()
	case machine.Ready:
		if g, ok := a.generations[e.N]; ok && g.look != nil {
			a.worksIn(g.version.Release, idOf(g.look.Environ))
		}
	}
	a.turn(e)
	if failed, ok := e.(machine.BuildFailed); ok {
		a.attemptFailed(failed)
		a.task(a.owning(a.Kept()...)) // of the data, where the attempt was for another user
	}
}

// configure applies what the file says now.
func (a *Actor) configure(m configured) machine.Event {
	before := a.entry.Limits
	a.entry = m.entry
	a.applyLimits(before)
	a.health.Store(&m.entry.Health)
	environ, err := a.Ports.Host.Environ(m.entry)
	if err != nil {
		a.log.Error("environment cannot be read, the previous one stays in use", "error", err)
		environ = a.launches.environ(a.state.RunKey, environ)
	}
	a.setSchedules()
	a.probeSoon()
	return machine.Configured{
		Policy: machine.Policy{
			Autostart:   m.entry.Autostart,
			Restart:     machine.Restart(m.entry.Restart),
			DelayMax:    m.entry.RestartDelayMax,
			StableAfter: m.entry.StableAfter,
			Failures:    m.entry.Health.Failures,
			Grace:       m.entry.GracefulTimeout,
			Replicas:    m.entry.Replicas,
			Processes:   a.processPolicies(m.entry, environ),
		},
		RunKey:  a.launches.know(m.entry, environ),
		Rebuild: m.rebuild,
	}
}

// turn gives the machine one event and carries out the effects. Events that come from effects which
// complete at once are handled next.
func (a *Actor) turn(e machine.Event) {
	for queue := []machine.Event{e}; len(queue) > 0; queue = queue[1:] {
		before := a.state.Phase()
		now := a.Ports.Host.Now()
		next, effects := machine.Step(*a.state, queue[0], now)
		if a.Stepped != nil {
			a.Stepped(a.name, Step{a.state, &next, queue[0], effects, now})
		}
		a.history.follow(a.state, &next, now)
		if next.Building.Seq != a.state.Building.Seq {
			a.attempt.progress.Store(nil) // it belongs to an attempt that has ended
		}
		last := a.state
		a.state = &next
		a.followTasks(last, &next)
		a.bound()
		for i, effect := range effects {
			if i == 0 { // later ones follow immediately
				a.Reach("before", effect)
			}
			if result := a.carryOut(effect); result != nil {
				queue = append(queue, result)
			}
			a.Reach("after", effect)
		}
		if after := a.state.Phase(); after != before {
			a.log.Debug("state changed", "from", before, "to", after)
		}
	}
	a.linkCurrent()
	a.keepStatics()
	a.keepSchedules()
	a.callRecovery()
	a.publish()
}

// linkCurrent has the link to the current release lead to what serves. Where that cannot be done, it
// is tried again in the next turn.
func (a *Actor) linkCurrent() {
	release := a.state.Serving.Version.Release
	if release == "" || release == a.history.current {
		return
	}
	if err := a.Ports.Releases.SetCurrent(a.name, release); err != nil {
		a.log.Warn("link to the current release is not up to date", "release", release, "error", err)
		return
	}
	a.history.current = release
}

func (a *Actor) logPath() string { return layout.Log(a.LogDir(), a.name) }

// begun waits until every build has taken over what an earlier run left. It returns false if ctx
// ended first.
func (a *Actor) begun(ctx context.Context) bool {
	select {
	case <-a.Begun:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// event tells people what happened outside the machine.
func (a *Actor) event(event machine.EventName, release, reason string) {
	a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(event), Release: release, Reason: reason, By: a.cause(event)})
}

// warn logs an error that nothing else can be done about.
func (a *Actor) warn(doing string, err error) {
	if err != nil {
		a.log.Warn("clean-up failed", "doing", doing, "error", fmt.Errorf("%s: %w", doing, err))
	}
}
