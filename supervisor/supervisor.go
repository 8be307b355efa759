package supervisor

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/killpoint"
	"github.com/medctrl/medctrl-supervisor/supervisor/meter"
	"github.com/medctrl/medctrl-supervisor/supervisor/saver"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// ControlSocket is where the supervisor of a root takes commands.
func ControlSocket(root string) string { return layout.Root(root).Control() }

// Options is what [Run] is given by its caller.
type Options struct {
	Config  *config.Config // loaded from the file at Config.Path
	Wrong   error          // why the file as it is now is not what Config holds; nil: it is
	Log     hclog.Logger
	LogSink world.LogSink // what Log writes to; nil: it is not known
	Version string
	Host    string // our host's name, which once_on is compared with
	// how this program was executed, and will be again at an upgrade; Args[0] is a path
	Args    []string
	Environ []string // our environment, as os.Environ gives it
	// Prebuilt is a root in which Build made releases: builds that have none serve those. "" is none.
	Prebuilt string
	// Output gets a copy of what the builds print; nil is none.
	Output io.Writer

	// World is what to act on; nil is this machine.
	World *world.World
	// Reach is called at each moment at which a kill of the supervisor makes a difference; nil is
	// killpoint.Reach.
	Reach func(when string, what any)
	// Stepped is told of each step of a build's machine, for tests; nil: nobody wants to know.
	Stepped func(build string, s actor.Step)
	// Signals is used instead of the process's own signals, unless it is nil.
	Signals <-chan os.Signal
}

// Supervisor is the set of actors with what they share.
type Supervisor struct {
	Options
	world   *world.World
	log     hclog.Logger
	started time.Time

	fleet  atomic.Pointer[fleet]
	shared *actor.Fleet
	listed chan struct{}            // the fleet is another one, and so are the logs
	inputs map[string]build.Watched // by build: its watched files; only for our own goroutine
	read   time.Time                // when a person's wish had the file read last; only for our own goroutine
	logs   atomic.Value             // string: the folder of the children's logs

	saver    *saver.Saver
	reports  *reports
	metrics  *control.Metrics
	frontend *frontend
	upgrade  upgrade
	notifier *sdnotify.Notifier
	phases   chan struct{} // for the notifier: a build's phase has changed

	course
}

// course is what a supervisor runs by, from its begin to its end.
type course struct {
	requests chan func()   // for the goroutine of run
	ended    chan struct{} // closed when run no longer takes requests
	begun    chan struct{} // closed when every build has taken over what an earlier run left
	kill     context.CancelFunc
	tasks    sync.WaitGroup
}

// Run supervises the builds of o.Config until it is told to stop by SIGTERM or SIGINT, or ctx ends:
// then every build drains and ends gracefully, and Run returns nil. A second signal ends everything
// at once. SIGHUP reloads the file, SIGUSR2 upgrades. An error means that Run could not begin and
// touched nothing.
func Run(ctx context.Context, o Options) error {
	if o.Signals == nil {
		// Before anything that could be lost: a signal must not meet the default disposition, which
		// ends us.
		signals := make(chan os.Signal, 8)
		signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGUSR2)
		defer signal.Stop(signals)
		o.Signals = signals
	}
	if o.Reach == nil {
		o.Reach = killpoint.Reach
	}
	if o.World == nil {
		here, err := thisMachine(&o)
		if err != nil {
			return err
		}
		o.World = here
	}
	s := begin(o)
	return errors.Join(s.run(ctx), o.World.Program.Close())
}

// thisMachine returns the machine we run on. It takes out of o.Environ what an earlier supervisor
// handed over.
func thisMachine(o *Options) (*world.World, error) {
	of := world.Options{Config: o.Config, Log: o.Log, LogSink: o.LogSink, Version: o.Version, Args: o.Args, Environ: o.Environ, Prebuilt: o.Prebuilt}
	here, err := world.Here(&of)
	o.Environ = of.Environ
	return here, err
}

