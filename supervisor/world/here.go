package world

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/custody"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/eventlog"
	"github.com/medctrl/medctrl-supervisor/supervisor/handover"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Options is what Here is told.
type Options struct {
	Config  *config.Config // as it is at the start
	Log     hclog.Logger
	LogSink LogSink // what Log writes to; nil: it is not known
	Version string
	Args    []string // how this program was executed, and is again at an upgrade; Args[0] is a path
	Environ []string // our environment, as os.Environ gives it

	Prebuilt string // another root, whose releases are those of builds that have none; "" for none
}

// LogSink is what the supervisor's own log is written to.
type LogSink interface {
	// Trouble says in a sentence why it is not being written, or "".
	Trouble() string
	// Flush waits until what was written is on its way, at most for a time.
	Flush(limit time.Duration)
}

// Here locks the root for us and returns the machine we run on as a World. It removes from o.Environ
// what an earlier supervisor handed over. An error means that nothing was touched.
func Here(o *Options) (_ *World, err error) {
	program{builds: len(o.Config.Builds)}.Hurry(true) // before anything is scattered
	root, log := layout.Root(o.Config.Root), o.Log
	taken, environ, err := handover.Take(o.Environ)
	if err != nil {
		log.Error("what was handed over at the upgrade cannot be used, it is recovered as after a crash", "error", err)
	}
	passed, environ := sdnotify.Take(environ)
	o.Environ = environ
	given := &taken
	if err := (files{}).MakeFolder(string(root), 0o755); errors.Is(err, unix.EROFS) {
		return nil, fmt.Errorf("%w: the unit of systemd must name it in ReadWritePaths=", err)
	} else if err != nil {
		return nil, err
	}
	if err := setOwnAside(root, log.Named("own")); err != nil {
		log.Error("the supervisor's own folder is not as it should be", "path", root.Own(), "error", err)
	}
	if err := (files{}).MakeFolder(root.Own(), 0o700); err != nil {
		return nil, err
	}
	lock, err := takeLock(root, given)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	if o.Prebuilt != "" {
		if err = linkPrebuilt(o.Config, o.Prebuilt); err != nil {
			return nil, err
		}
	}
	w := &World{}
	if w.RootID, err = state.RootID(root.Own()); err != nil {
		return nil, err
	}
	if w.BootID, err = process.BootID(); err != nil {
		return nil, err
	}
	if w.Store, err = openRecords(root); err != nil {
		return nil, err
	}
	if err = process.Subreaper(); err != nil {
		return nil, err
	}
	table, err := process.NewTable("", log.Named("process"))
	if err != nil {
		return nil, err
	}
	if err := table.UseCgroups("medctrl-"+w.RootID, given.Cgroups...); err != nil {
		log.Debug("children get no cgroups, their trees are identified by mark and session", "error", err)
	}
	if w.Watcher, err = watch.New(log.Named("watch")); err != nil {
		return nil, err
	}
	ownWatcher, err := watch.New(log.Named("own"))
	if err != nil {
		return nil, err
	}
	maker := build.New(build.Options{
		Log: log.Named("build"), Environ: environ, Parallel: o.Config.Supervisor.MaxParallelBuilds,
		Known: knownInterpreters(given, log), Runner: newRunner(table),
	})
	w.Events, w.PastEvents = eventlog.Open(root.Events(), log.Named("events"), control.FeedKept)
	commands := &commands{readers: control.NoGroup, path: root.Control(), log: log.Named("control"), given: given.TakeControl()}
	boxes := newBoxes()
	w.Trees = trees{table: table, boxes: boxes, root: root, who: o.Config.Custody(), log: log.Named("server")}
	holder := newHolder(root, sdnotify.NewStore(environ, log.Named("notify")), passed, log)
	w.Holder = holder
	w.Sockets = sockets{root: root, log: log, guard: listener.NewGuard(log.Named("guard")), holder: holder}
	w.Releases = releases{root: root, Maker: maker}
	w.Host = host{environ: environ}
	w.Files = files{string(root), environ}
	w.Past = &past{given: given, holder: holder, log: log}
	w.Control = commands
	w.Own = &own{root: root, id: w.RootID, lock: lock, commands: commands, watcher: ownWatcher, log: log.Named("own")}
	w.Program = program{builds: len(o.Config.Builds), lock: lock, table: table, boxes: boxes, who: o.Config.Custody(), log: log}
	w.Upgrader = &upgrader{o: o, lock: lock, given: given, table: table, maker: maker, commands: commands}
	return w, nil
}

