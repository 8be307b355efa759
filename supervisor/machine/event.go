package machine

import "time"

// Version is what a generation runs: a release with the run settings (number of workers, arguments,
// ...) that RunKey identifies. Both are opaque here.
type Version struct {
	Release string
	RunKey  string
}

// Restart says when a serving generation that ended without being told to comes back.
type Restart string

// The values of Restart.
const (
	RestartAlways    Restart = "always"
	RestartOnFailure Restart = "on-failure"
	RestartNever     Restart = "never"
)

// Policy is what the file says about how a build is supervised. All of it applies live. Its
// durations and Failures are positive.
type Policy struct {
	Autostart   bool
	Restart     Restart
	DelayMax    time.Duration // upper bound of the restart backoff
	StableAfter time.Duration // health that long sets the backoff back to zero
	Failures    int           // failed probes in a row that make a generation unhealthy
	Grace       time.Duration // how long a stop lets an irreversible build step go on
	Replicas    int           // server trees side by side; 0 is 1. It goes into RunKey too
	Processes   []ProcessPolicy
}

// ProcessPolicy is what the file says about a long-running process beside the server.
type ProcessPolicy struct {
	Name     string
	Count    int
	Restart  Restart
	Overlap  bool   // its successor is ready before it ends
	Required bool   // a release with which it keeps dying gives way
	Key      string // identifies what it runs in any release, as RunKey does for the server
}

// Event is something that happened to a build. The types that implement it are all in this file.
type Event interface{ event() }

// What the file, its inputs and people ask for.
type (
	// Configured carries what the file says. The first one starts the build's life; one for a build
	// that is being removed brings it back.
	Configured struct {
		Policy  Policy
		RunKey  string
		Rebuild bool // a key that goes into the release changed
	}
	// InputsChanged says that a file that goes into the release may have changed.
	InputsChanged struct{}
	// Removed says that the build is no longer in the file.
	Removed struct{}
	// Shutdown says that the supervisor ends. Held: somebody else holds the public socket open too
	// and gives it to the next supervisor, so whoever connects meanwhile waits for that.
	Shutdown struct{ Held bool }
	// Start, Stop, RestartNow and Rebuild are a person's commands.
	Start      struct{}
	Stop       struct{}
	RestartNow struct{}
	Rebuild    struct {
		Fresh bool // with a new environment
	}
	// Deploy asks for what the inputs are now: an attempt where they have changed, and another try of
	// what failed. A rollback stands where they have not.
	Deploy struct{}
	// Rollback asks for an older release; it stays until an input changes.
	Rollback struct{ Release string }
)

// What an earlier supervisor left.
type (
	// Adopted says, before the first Configured, what the build starts from: generation N serves
	// Version, or (N is 0) Reason says why it no longer does; Open means that the public socket
	// exists.
	Adopted struct {
		N       int
		Version Version
		Pid     int
		Newer   bool      // than the last recorded generation: whatever the record says was overtaken by it
		Since   time.Time // since when it has served, if that is known
		Open    bool
		Alone   bool // no other tree can share its listener, which could not be taken back
		Reason  string
	}
	// AdoptedBeside says, after Adopted, that tree N serves the same version on the same listener.
	AdoptedBeside struct {
		N     int
		Pid   int
		Since time.Time
	}
	// AdoptedProcess says, before the first Configured, that tree N is an instance of a process.
	// RunKey of its Version is the key of that process.
	AdoptedProcess struct {
		N       int
		Process string
		Index   int
		Version Version
		Pid     int
		Since   time.Time
		Ending  bool // it is being ended, and is in Ending already
	}
)

// What became of attempts to make a release.
type (
	// BuildCommitted says that attempt Seq is about to do what cannot be undone (migrate): it is
	// not cancelled for a newer input any more.
	BuildCommitted struct{ Seq int }
	// BuildDone says that attempt Seq ended in Release; not Fresh means that the release already
	// existed.
	BuildDone struct {
		Seq     int
		Release string
		Fresh   bool
	}
	// BuildFailed says that attempt Seq ended without a release.
	BuildFailed struct {
		Seq       int
		Reason    string
		Cancelled bool
		Final     bool // repeating it could do harm: only a person or another input does
	}
)