// begin makes what the actors share.
func begin(o Options) *Supervisor {
	o.Config = o.Config.On(o.Host)
	hard, kill := context.WithCancel(context.Background())
	s := &Supervisor{
		Options: o, world: o.World, log: o.Log, started: o.World.Host.Now(),
		inputs: map[string]build.Watched{}, listed: make(chan struct{}, 1),
		saver:    saver.New(o.World.Store, o.World.Files, o.Log.Named("state"), o.Reach),
		notifier: sdnotify.New(o.Environ, o.Log.Named("notify")), phases: make(chan struct{}, 1),
		course: course{requests: make(chan func()), ended: make(chan struct{}), begun: make(chan struct{}), kill: kill},
	}
	s.metrics = control.NewMetrics(o.Version, s)
	s.reports = newReports(o.World.Events, o.World.PastEvents, s.metrics, meter.New(meter.Options{
		Trees: o.World.Trees, Builds: func() []*actor.Actor { return s.fleet.Load().all() }, Task: s.task, Hard: hard, Log: o.Log,
		Requests: func() []control.Requests { return s.frontend.requests() },
	}))
	s.frontend = newFrontend(o.Log, o.World, o.Config.Root, s)
	s.logs.Store(o.Config.Supervisor.LogDir)
	s.fleet.Store(&fleet{cfg: &config.Config{Path: o.Config.Path, Root: o.Config.Root}, actors: map[string]*actor.Actor{}})
	s.shared = &actor.Fleet{
		Ports: actor.Ports{
			Trees: o.World.Trees, Sockets: o.World.Sockets, Releases: o.World.Releases, Host: o.World.Host,
			Records: s.saver, Reports: s.reports,
		},
		Root:   layout.Root(o.Config.Root),
		RootID: o.World.RootID, BootID: o.World.BootID,
		Log: o.Log, Hard: hard, Gate: &actor.Gate{}, Begun: s.begun,
		Executed: o.World.Past.From() != "",
		LogDir:   s.logDir, Reach: o.Reach, Stepped: o.Stepped,
		PhaseChanged: s.phaseChanged, Retired: s.retired,
	}
	return s
}

// run is the supervisor's own goroutine: it takes signals, edits and requests one after the other,
// until it is to stop and every actor has ended.
func (s *Supervisor) run(ctx context.Context) error {
	s.world.Program.Hurry(true)
	s.log.Info("supervisor is starting", "version", s.Version, "pid", os.Getpid(), "host", s.Host, "root", s.Config.Root, "builds", len(s.Config.Builds))
	if from := s.world.Past.From(); from != "" {
		s.log.Info("supervisor was upgraded", "from", from, "to", s.Version)
	}
	life, end := context.WithCancel(context.Background())
	s.task(func() { s.world.Events.Run(life.Done()) })
	s.task(func() { s.world.Sockets.Run(life) })
	s.task(func() { s.world.Program.Rotate(life, s.journals, s.listed) })
	if s.Output != nil {
		var first []string // before anything is started that prints
		for _, entry := range s.Config.Builds {
			first = append(first, logsOf(s.logDir(), &entry)...)
		}
		copier := journal.NewCopier(first, s.journals, s.Output, s.log.Named("output"))
		s.task(func() { copier.Run(life) })
	}
	s.takeOver()
	s.task(func() { s.world.Control.Serve(life, s, s.metrics) }) // there is something to say now
	s.task(func() {
		s.settled(life)
		s.world.Own.Keep(life, s.ownLost)
	})
	caughtUp := s.caughtUp()
	s.task(func() {
		s.settled(life) // a disk sync would delay the making and removing of names
		s.saver.Run(life)
	})
	s.task(func() {
		if s.settled(life) {
			s.world.Watcher.Wait()
		}
		s.world.Past.Close()
	})
	s.task(func() {
		s.reports.meters.Sample(life, func() bool { return s.fleet.Load().cfg.Supervisor.Dashboard != "" })
	})
	s.task(func() { s.trimLater(life) })
	s.loop(ctx, life, caughtUp)
	close(s.ended)
	end()
	s.kill()
	s.tasksEnd()
	s.log.Info("supervisor has stopped", "served", time.Since(s.started).Round(time.Second))
	return s.world.Watcher.Close()
}

func (s *Supervisor) loop(ctx, life context.Context, caughtUp <-chan struct{}) {
	stop := ctx.Done()
	alive := s.notifier.Due()
	phases, rested := s.phases, (<-chan time.Time)(nil)
	for !s.finished() {
		select {
		case <-stop:
			stop = nil
			s.stop("context")
		case sig := <-s.Signals:
			s.signalled(sig)
		case ids := <-s.world.Watcher.C():
			s.touched(ids)
		case f := <-s.requests:
			f()
		case <-caughtUp:
			caughtUp = nil
			close(s.begun)
			s.world.Program.Hurry(false)
			s.notifier.Ready(s.summary())
		case <-alive:
			s.notifier.Alive()
		case <-phases:
			phases, rested = nil, time.After(statusRest)
		case <-rested:
			phases, rested = s.phases, nil
			s.notifier.Status(s.summary())
		}
		s.touched(s.upgrade.missed())
	}
}

