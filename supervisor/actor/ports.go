package actor

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Ports is everything through which an actor reaches the world. All of it is required; every method
// may be called from several goroutines.
type Ports struct {
	Trees    Trees
	Sockets  Sockets
	Releases Releases
	Host     Host
	Records  Records
	Reports  Reports
}

// Trees starts and ends processes with all that they start.
type Trees interface {
	// Start starts a server, after it has made any missing files of its launch. words is where its
	// workers report that they are ready, nil if they cannot; the caller closes it. exited is
	// called once, when the main process has ended.
	Start(s Start, exited func(Exit)) (tree Tree, words server.Words, err error)
	// Bound sets what all trees of a build may use together, or twice that, in addition to the limits of
	// each: from now on, and those that are started later. Steps of attempts are no part of it.
	Bound(build string, l config.Limits, twice bool) error
	// Adopt watches a server that an earlier supervisor started. exited is called as in Start.
	Adopt(l Leftover, exited func(Exit)) (Tree, error)
	// Hear lets a process that an earlier supervisor started go on to say that it is alive. The caller
	// closes what it returns.
	Hear(l Leftover, as config.Identity) (server.Words, error)
	// Remains returns what is left of a tree whose main process may have ended, so that it can be
	// ended.
	Remains(l Leftover) Tree
	// Environ returns the environment that a process was started with.
	Environ(pid int) ([]string, error)
	// Alive reports whether there is a process with that pid.
	Alive(pid int) bool
	// Run runs a command to its end, or until ctx ends; then its whole tree is ended. It returns
	// the end of what the command printed.
	Run(ctx context.Context, h Hook) (output string, err error)
}

// Tree is a server's main process with all that it has started.
type Tree interface {
	Pid() int
	StartTime() uint64 // clock ticks after boot; with the pid it identifies the main process
	// Limit changes what the tree may use while it is running. A kind of limit that it was started
	// without is left out.
	Limit(l config.Limits) error
	// Boxed says whether the tree runs in a sandbox.
	Boxed() bool
	// Unlogged says why what it prints is lost; nil: it is in its log.
	Unlogged() error
	// OOMKills is how many of its processes the kernel has killed because memory ran out, since it was
	// started or adopted; also after its end.
	OOMKills() int
	// Said is what it has printed last itself, at most n lines, to a log that is Shared; none where that
	// is not known. Of the last line it is certain. It may be called until End has returned.
	Said(log string, n int) []string
	// Private is the path of a socket on which this server alone takes clients, so that a probe does not
	// wait in the queue of the public one. It is "" where there is none.
	Private() string
	// Signal sends a signal to all of it.
	Signal(sig syscall.Signal) error
	// StopBy sets the signal that asks its main process to end, of a tree that was not started by us.
	// asked says that an earlier supervisor has sent it: some take a second one for an order to drop
	// everything.
	StopBy(sig syscall.Signal, asked bool)
	// Terminate asks the main process and its group to end, by SIGTERM; or, where the launch or StopBy
	// names a signal, the main process alone, by that and once.
	Terminate() error
	// End returns when nothing of the tree is left: it is asked to end, and gets SIGKILL after grace or
	// when ctx ends.
	End(ctx context.Context, grace time.Duration) error
}

// Start says what to start.
type Start struct {
	Launch   *server.Launch
	Mark     string          // identifies the tree, see Leftover
	Listener public.Listener // nil: it takes no clients
	Streams  *Streams        // of a task, in place of Log; nil: it has none
	Log      string          // file that takes the output
	Shared   bool            // others print to that, too: what it says last itself is wanted (Tree.Said)
	Build    string          // with whose other trees it is limited (Bound)
	Limits   config.Limits
}

// Streams are what a caller gives a task to read from and write to. They stay the caller's.
type Streams struct {
	In, Out, Err *os.File
	// Terminal says that In is a terminal of the task's own, which controls it.
	Terminal bool
}

// Hook is a command that is run to its end.
type Hook struct {
	Argv  []string
	Env   []string
	Dir   string
	Entry *config.Build // whose user, group and umask it gets
}

// Exit describes how a main process ended.
type Exit struct {
	Words  string // "exit code 3", "killed by SIGKILL"
	Code   int    // -1: a signal ended it, or the code is not known
	Signal bool   // a signal ended it
	Number int    // of that signal; 0: none
	// Outside says that the signal is one that comes from outside: of a person, or of a kernel that
	// is short of memory.
	Outside bool
	Clean   bool // exit code 0
}

// Leftover is a generation of an earlier supervisor of this root, found by the mark that each of
// its processes carries: ROOT ID/BUILD/GENERATION. No record is needed for it. Anybody can carry a
// mark: these are the processes of which it was confirmed (package supervisor, claims.go).
type Leftover struct {
	N       int
	Mark    string
	User    int     // who runs it, by number
	Leader  Process // zero: its main process has ended
	Members []Process
	Task    string // ID of the task that it is, in place of N; "": it is a generation
	Shared  bool   // as in Start
}

