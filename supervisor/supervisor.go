package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Options is what [Run] is told from outside.
type Options struct {
	Config  *config.Config // loaded from the file at Config.Path
	Log     hclog.Logger
	Version string
	Args    []string // how this program was executed, and is again at an upgrade; Args[0] is a path
	Environ []string // our environment, as os.Environ gives it
}

// Supervisor is the set of actors with what they share.
type Supervisor struct {
	Options
	log     hclog.Logger
	root    string
	rootID  string
	bootID  string
	environ []string
	started time.Time

	table   *process.Table
	maker   *build.Maker
	store   *state.Store
	saver   *saver
	events  *eventLog
	front   *front.Front
	metrics *control.Metrics
	guard   *guard
	usage   usageLook

	watcher  *watch.Watcher
	requests chan func() // for the goroutine of Run
	hard     context.Context
	kill     context.CancelFunc
	logs     atomic.Value            // string: the folder of the children's logs
	found    map[string][]leftover   // what an earlier run left, until each build takes its own
	records  map[string]state.Record // the same of what it wrote, as it was when we began
	ended    chan struct{}           // closed when run takes no requests any more
	begun    chan struct{}           // closed when every build was taken up

	mu        sync.RWMutex
	actors    map[string]*actor
	cfg       *config.Config
	loaded    time.Time
	configErr error
	leaving   bool
	inputs    map[string]string // by build: what its watched files read as
	moveFront *frontRun
	page      *dashboardPage // nil: there is none
	tasks     sync.WaitGroup

	gate    gate
	handed  *handed          // what was kept over an exec; nil: there was none
	signals <-chan os.Signal // what run takes them from
	lock    *state.Locked    // of the root
	control *control.Socket
	succeed atomic.Bool // an upgrade is under way
	missed  []string    // what was touched meanwhile

	notifier *notifier
	phases   chan struct{} // for the notifier: a build's phase has changed
}

// gcPercent trades a little CPU at events, which are rare, for memory, which is
// there all the time. While the supervisor starts, beside requests, it is the other
// way round: until trimAfter it is gcStarting.
const (
	gcStarting = 400
	gcPercent  = 25
)

// ControlSocket is where the supervisor of a root is asked and told.
func ControlSocket(root string) string {
	return filepath.Join(root, ".supervisor", "control.sock")
}

// Run supervises the builds of o.Config until it is told to stop by SIGTERM or
// SIGINT, or ctx ends: then every build drains and ends gracefully, and Run
// answers nil. A second signal ends all at once. SIGHUP reloads the file. An
// error means that it could not begin, and that nothing was touched.
func Run(ctx context.Context, o Options) error {
	// Before anything that can be lost: a signal must not find the default
	// disposition, which ends us.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGUSR2)
	defer signal.Stop(signals)

	s, err := begin(o)
	if err != nil {
		return err
	}
	defer s.unlock()
	return s.run(ctx, signals)
}