// ownLost writes again what somebody may have removed from the supervisor's own folder.
func (s *Supervisor) ownLost() {
	s.saver.Restore()
	s.saver.Keep(s.fleet.Load().cfg)
}

// trimAfter is how long after the start memory that only the start needed is given back.
const trimAfter = 20 * time.Second

func (s *Supervisor) trimLater(ctx context.Context) {
	select {
	case <-time.After(trimAfter):
		s.world.Program.Trim()
	case <-ctx.Done():
	}
}

// settled waits until every build has taken over what an earlier run left: work that can wait for
// that leaves the processor and the disk to a supervisor of many builds, which is back sooner. It
// returns false if ctx ended first.
func (s *Supervisor) settled(ctx context.Context) bool {
	select {
	case <-s.begun:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Supervisor) task(f func()) {
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		f()
	}()
}

// tasksEnd waits for the tasks, but not for ever: everything that was started has ended by then, and a
// task that hangs (on a disk that takes nothing) ends with this program.
func (s *Supervisor) tasksEnd() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.tasks.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(endPatience):
		s.log.Error("supervisor stops while something is still being written, which may be lost: does a disk hang?", "waited", endPatience)
	}
}

const endPatience = 10 * time.Second

// finished reports whether the supervisor is to stop and nothing is left.
func (s *Supervisor) finished() bool {
	f := s.fleet.Load()
	return f.leaving && len(f.actors) == 0
}

func (s *Supervisor) signalled(sig os.Signal) {
	switch sig {
	case syscall.SIGHUP:
		s.log.Info("reload requested by a signal")
		s.notifier.Reloading()
		if err := s.reload(s.load()); err != nil {
			s.log.Error("file is not applied, everything keeps running as before", "error", err)
		}
		s.notifier.Ready(s.summary())
	case syscall.SIGUSR2:
		s.log.Info("upgrade requested by a signal")
		s.task(func() {
			err := s.Upgrade(s.shared.Hard, func(line string) { s.log.Info("upgrade", "progress", line) })
			s.log.Error("upgrade failed, this supervisor keeps running", "error", err)
		})
	case syscall.SIGQUIT: // Ctrl-\, of somebody who has lost patience
		s.stop(sig.String())
		s.kill()
	default:
		s.stop(sig.String())
	}
}

// stop tells every actor to end gracefully; the second time, at once.
func (s *Supervisor) stop(why string) {
	f := s.fleet.Load()
	if f.leaving {
		s.log.Warn("asked to stop again, ending everything at once", "reason", why)
		s.kill()
		return
	}
	s.log.Info("supervisor is stopping, builds drain", "reason", why)
	s.notifier.Stopping("builds drain")
	s.publish(func(f *fleet) { f.leaving = true })
	held := s.world.Holder.Held()
	frontLeaves := s.frontend.leave(held)
	s.task(func() {
		frontLeaves(s.shared.Hard)
		for _, a := range f.all() {
			a.Succeeded(held)
		}
	})
}

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

// statusRest is the shortest time between two status lines to the service manager: many builds may
// change at once.
const statusRest = 200 * time.Millisecond

// phaseChanged records that the service manager needs a new status line.
func (s *Supervisor) phaseChanged() {
	if !s.notifier.Wanted() {
		return
	}
	select {
	case s.phases <- struct{}{}:
	default: // recorded already
	}
}

func (s *Supervisor) journals() []string {
	var paths []string
	for _, a := range s.fleet.Load().all() {
		paths = append(paths, logsOf(s.logDir(), a.View().Entry)...)
	}
	return paths
}

// logsOf returns the logs of a build, which are in dir.
func logsOf(dir string, entry *config.Build) []string {
	paths := []string{layout.Log(dir, entry.Name)}
	for _, schedule := range entry.Schedules {
		paths = append(paths, layout.ScheduleLog(dir, entry.Name, schedule.Name))
	}
	return paths
}

func (s *Supervisor) logDir() string { return s.logs.Load().(string) }
