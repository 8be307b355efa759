package build

import (
	"context"
	"io/fs"
	"os"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// Runner starts the commands of builds and ends them with everything they started. Its methods may
// be called from many goroutines.
type Runner interface {
	// Start returns when the program of c is running, in a session of its own, or with an error
	// that says what could not be done. The caller calls Wait.
	Start(c Command) (Process, error)

	// Running returns the marks, beginning with prefix, of the commands of which a process is left,
	// also of those that an earlier supervisor started. What a process says of itself is believed
	// where user, by number, runs it, or we ourselves.
	Running(prefix string, user int) (marks []string, err error)

	// Alive reports whether the process is running that had that Identity, whichever supervisor
	// started it.
	Alive(identity string) bool

	// End kills every process of the command with that mark, whichever supervisor started it, and
	// returns when they are gone or ctx ends. user is as with Running.
	End(ctx context.Context, mark string, user int) error
}

// Process is a command that was started.
type Process interface {
	// Identity names the command's own process among all others, also after a restart of the machine.
	Identity() (string, error)

	// Done is closed when the command itself has ended.
	Done() <-chan struct{}

	// Wait waits until the command has ended, then kills what it left behind. When ctx ends first,
	// it ends the command with everything it started: SIGTERM, and after grace SIGKILL. It returns
	// when nothing of the command is running, or what is left ignores SIGKILL. The error is nil for
	// exit code 0; else it says how the command ended, or is the cause of ctx. It may be called
	// again.
	Wait(ctx context.Context, grace time.Duration) error
}

// Command is what a Runner starts.
type Command struct {
	Argv  []string
	Env   []string // the whole environment
	Dir   string
	User  *Credential // nil: our own
	Umask fs.FileMode
	// NewPrivs lets it gain privileges by set-user-ID programs. Capable has it keep the capabilities
	// that its user has.
	NewPrivs, Capable bool

	// Stdout takes what the command prints, and Stderr, where it is given, what it prints to
	// stderr. They are files, so that a process that lives on blocks nobody.
	Stdout, Stderr *os.File
	// Extra becomes descriptor 3.
	Extra *os.File

	// Box is what the command may reach; nil: all that its user may.
	Box *Box
	// Limits are what the command may use, with all that it starts.
	Limits config.Limits

	// Mark is carried by each process of the command, so that it is found also when its supervisor
	// was killed. No two commands that are running have the same. "" is none.
	Mark string
}

// OutOfMemoryError is how a command failed of which the kernel killed processes, because they used more
// memory than they may.
type OutOfMemoryError struct {
	Kills int
	Words string
}

func (e *OutOfMemoryError) Error() string { return e.Words }

// Credential is a user with its groups, by number.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
}

// credential returns the user that a command runs as, nil for ourselves.
func credential(id config.Identity) *Credential {
	if id.Own() {
		return nil
	}
	c := &Credential{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: id.Groups}
	if id.UID >= 0 {
		c.UID = uint32(id.UID)
	}
	if id.GID >= 0 {
		c.GID = uint32(id.GID)
	}
	return c
}

// How long a process may take to clean up after SIGTERM, and to be gone after SIGKILL; and how long
// one that has done its work may take to end: a thread that somebody forgot keeps Python from it
// for ever.
const (
	afterWork = 5 * time.Second
	afterTerm = 2 * time.Second
	afterKill = 5 * time.Second
)

// end ends a process with everything it started.
func end(p Process) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Wait(ctx, afterTerm) // how it ended does not matter any more
}