// A supervisor that was killed while starting a process leaves its lock with that process until it
// has executed its program.
const (
	lockPatience = 5 * time.Second
	lockPoll     = 5 * time.Millisecond
)

// takeLock makes us the only supervisor of the root.
func takeLock(root layout.Root, given *handover.Handover) (*state.Locked, error) {
	if f := given.TakeLock(); f != nil {
		return state.Relock(root.Own(), f) // Own.Keep locks the root's folder too
	}
	held, holder, err := lockOnce(root)
	for limit := time.Now().Add(lockPatience); errors.Is(err, state.ErrLocked) && process.Dead(holder) && time.Now().Before(limit); {
		time.Sleep(lockPoll) // there is no event to wait for
		held, holder, err = lockOnce(root)
	}
	if errors.Is(err, state.ErrLocked) {
		return nil, fmt.Errorf("another supervisor (pid %d) is running on %s; a root can have only one: stop it, or give this file another root", holder, string(root))
	}
	return held, err
}

// lockOnce tries to lock a root. Where another supervisor has it, holder is that one's pid.
func lockOnce(root layout.Root) (held *state.Locked, holder int, err error) {
	held, holder, err = state.Lock(root.Own())
	if err != nil {
		return nil, holder, err
	}
	if holder, err = held.LockRoot(); err != nil {
		return nil, holder, errors.Join(err, held.Release())
	}
	return held, holder, nil
}

// records is the Store on disk. What is read first to see whether a later supervisor wrote it is not
// read again.
type records struct {
	*state.Store
	read map[string]state.Record
}

func openRecords(root layout.Root) (Store, error) {
	read, err := state.Understood(root.State())
	if err != nil {
		return nil, err
	}
	store, err := state.Open(root.State())
	return &records{store, read}, err
}

// Load returns the record of a build.
func (r *records) Load(name string) (state.Record, bool, error) {
	if record, ok := r.read[name]; ok {
		delete(r.read, name) // it would be outdated when the build is added again
		return record, true, nil
	}
	return r.Store.Load(name)
}

// program is this program itself (Program).
type program struct {
	builds int // of the file at the start
	lock   *state.Locked
	table  *process.Table
	boxes  *boxes
	who    custody.Custody // who may change the folders of logs
	log    hclog.Logger
}

// Close stops watching processes and unlocks the root.
func (p program) Close() error {
	p.boxes.close()
	return errors.Join(p.table.Close(), p.lock.Release())
}

// journalEvery is how often the logs' sizes are looked at.
const journalEvery = 15 * time.Second

// Rotate keeps logs from growing without bound.
func (p program) Rotate(ctx context.Context, paths func() []string, changed <-chan struct{}) {
	journal.Watch(ctx, paths, changed, journal.Policy{Custody: p.who}, journalEvery, p.log.Named("journal"))
}

// Room makes room for n descriptors at once.
func (program) Room(n int) error { return process.MakeRoom(n) }

// gcPercent trades a little CPU at events, which are rare, for memory, which is used all the time: what
// a larger heap scatters over it is never all given back. While the supervisor of many builds takes over
// what an earlier run left, CPU counts more: gcHurry. It is not higher than Go's own value, and not used
// for longer: 100 until all of 1,000 serve leaves 17 MB more. Of fewer builds than manyBuilds there is
// little to save, and it would scatter what is kept over the 4 MB that Go begins with.
const (
	gcHurry    = 100
	gcPercent  = 10
	manyBuilds = 200
)

// Hurry trades memory for CPU while it is on.
func (p program) Hurry(on bool) {
	if on && p.builds >= manyBuilds {
		debug.SetGCPercent(gcHurry)
	} else {
		debug.SetGCPercent(gcPercent)
	}
}

// Trim gives back the memory that only the start needed.
func (p program) Trim() {
	if err := process.Trim(); err != nil {
		p.log.Debug("memory cannot be given back", "error", err)
	}
}
