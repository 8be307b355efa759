package process

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MarkKey is the environment variable that holds a child's Mark.
const MarkKey = "MEDCTRL_GENERATION"

// readyKey tells a child the number of its Ready descriptor.
const readyKey = "MEDCTRL_READY_FD"

// File descriptors of a child, by number.
const (
	listenerFD = 3 // SD_LISTEN_FDS_START, sd_listen_fds(3)
	readyFD    = 4
	childFDs   = 5 // what a child may inherit: 0 to 4
)

// Spec says what to run and how. Its zero value runs nothing: Argv is required.
type Spec struct {
	// Argv is the command. Argv[0] without a slash is looked up in the PATH of
	// Env; with one it is taken as it is, relative to Dir.
	Argv []string
	// Env is the whole environment, beside what this package adds: Mark,
	// Listener and Ready say what. Our own environment is not handed down.
	Env []string
	// Dir is the working folder, entered as User. Empty is our own.
	Dir string
	// Listener becomes file descriptor 3, announced by LISTEN_FDS=1, LISTEN_PID
	// and LISTEN_FDNAMES=gunicorn. It stays the caller's.
	Listener *os.File
	// Ready becomes file descriptor 4, announced by MEDCTRL_READY_FD=4. It stays
	// the caller's.
	Ready *os.File
	// Log is the file that takes stdout and stderr; it is opened for appending,
	// as ourselves, and made with mode 0640 where it is missing. Empty is /dev/null.
	Log string
	// User is whom to run as; nil is whom we run as.
	User *Credential
	// Umask is the child's umask, also where it is 0.
	Umask os.FileMode
	// NoNewPrivs keeps set-user-ID programs from raising rights in the tree
	// (PR_SET_NO_NEW_PRIVS, prctl(2)).
	NoNewPrivs bool
	// Mark identifies the tree: it is put into the environment as
	// MEDCTRL_GENERATION, which descendants inherit, and names the child's cgroup (Table.UseCgroups).
	Mark string
}

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
}

// Clean reports whether the process said that all went well.
func (e Exit) Clean() bool { return e.Code == 0 && e.Signal == 0 && !e.Unknown }

// String says it in words: "exit code 3", "killed by SIGKILL", "ended, exit status unknown".
func (e Exit) String() string {
	switch {
	case e.Unknown:
		return "ended, exit status unknown"
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
