package process

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// The environment variables that hold a child's Mark or Task.
const (
	MarkKey = "MEDCTRL_GENERATION"
	TaskKey = "MEDCTRL_STEP"
)

// readyKey tells a child the number of its Ready descriptor.
const readyKey = "MEDCTRL_READY_FD"

// File descriptors of a child, by number.
const (
	listenerFD = 3 // SD_LISTEN_FDS_START, sd_listen_fds(3)
	privateFD  = 4
	readyFD    = 5
	childFDs   = 6 // what a child may inherit: 0 to 5
)

// Spec says what to run and how. Its zero value runs nothing: Argv is required.
type Spec struct {
	// Argv is the command. Argv[0] without a slash is looked up in the PATH of Env; with one it is
	// taken as it is, relative to Dir.
	Argv []string
	// Env is the whole environment, apart from what this package adds: Mark, Task, Listener and
	// Ready say what. Our own environment is not handed down. Where a variable is given twice, the
	// last one counts.
	Env []string
	// Dir is the working folder, entered as User. Empty is our own.
	Dir string
	// Listener becomes file descriptor 3, announced by LISTEN_FDS=1, LISTEN_PID and
	// LISTEN_FDNAMES=gunicorn. It stays the caller's.
	Listener *os.File
	// Private becomes file descriptor 4, a second listener: LISTEN_FDS is 2 and LISTEN_FDNAMES
	// gunicorn:private. It needs Listener, and stays the caller's.
	Private *os.File
	// Ready becomes file descriptor 5, announced by MEDCTRL_READY_FD=5. It stays the caller's.
	Ready *os.File
	// Extra becomes file descriptor 3 in place of Listener, and nothing announces it. It stays the
	// caller's.
	Extra *os.File
	// Stdin is read by the child, in place of /dev/null. It stays the caller's.
	Stdin *os.File
	// Terminal says that Stdin is a terminal which becomes the controlling one of the child's session
	// (TIOCSCTTY, ioctl_tty(2)).
	Terminal bool
	// Stdout takes what the child prints, in place of Log, and Stderr, where it is given, what it
	// prints to stderr. They stay the caller's.
	Stdout, Stderr *os.File
	// Log is the file that takes stdout and stderr; it is opened for appending, as ourselves, and
	// made with mode 0640 where it is missing. Empty is /dev/null.
	Log string
	// User is the user to run as; nil is our own.
	User *Credential
	// Umask is the child's umask, also where it is 0.
	Umask os.FileMode
	// NoNewPrivs keeps set-user-ID programs from raising rights in the tree (PR_SET_NO_NEW_PRIVS,
	// prctl(2)).
	NoNewPrivs bool
	// NoCapabilities takes every capability from the tree (capabilities(7)): the effective, permitted,
	// inheritable and ambient sets are empty, and the bounding set as well where we have CAP_SETPCAP.
	// A tree that runs as root can do no more then than use what root owns.
	NoCapabilities bool
	// OOM is how much more readily than ourselves the tree is killed where memory runs out: its
	// oom_score_adj is as far above ours, or above 0 where ours is lower (proc_pid_oom_score_adj(5)).
	OOM int
	// Box confines the tree; nil is no box. It includes NoNewPrivs.
	Box *Box
	// Limits are what the tree may use. They need its Mark or Task, and UseCgroups; where they cannot be
	// had the child is not started.
	Limits limits.Limits
	// Within names the pool in which the tree counts together with others (Table.Bound), where it has
	// Limits. The name must be a part of its Mark or Task, between slashes: so it is found again.
	Within string
	// Rlimits are set for the child, and inherited by all that it starts (setrlimit(2)). They are set as
	// ourselves. Without one of RLIMIT_CORE it dumps no core.
	Rlimits []Rlimit
	// Mark identifies the tree: it is put into the environment as MEDCTRL_GENERATION, which
	// descendants inherit, and names the child's cgroup (Table.UseCgroups).
	Mark string
	// Task identifies the tree of a one-off command, as Mark does that of a child that outlives us:
	// it is put into the environment as MEDCTRL_STEP. FindMarked and FindCgroups do not return it;
	// FindTasks does.
	Task string
	// StopSignal asks the child alone to end, and what is left of its tree once it has ended. 0 is SIGTERM
	// to all of them at once.
	StopSignal syscall.Signal
}

// tag is what the tree is identified by: its Mark, or its Task in a form that no Mark has.
func (s Spec) tag() string {
	if s.Task != "" {
		return taskTag(s.Task)
	}
	return s.Mark
}

// pool is the pool of the tree, or "".
func (s Spec) pool() string {
	if s.Limits == (limits.Limits{}) {
		return ""
	}
	return s.Within
}

const taskPrefix = TaskKey + "="

func taskTag(task string) string { return taskPrefix + task }

// Credential is a user with its groups, by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups
}

// Exit is how a process ended.
type Exit struct {
	Code    int            // exit status, or -1 where a signal ended it or the status is unknown
	Signal  syscall.Signal // the signal that ended it, or 0
	Core    bool           // a core was dumped
	Unknown bool           // it ended, but nobody can say how any more (Table.Adopt)
	At      time.Time      // when it was noticed
	OOM     *OutOfMemory   // the kernel killed it for that; nil: it did not, or nobody knows
}

// OutOfMemory says how little memory there was.
type OutOfMemory struct{ Limit uint64 } // bytes; 0: it is not known

func (o OutOfMemory) String() string {
	if o.Limit == 0 {
		return "out of memory"
	}
	return "out of memory (limit " + limits.Size(o.Limit) + ")"
}

// Clean reports whether the process said that all went well.
func (e Exit) Clean() bool { return e.Code == 0 && e.Signal == 0 && !e.Unknown }

// String says it in words: "exit code 3", "killed by SIGKILL", "ended, exit status unknown".
func (e Exit) String() string {
	switch {
	case e.Unknown:
		return "ended, exit status unknown"
	case e.OOM != nil:
		return "killed by the kernel: " + e.OOM.String()
	case e.Signal != 0 && e.Core:
		return "killed by " + signalName(e.Signal) + " (core dumped)"
	case e.Signal != 0:
		return "killed by " + signalName(e.Signal)
	}
	return "exit code " + strconv.Itoa(e.Code)
}

func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