// begin takes the root for us and makes what the actors share.
func begin(o Options) (_ *Supervisor, err error) {
	s := &Supervisor{
		Options: o, log: o.Log, root: o.Config.Root, started: time.Now(),
		front:    front.New(o.Log.Named("front")),
		requests: make(chan func()), ended: make(chan struct{}), begun: make(chan struct{}), actors: map[string]*actor{}, inputs: map[string]string{},
	}
	s.metrics = control.NewMetrics(o.Version, s)
	if s.handed, s.environ, err = takeHandover(o.Environ); err != nil {
		s.log.Error("what was kept over the upgrade cannot be taken over, it is found as after a crash", "error", err)
	}
	s.notifier, s.phases = newNotifier(s.environ, s.log.Named("notify")), make(chan struct{}, 1)
	own := filepath.Join(s.root, ".supervisor")
	if err := os.MkdirAll(s.root, 0o755); err != nil {
		return nil, fmt.Errorf("make root folder: %w", err)
	}
	if err := os.MkdirAll(own, 0o700); err != nil {
		return nil, fmt.Errorf("make the supervisor's folder: %w", err)
	}
	if s.lock, err = s.takeLock(own); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.unlock()
		}
	}()
	s.events = openEventLog(filepath.Join(own, "events"), s.log.Named("events"))
	if s.rootID, err = state.RootID(own); err != nil {
		return nil, err
	}
	if s.bootID, err = process.BootID(); err != nil {
		return nil, err
	}
	if s.records, err = state.Understood(stateDir(s.root)); err != nil {
		return nil, err
	}
	if s.store, err = state.Open(stateDir(s.root)); err != nil {
		return nil, err
	}
	if err = process.Subreaper(); err != nil {
		return nil, err
	}
	if s.table, err = process.NewTable("", s.log.Named("process")); err != nil {
		return nil, err
	}
	if err := s.table.UseCgroups("medctrl-"+s.rootID, s.handed.cgroups()...); err != nil {
		s.log.Debug("children get no cgroups, their trees are found by mark and session", "error", err)
	}
	if s.watcher, err = watch.New(s.log.Named("watch")); err != nil {
		return nil, err
	}
	s.guard = newGuard(s.log.Named("guard"))
	s.saver = newSaver(s.store, s.log.Named("state"))
	s.maker = build.New(build.Options{
		Runner: newRunner(s.table), Log: s.log.Named("build"), Environ: s.environ, Parallel: o.Config.Supervisor.MaxParallelBuilds, Known: s.handed.known(),
	})
	s.hard, s.kill = context.WithCancel(context.Background())
	return s, nil
}

// A supervisor that was killed while it started a process leaves its lock with
// that one, until it has executed its program.
const (
	lockPatience = 5 * time.Second
	lockPoll     = 5 * time.Millisecond
)

// takeLock makes us the only supervisor of the root.
func (s *Supervisor) takeLock(own string) (*state.Locked, error) {
	if held, err := s.handed.takeLock(own); held != nil || err != nil {
		return held, err
	}
	held, holder, err := state.Lock(own)
	for limit := time.Now().Add(lockPatience); errors.Is(err, state.ErrLocked) && process.Dead(holder) && time.Now().Before(limit); {
		time.Sleep(lockPoll) // there is no event to wait for
		held, holder, err = state.Lock(own)
	}
	if errors.Is(err, state.ErrLocked) {
		return nil, fmt.Errorf("another supervisor (pid %d) runs on %s; one root has one supervisor: stop that one, or give this file another root", holder, s.root)
	}
	return held, err
}

func (s *Supervisor) unlock() {
	if err := s.lock.Release(); err != nil {
		s.log.Warn("lock cannot be released", "error", err)
	}
}

// run is the supervisor's own goroutine: it takes signals, edits and requests
// one after the other, until it is to stop and every actor has ended.
func (s *Supervisor) run(ctx context.Context, signals <-chan os.Signal) error {
	s.signals = signals
	debug.SetGCPercent(gcStarting)
	s.log.Info("supervisor starts", "version", s.Version, "pid", os.Getpid(), "root", s.root, "builds", len(s.Config.Builds))
	if s.handed != nil {
		s.log.Info("supervisor was upgraded", "from", s.handed.From, "to", s.Version)
	}
	life, end := context.WithCancel(context.Background())
	s.task(func() { s.events.run(life.Done()) })
	s.task(func() { s.guard.run(life) })
	s.task(func() { journal.Watch(life, s.journals, journal.Policy{}, journalEvery, s.log.Named("journal")) })

	found, err := s.leftovers()
	if err != nil {
		s.log.Error("what an earlier run left cannot be looked for", "error", err)
	}
	s.found = found
	s.endForeign(found)
	s.takeUp(s.Config)
	s.serveControl(life) // there is something to say now
	begun := s.takenUp()
	s.task(func() {
		s.settled(life) // who makes or removes a name waits for a disk that syncs
		s.saver.run(life)
	})
	s.task(func() {
		if s.settled(life) {
			s.watcher.Wait()
		}
		s.handed.closeWatches()
	})
	s.task(func() { s.sampleBuilds(life) })
	alive := s.notifier.due(life)
	phases, rested := s.phases, (<-chan time.Time)(nil)
	trimming := time.AfterFunc(trimAfter, func() {
		debug.SetGCPercent(gcPercent)
		if err := trim(); err != nil {
			s.log.Debug("memory is not given back", "error", err)
		}
	})
	defer trimming.Stop()

	stop := ctx.Done()
	for !s.finished() {
		select {
		case <-stop:
			stop = nil
			s.stop("context")
		case sig := <-signals:
			s.signalled(sig)
		case ids := <-s.watcher.C():
			s.touched(ids)
		case f := <-s.requests:
			f()
		case <-begun:
			begun = nil
			close(s.begun)
			s.notifier.ready(s.summary())
		case <-alive:
			s.notifier.alive()
		case <-phases:
			phases, rested = nil, time.After(statusRest)
		case <-rested:
			phases, rested = s.phases, nil
			s.notifier.status(s.summary())
		}
		if s.missed != nil && !s.upgrading() {
			missed := s.missed
			s.missed = nil
			s.touched(missed)
		}
	}
	close(s.ended)
	end()
	s.kill()
	s.tasks.Wait()
	s.log.Info("supervisor has stopped", "served", time.Since(s.started).Round(time.Second))
	return errors.Join(s.watcher.Close(), s.table.Close())
}