// Process is a process by pid and start time (clock ticks after boot): a pid alone may belong to
// another process by now.
type Process struct {
	Pid       int
	StartTime uint64
}

// Pids lists the processes that may hold the listener, the likeliest first.
func (l Leftover) Pids() []int {
	var all []int
	if l.Leader.Pid != 0 {
		all = append(all, l.Leader.Pid)
	}
	for _, m := range l.Members {
		if m.Pid != l.Leader.Pid {
			all = append(all, m.Pid)
		}
	}
	return all
}

// Sockets makes listening sockets and finds those of earlier supervisors.
type Sockets interface {
	// Bind makes a listener at path with the owner and mode that the entry asks for, and its folder
	// if that is missing.
	Bind(path string, entry *config.Build) (public.Listener, error)
	// Recover takes a listener back from one of the processes with these pids. inode says which; 0
	// is the one that path leads to. The error wraps fs.ErrNotExist if no process holds it.
	Recover(path string, inode uint64, pids ...int) (public.Listener, error)
	// HeldBy reports whether one of the processes has the socket open.
	HeldBy(inode uint64, pids ...int) bool
	// Remove removes the path of a socket. It returns nil if the path is missing.
	Remove(path string) error
	// Guard calls touched, which must not block, when a socket in the build's folder may have lost
	// its path. A nil touched ends that.
	Guard(b layout.Build, touched func())
}

// Releases makes and keeps releases.
type Releases interface {
	// Make makes a release of the inputs as they are now (build.Maker).
	Make(ctx context.Context, r build.Request) (rel build.Release, fresh bool, err error)
	// Check asks whether a release would work in another environment (build.Maker). The error is a
	// *build.LookError, or that of ctx.
	Check(ctx context.Context, l build.Look) error
	Get(name, id string) (build.Release, error)
	List(name string) ([]build.Release, error)
	// Own gives what lies below the folder of a build to whom it runs as (build.Own), but not the
	// releases of except.
	Own(ctx context.Context, name string, as config.Identity, except ...string) error
	Prune(entry *config.Build, inUse ...string) error
	SetCurrent(name, id string) error
	// StageStatics prepares the static files of a release, so that PublishStatics has them live within
	// a moment. It changes nothing that is served.
	StageStatics(ctx context.Context, entry *config.Build, id string) error
	// PublishStatics makes the folder of a build's static files hold those of a release. Where it
	// fails, what was live may stay live in part.
	PublishStatics(ctx context.Context, entry *config.Build, id string) error
}

// Host gives access to the rest of the machine the supervisor runs on.
type Host interface {
	// Now is time.Now. The part of it that is for people jumps when somebody sets the clock; only
	// the difference of two tells how much time has passed.
	Now() time.Time
	// Environ is the environment that an entry asks for.
	Environ(entry *config.Build) ([]string, error)
	// Identity is the user and groups that an entry's processes run as.
	Identity(entry *config.Build) (config.Identity, error)
	// Probe asks the server on the socket for the health page. The error is a *ProbeError if there
	// was a wrong answer, or none in time.
	Probe(ctx context.Context, socket string, h *config.Health, timeout time.Duration) error
	// OutputSize is how long a log is; Output is the last lines, at most n, of what was written to
	// it from that offset on.
	OutputSize(log string) int64
	Output(log string, from int64, n int) []string
	// MakeData makes the data folder of a build where it is missing.
	MakeData(entry *config.Build, b layout.Build) error
	// DropFiles removes the generated files of a build, and the folders of temporary files of its
	// generations, but those at the paths of keep.
	DropFiles(b layout.Build, keep ...string) error
}

// ProbeError describes how a probe failed.
type ProbeError struct {
	Wrong  bool // there was an answer, with an unexpected status
	Late   bool // there was none in time
	Ours   bool // we could not ask: it says nothing of the server
	Status int  // of the answer; 0: there was none
	Err    error
}

func (e *ProbeError) Error() string { return e.Err.Error() }
func (e *ProbeError) Unwrap() error { return e.Err }

// Records writes down what must outlive the supervisor.
type Records interface {
	// Save takes what is to be written of a build, soon and without blocking; nil deletes its
	// record.
	Save(name string, r *state.Record)
	// Flush waits until what was saved before is written. It returns false if that is not so within the
	// limit.
	Flush(limit time.Duration) bool
}

// Reports tells people what is happening. No method blocks.
type Reports interface {
	Event(e Event)
	Built(name, result string)
	Step(name, step string, took time.Duration)
	Probed(name string, took time.Duration, ok bool)
	// OOMKilled tells of processes that the kernel killed, of an instance of process; "" is another tree.
	OOMKilled(name, process string, processes int)
	// Ran tells the result of a run of a schedule, or why there was none (RunGood, …).
	Ran(name, schedule, result string, took time.Duration)
}

// Event is something that happened to a build.
type Event struct {
	Time    time.Time
	Build   string
	Event   string
	Release string
	Pid     int // 0: none, or not known
	Reason  string
	By      string // the person who caused it; "" if nobody did or is known
}
