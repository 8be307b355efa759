package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is the format of the files written here, and the newest that is read.
const Version = 1

// Record is what is known of one build.
type Record struct {
	Version        int               `json:"version"` // Save sets it
	Build          string            `json:"build"`
	StoppedByHand  bool              `json:"stopped_by_hand,omitempty"`
	Release        string            `json:"release,omitempty"`    // the one that should serve
	LastBuilt      string            `json:"last_built,omitempty"` // what the last good build made; another one than Release after a rollback
	Previous       string            `json:"previous,omitempty"`   // the one that served before it
	Proven         string            `json:"proven,omitempty"`     // the one that served last
	ProvenRunKey   string            `json:"proven_run_key,omitempty"`
	Fallback       string            `json:"fallback,omitempty"` // what Proven gives way to, as long as it is not stable
	FallbackRunKey string            `json:"fallback_run_key,omitempty"`
	Bad            map[string]string `json:"bad,omitempty"` // releases not to be tried again, and why
	Trial          *Trial            `json:"trial,omitempty"`
	Wish           string            `json:"wish,omitempty"` // what somebody asked for that is not done: restart, rebuild or rebuild --fresh
	Restarts       int               `json:"restarts,omitempty"`
	RestartsByHand int               `json:"restarts_by_hand,omitempty"` // of these, those that a person asked for
	LastExit       string            `json:"last_exit,omitempty"`
	BuildError     string            `json:"build_error,omitempty"`
	Generations    []Generation      `json:"generations,omitempty"`
	NextGeneration int               `json:"next_generation,omitempty"`
	Stays          map[string]Stay   `json:"stays,omitempty"` // by release
	Tasks          []Task            `json:"tasks,omitempty"`
	Alerted        []string          `json:"alerted,omitempty"` // what on_failure was called for since the build was well

	Schedules map[string]Schedule `json:"schedules,omitempty"` // by name
}

// Schedule is up to where the times of a schedule were handled, and how it went.
type Schedule struct {
	Times   string    `json:"times"` // what says when it runs; where that is another, it begins anew
	At      time.Time `json:"at"`
	MakeUp  time.Time `json:"make_up,omitzero"` // when a run makes up for those that were missed
	Success time.Time `json:"success,omitzero"` // when a run last ended well
	Last    *Run      `json:"last,omitempty"`
}

// Run is a run of a schedule that has ended.
type Run struct {
	ID      string    `json:"id"`
	Release string    `json:"release"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Result  string    `json:"result"`
	Exit    string    `json:"exit"`
	Output  []string  `json:"output,omitempty"`
}

// Task is a command that runs once beside the generations, or that ended a moment ago.
type Task struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name,omitempty"`
	Release   string    `json:"release"`
	Pid       int       `json:"pid"`
	StartTime uint64    `json:"start_time"` // as that of a Generation
	BootID    string    `json:"boot_id"`
	User      *int      `json:"user,omitempty"` // as that of a Generation
	By        string    `json:"by,omitempty"`
	Started   time.Time `json:"started"`
	Deadline  time.Time `json:"deadline,omitzero"`  // when it is ended; zero: never
	Attended  bool      `json:"attended,omitempty"` // somebody waits for it, without whom it is of no use
	Logged    bool      `json:"logged,omitempty"`   // its output goes to the build's log

	Ended  time.Time `json:"ended,omitzero"` // zero: its end was not seen
	Exit   string    `json:"exit,omitempty"`
	Code   int       `json:"code,omitempty"`
	Signal int       `json:"signal,omitempty"`
	Why    string    `json:"why,omitempty"`
}

// Stay is when a release served last, for people.
type Stay struct {
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // zero: it serves
	Ended string    `json:"ended,omitempty"`
}

// Trial is how a release fares that failed its check and is tried again.
type Trial struct {
	Release string `json:"release"`
	RunKey  string `json:"run_key"`
	Faults  int    `json:"faults,omitempty"` // failures of its own
	Others  int    `json:"others,omitempty"` // failures whose cause may lie outside
	Own     bool   `json:"own,omitempty"`    // the last one was its own
	Reason  string `json:"reason,omitempty"`
}

// Generation is a child that was started and whose end was not seen.
type Generation struct {
	N           int    `json:"n"`
	Role        string `json:"role"`
	Release     string `json:"release"`
	RunKey      string `json:"run_key"`
	Pid         int    `json:"pid"`
	StartTime   uint64 `json:"start_time"` // clock ticks since boot, field 22 of /proc/PID/stat (proc(5))
	BootID      string `json:"boot_id"`
	SocketInode uint64 `json:"socket_inode"`
	User        *int   `json:"user,omitempty"` // who runs it, by number; -1: the supervisor's own user; nil: not known

	Since time.Time `json:"since,omitzero"` // since when it serves, for people

	Process string `json:"process,omitempty"` // of which process it is an instance; "" for a server
	Index   int    `json:"index,omitempty"`   // which one
	Asked   bool   `json:"asked,omitempty"`   // an instance of a process, which has got its signal to end
}

// VersionError is about a file that a later supervisor wrote. Nothing is wrong with it.
type VersionError struct {
	File    string
	Version int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d and this supervisor knows up to %d: run the later supervisor that wrote it, or move the file away to forget what it says",
		e.File, e.Version, Version)
}

// CorruptError is about a file that no supervisor wrote as it is now.
type CorruptError struct {
	File string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is not a state file: %v", e.File, e.Err)
}

// Unwrap is what is wrong with it.
func (e *CorruptError) Unwrap() error { return e.Err }

// maxBytes bounds a file that is read. A record has some hundred bytes.
const maxBytes = 4 << 20

// read makes a record of a file's bytes. Unknown keys of a known version are passed over: a later
// supervisor may write them.
func read(file string, b []byte) (Record, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := decode(b, &head); err != nil {
		return Record{}, &CorruptError{file, err}
	}
	switch {
	case head.Version > Version:
		return Record{}, &VersionError{file, head.Version}
	case head.Version < 1:
		return Record{}, &CorruptError{file, fmt.Errorf("version = %d: want 1 to %d", head.Version, Version)}
	}
	var r Record
	if err := decode(b, &r); err != nil {
		return Record{}, &CorruptError{file, err}
	}
	return r, nil
}

// decode reads one JSON object and nothing else.
func decode(b []byte, v any) error {
	if len(b) > maxBytes {
		return fmt.Errorf("it is longer than %d MiB", maxBytes>>20)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return errors.New("it is empty")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it ends too early")
		}
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the record")
	}
	return nil
}