// serveControl answers the commands, until ctx ends.
func (s *Supervisor) serveControl(ctx context.Context) {
	path, log := ControlSocket(s.root), s.log.Named("control")
	var err error
	if s.control = s.handed.takeControl(path, log); s.control == nil {
		s.control, err = control.Listen(path)
	}
	if err != nil {
		s.control = nil
		log.Error("control socket cannot be made, commands find no supervisor", "error", err)
		return
	}
	s.task(func() {
		if err := control.Serve(ctx, s.control, s, s.metrics, log); err != nil {
			log.Error("control socket cannot be served, commands find no supervisor", "error", err)
		}
	})
}

func (s *Supervisor) task(f func()) {
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		f()
	}()
}

// finished says that the supervisor is to stop and nothing is left.
func (s *Supervisor) finished() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.leaving && len(s.actors) == 0
}

func (s *Supervisor) signalled(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.log.Info("reload asked for by signal")
		s.notifier.reloading()
		if _, err := s.reload(false); err != nil {
			s.log.Error("file is not applied, what ran before runs on", "error", err)
		}
		s.notifier.ready(s.summary())
	case syscall.SIGUSR2:
		s.log.Info("upgrade asked for by signal")
		s.task(func() {
			err := s.Upgrade(s.hard, func(line string) { s.log.Info("upgrade", "progress", line) })
			s.log.Error("upgrade was not done, this supervisor goes on", "error", err)
		})
	default:
		s.stop(sig.String())
	}
}

// stop tells every actor to end gracefully; the second time, at once.
func (s *Supervisor) stop(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		s.log.Warn("asked to stop again: everything ends at once", "reason", why)
		s.kill()
		return
	}
	s.log.Info("supervisor stops, builds drain", "reason", why)
	s.notifier.stopping()
	s.leaving = true
	wait := time.Duration(0)
	if s.moveFront != nil {
		s.moveFront.end()
		wait = frontHeadStart
	}
	time.AfterFunc(wait, func() {
		for _, a := range s.all() {
			a.post(shutdown)
		}
	})
}

// frontHeadStart is how long the builds' sockets outlive the front's: what it
// took just before has reached its build by then.
const frontHeadStart = 200 * time.Millisecond

// do runs f on the supervisor's own goroutine and waits for it.
func (s *Supervisor) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case s.requests <- func() { defer close(done); f() }:
	case <-s.ended:
		return errors.New("the supervisor is stopping")
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}

// journalEvery is how often the logs' sizes are looked at.
const journalEvery = 15 * time.Second

func (s *Supervisor) journals() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	paths := make([]string, 0, len(s.actors))
	for _, a := range s.actors {
		paths = append(paths, a.logPath())
	}
	return paths
}

func (s *Supervisor) logDir() string {
	return s.logs.Load().(string)
}