// Cause says where a failure comes from, and so what another try is worth.
type Cause int

// The values of Cause.
const (
	CauseRelease Cause = iota // the release itself: after the third time it is not tried again
	CauseOutside              // perhaps a database that is away or a busy host: it may pass by itself
	CauseSettled              // another try cannot end otherwise: a login that was refused
	causeHost                 // nothing of the release: no process could be started, no name exchanged
)

// What became of trees and of the public name. N is the number of a tree: of the one that leads a
// generation, of a replica or of a process.
type (
	// Opened and OpenFailed are the results of Open.
	Opened     struct{}
	OpenFailed struct{ Reason string }
	// Spawned and SpawnFailed are the results of Spawn.
	Spawned struct {
		N   int
		Pid int
	}
	SpawnFailed struct {
		N      int
		Reason string
	}
	// Ready says that tree N passed its check: its workers said that they are ready and a probe was
	// answered as expected, or the process is up.
	Ready struct{ N int }
	// ProofFailed says that tree N did not pass its check in time.
	ProofFailed struct {
		N      int
		Reason string
		Cause  Cause
	}
	// Swapped and SwapFailed are the results of Swap.
	Swapped    struct{ N int }
	SwapFailed struct {
		N      int
		Reason string
	}
	// Exited says that the main process of tree N ended without being told to, or hangs by its own
	// word.
	Exited struct {
		N      int
		Reason string
		Clean  bool
		Cause  Cause
	}
	// Ended is the result of End and Retire: nothing of tree N is left.
	Ended struct{ N int }
	// ReleaseGone says that somebody has removed the files of a release.
	ReleaseGone struct{ Release string }
	// NameLost says that the public name of what serves was removed for good. A new socket has it
	// now, on which nothing serves.
	NameLost struct{}
	// ProbeOK and ProbeFailed are the health of a serving tree.
	ProbeOK     struct{ N int }
	ProbeFailed struct {
		N      int
		Reason string
	}
	// Timer says that the timer of that kind, set by SetTimer, fired.
	Timer struct{ Kind TimerKind }
)

// TimerKind names a timer; there is at most one of a kind.
type TimerKind string

// The kinds of timers.
const (
	TimerRestart   TimerKind = "restart"   // the backoff before the public listener is served again
	TimerCandidate TimerKind = "candidate" // the backoff before the next candidate
	TimerStable    TimerKind = "stable"    // StableAfter of unbroken health
	TimerBuild     TimerKind = "build"     // the next attempt after a failed one
	TimerOpen      TimerKind = "open"      // the next attempt to make the public socket
	TimerMembers   TimerKind = "members"   // the next thing that is due of a replica or process
)

func (Configured) event()     {}
func (Adopted) event()        {}
func (AdoptedBeside) event()  {}
func (AdoptedProcess) event() {}
func (InputsChanged) event()  {}
func (Removed) event()        {}
func (Shutdown) event()       {}
func (Start) event()          {}
func (Stop) event()           {}
func (RestartNow) event()     {}
func (Rebuild) event()        {}
func (Deploy) event()         {}
func (Rollback) event()       {}
func (BuildCommitted) event() {}
func (BuildDone) event()      {}
func (BuildFailed) event()    {}
func (Opened) event()         {}
func (OpenFailed) event()     {}
func (Spawned) event()        {}
func (SpawnFailed) event()    {}
func (Ready) event()          {}
func (ProofFailed) event()    {}
func (Swapped) event()        {}
func (SwapFailed) event()     {}
func (Exited) event()         {}
func (Ended) event()          {}
func (ReleaseGone) event()    {}
func (NameLost) event()       {}
func (ProbeOK) event()        {}
func (ProbeFailed) event()    {}
func (Timer) event()          {}
