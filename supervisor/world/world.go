package world

import (
	"context"
	"io/fs"
	"net"
	"os"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// World is everything on the machine that a Supervisor acts on. [Run] uses this machine; the
// simulation (package simulate) a simulated one. Everything in it is required.
type World struct {
	Trees    Trees
	Sockets  Sockets
	Releases Releases
	Host     actor.Host
	Store    Store
	Files    Files
	Watcher  Watcher
	Past     Past
	Holder   Holder
	Upgrader Upgrader
	Control  Control
	Own      Own
	Program  Program
	Events   EventFile

	PastEvents     []byte // lines of earlier runs, oldest first
	RootID, BootID string // of the root, with which marks begin, and of the machine's boot
}

// Trees are the processes of all builds.
type Trees interface {
	actor.Trees
	// Marked returns the processes that carry a mark which begins with prefix, and the marks of
	// existing cgroups, whose processes may carry none.
	Marked(prefix string) (found []Marked, cgroups []string, err error)
	// Usage returns what each tree uses now, in the same order.
	Usage(ctx context.Context, trees []actor.Tree) ([]Usage, error)
}

// Marked is a process that carries a mark.
type Marked struct {
	actor.Process
	Mark   string // what it says itself: anybody can
	Leader bool   // leads its process group: the main process of its tree
	User   int    // who runs it, by number; -1: not one user
	Cgroup string // the mark whose cgroup it is in, which it cannot choose; "": in none of ours
}

// Usage is what a tree uses.
type Usage struct {
	Processes int
	Memory    uint64        // bytes in RAM
	CPU       time.Duration // used so far
	Age       time.Duration // since the main process was started
}

// Sockets are the sockets of all builds.
type Sockets interface {
	actor.Sockets
	// Run calls the touched functions of Guard when paths are lost, until ctx ends.
	Run(ctx context.Context)
	// Tidy removes the paths in a build's folder that lead to sockets which nobody holds any more.
	Tidy(name string) error
}

// Releases are the releases of all builds.
type Releases interface {
	actor.Releases
	// Why says whether an attempt would make a release of an entry, and why (build.Maker).
	Why(ctx context.Context, entry *config.Build) (build.Difference, error)
	// Tidy looks for half releases of an earlier run, which rest removes: that may take seconds, and no
	// attempt may begin before it has ended. rest is never nil.
	Tidy(name string) (rest func() error, err error)
	// SetParallel says how many attempts may run at once.
	SetParallel(n int)
	// SetCollectors says which builds of the file collect static files.
	SetCollectors(names []string)
}

// Store keeps the record of each build. Its methods are called from one goroutine at a time, except
// for Save and Delete, which are called from another one.
type Store interface {
	// Names returns the builds of which there is a record.
	Names() ([]string, error)
	Load(name string) (state.Record, bool, error)
	SetAside(name string) (kept string, err error)
	// Intact reports whether what is kept of a build is as Save left it last.
	Intact(name string) bool
	Save(name string, r state.Record) error
	Delete(name string) error
}

// Files are the files that people write.
type Files interface {
	// Load reads builds.toml.
	Load(path string) (*config.Config, error)
	// Includes returns the paths and patterns of the files that builds.toml includes, however bad it is.
	Includes(path string) []string
	// Inputs reads the watched files of an entry.
	Inputs(entry config.Build) build.Watched
	// Keep keeps a configuration that was applied for a start at which the file is bad.
	Keep(c *config.Config) error
	// MakeFolder makes a folder with all above it, where they are missing, whatever our umask.
	MakeFolder(path string, mode fs.FileMode) error
}

// Watcher tells when files are touched ([watch.Watcher]).
type Watcher interface {
	C() <-chan []string
	Set([]watch.Target)
	Wait()
	Close() error
}

// Holder is who holds sockets open while no supervisor is running, for the next one: the service
// manager, where it does that.
type Holder interface {
	// HoldPlace has the socket of a place held, in place of the one before. A nil socket, which otherwise
	// stays the caller's, ends that.
	HoldPlace(name PlaceName, socket *os.File)
	// Held returns which sockets, by inode, are held now.
	Held() func(inode uint64) bool
}

// Past is what the previous supervisor handed over at an upgrade, and what was held for us (Holder).
// At the first start it is empty.
type Past interface {
	// From is the version of the previous supervisor; "" if there was no upgrade.
	From() string
	// Builds returns the builds of which there are sockets.
	Builds() []string
	// Sockets returns the sockets of a build, which are the caller's from then on.
	Sockets(build string) []public.Listener
	// Place returns the listener of a place if it listens at addr, else nil. The listener is the caller's
	// from then on.
	Place(name PlaceName, addr string) net.Listener
	// Adopted says that everything wanted has been taken over: the rest is closed.
	Adopted()
	// Close closes what was only kept until we had our own (inotify).
	Close()
}

// Upgrader executes another program in our place.
type Upgrader interface {
	// Ask asks the program at our path whether it accepts the file and the state.
	Ask(ctx context.Context) (Acceptance, error)
	// Execute executes it. It returns only if that failed, and then nothing has changed.
	Execute(s Succession) error
}

// Succession is what outlives an upgrade.
type Succession struct {
	Next    Acceptance
	Sockets map[string][]public.Listener // by build
	Places  map[PlaceName]Place
}

// PlaceName names what serves HTTP at an address of its own.
type PlaceName string

// The places.
const (
	FrontPlace     PlaceName = "front"
	DashboardPlace PlaceName = "dashboard"
	MetricsPlace   PlaceName = "metrics"
)

// Place is an address with the socket that listens there.
type Place struct {
	Address string
	Socket  *os.File
}

// Control takes commands from the command line.
type Control interface {
	// Serve passes commands on to b until ctx ends.
	Serve(ctx context.Context, b control.Backend, m *control.Metrics)
	// SetReaders lets the members of a group look, in addition to those who may do everything; ""
	// lets nobody.
	SetReaders(group string) error
}

// Own is the supervisor's own folder, with what makes it the only one of its root.
type Own interface {
	// Keep makes again what somebody removes or changes there, until ctx ends. It calls lost, which
	// returns soon, when what others keep in the folder may be gone.
	Keep(ctx context.Context, lost func())
}

// Program is this program itself.
type Program interface {
	// Rotate keeps logs from growing without bound until ctx ends. paths returns their paths.
	Rotate(ctx context.Context, paths func() []string, changed <-chan struct{})
	// Room makes room for n descriptors at once.
	Room(n int) error
	// Hurry trades memory for CPU while it is on.
	Hurry(on bool)
	// Trim gives back the memory that only the start needed.
	Trim()
	// Close gives back what makes us the only supervisor of the root.
	Close() error
}

// EventFile keeps events for the next run.
type EventFile interface {
	Add(line any)
	Run(done <-chan struct{})
	// Await waits until Run has written what was added before, at most for a time.
	Await(limit time.Duration)
}
