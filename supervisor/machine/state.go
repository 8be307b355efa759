package machine

import "time"

// State is everything the machine knows about one build. The zero State is a build nobody has
// configured yet. Its slices and maps are never changed in place, so that a State may be kept and
// compared.
type State struct {
	Policy Policy
	RunKey string // the run settings the file asks for
	Want   Want
	ByHand bool   // it is stopped because somebody asked, whatever the file says
	Before Want   // what Want was when the supervisor began to end
	Held   bool   // the public socket is for the next supervisor, once this one ends
	Halted string // why it is not started again, by its restart policy

	// Attempts to make a release.
	Building  Building
	NeedBuild Need
	Retry     Need      // how urgently a failed attempt is repeated, at BuildAt
	BuildErr  string    // why the last attempt failed
	Final     bool      // it is not repeated until an input changes or somebody asks
	BuildTry  int       // failed attempts in a row
	BuildAt   time.Time // when the next attempt is made; zero: not waiting
	Builds    int       // attempts begun, the source of Building.Seq
	LastBuilt string    // result of the last good attempt: only a different one changes Release
	Pinned    int       // attempts up to this Seq began before a rollback and do not undo it

	// Releases.
	Release  string             // the one that should serve; "" while there is none
	Previous string             // the one that served before the serving one
	Bad      map[Version]string // versions that failed, and why
	Gone     string             // the release that serves, where its files are gone: it cannot be started again

	// Generations.
	Spawned   int // generations begun, the source of N
	Serving   Generation
	Candidate Generation
	Ending    []int   // trees that are being ended
	Proven    Version // what served last: may be started on the public listener without a check
	Swapping  bool
	Again     bool      // a person asked for a restart
	Anew      bool      // it was stopped, and nothing has served since
	Processes []Member  // long-running processes beside the server
	Alone     bool      // no other tree can share the listener of what serves: replicas need an exchange
	MembersAt time.Time // when something of a member is due next; zero: nothing is

	// The public name.
	Open     bool
	Opening  bool
	OpenErr  string
	OpenAt   time.Time
	Refusing bool
	Lost     bool // it was deleted for good: a new socket has it, and what serves is on the one before

	// Trouble.
	Failures       int       // deaths of the serving generation since it was last stable
	RestartAt      time.Time // when the public listener is served again; zero: not waiting
	Tries          int       // failed candidates since the last success or change
	CandidateAt    time.Time // when the next candidate may start; zero: not waiting
	Trial          Trial     // of a version that failed and is tried again
	StableAt       time.Time // when the serving generation counts as stable; zero: it is
	Fallback       Version   // what to go back to while the serving one is not stable yet
	Restarts       int
	RestartsByHand int // of these, those that a person asked for
	Failed         Failure
	LastExit       string
	Trouble        string // what went wrong last, for people; "" when all is well

	Dead bool // Gone was emitted
}

// Failure is when an attempt or a candidate failed last, for people.
type Failure struct {
	At    time.Time // zero: none did in this run
	Tries int       // failures in a row
}

// Want says what a build is meant to do.
type Want string

// The values of Want. The zero value is a build nobody has configured.
const (
	WantUnknown  Want = ""
	WantServe    Want = "serve"
	WantStopped  Want = "stopped" // by hand, or not started automatically
	WantRemoved  Want = "removed"
	WantShutdown Want = "shutdown"
)

// Need says how urgently an attempt to make a release is needed.
type Need int

// The values of Need.
const (
	NeedNone   Need = iota
	NeedCheck       // inputs may have changed
	NeedForced      // a new release even of the same inputs
	NeedFresh       // and in a new environment
)

// Building is the running attempt to make a release, if there is one.
type Building struct {
	Seq        int
	Running    bool
	Forced     bool
	Fresh      bool
	Committed  bool // can no longer be undone
	Cancelling bool
}

// Tree is a running process tree as the machine knows it; N is zero for none.
type Tree struct {
	N         int
	Version   Version
	Pid       int
	Ready     bool // passed its check
	Misses    int  // failed probes in a row
	Unhealthy bool
	Reason    string    // of the last failed probe
	Since     time.Time // when it was spawned; once it serves, since when it does
}

// Generation is what runs one version on one listener: a server tree, which leads, and others beside
// it (replicas). It is known by the number of the one that leads.
type Generation struct {
	Tree
	Beside []Member
	Asked  bool // a person asked for it, by a restart
	Deaths int  // of its trees, since it was last stable
}

// Member is one tree of several: a replica, or an instance of a process. The zero Tree is one that does
// not run at the moment.
type Member struct {
	Tree
	Process  string // its name; "" for a replica
	Index    int
	Old      int       // the tree that it replaces, which runs until this one is ready
	After    int       // the tree that must have ended before this one starts
	Stale    bool      // to be replaced, even by the same version
	Failures int       // deaths since it was last stable
	StartAt  time.Time // when it is started again; zero: not waiting
	StableAt time.Time // when it counts as stable; zero: it is, or does not run
	Restarts int
	LastExit string
	Halted   string // why it is not started again, by its restart policy
}

// Phase is the contract's state of a build.
type Phase string

// The phases, as `status` shows them. The picture shows the usual transitions; the list below it is
// complete, with the events that cause each.
//
//	stopped ──► building ──► starting ──► running ──► unhealthy
//	   ▲          │  ▲        │   ▲  ▲      │  ▲          │
//	   │          ▼  │        ▼   │  └──────┘  └──────────┘
//	   │         failed     backoff
//	   │
//	stopping ◄── any of them
//
//	stopped, stopping  -> building   Start, RestartNow
//	stopping, starting -> building   Configured
//	stopping           -> starting   Configured, Start, RestartNow
//	stopped            -> starting   Configured, Start, RestartNow, Rebuild, Deploy, Rollback, BuildDone
//	building           -> failed     BuildFailed
//	building           -> starting   BuildDone, Rollback
//	failed             -> building   Timer, InputsChanged, Configured, Start, RestartNow, Rebuild, Deploy
//	failed             -> starting   Rollback
//	starting           -> running    Adopted, Swapped, Ready
//	starting           -> backoff    ProofFailed, Exited, SpawnFailed, SwapFailed
//	backoff            -> starting   Timer, BuildDone, Configured, Start, RestartNow, Rebuild, Deploy, Rollback, Opened
//	running            -> starting   Exited
//	running            -> backoff    Exited
//	running            -> unhealthy  ProbeFailed
//	unhealthy          -> running    ProbeOK, Swapped, Ready
//	unhealthy          -> starting   Exited
//	unhealthy          -> backoff    Exited
//
// By the restart policy, when there is nothing else to try:
//
//	running, unhealthy -> stopped    Exited
//	starting           -> stopped    Exited, ProofFailed, SpawnFailed, SwapFailed
//
// Where somebody has removed the files of what served last or is to serve, and nothing else can:
//
//	backoff                      -> starting   ReleaseGone
//	starting, backoff            -> building   ReleaseGone
//	starting, backoff            -> failed     ReleaseGone
//	starting                     -> stopped    ReleaseGone
//	starting, running, unhealthy -> building   Exited
//	starting, running, unhealthy -> failed     Exited
//	starting                     -> building   ProofFailed
//	starting                     -> failed     ProofFailed
//	stopped                      -> building   Configured, Rebuild, Deploy
//	stopped                      -> failed     Configured
//	failed                       -> stopping   Stop, Removed, Shutdown
//
// By a stop, at once if nothing is running:
//
//	building, starting, running, unhealthy, backoff, stopped -> stopping   Stop, Removed, Shutdown
//	failed, starting, backoff                                -> stopped    Stop, Removed, Shutdown
//	stopping                                                 -> stopped    Ended, BuildFailed, BuildDone
//
// TestPhasesGoAsDrawn checks this list against random histories.
const (
	PhaseStopped   Phase = "stopped"
	PhaseBuilding  Phase = "building" // nothing serves yet
	PhaseStarting  Phase = "starting"
	PhaseRunning   Phase = "running"
	PhaseUnhealthy Phase = "unhealthy"
	PhaseBackoff   Phase = "backoff"
	PhaseStopping  Phase = "stopping"
	PhaseFailed    Phase = "failed" // nothing to run: the first build failed
)

// Phase returns where the build is in its life. A build that serves stays in the phase of what
// serves while a new release is built or checked.
func (s State) Phase() Phase {
	switch {
	case s.Want == WantUnknown && s.Serving.N != 0:
		return PhaseRunning // adopted; the file's entry comes next
	case s.Want == WantUnknown:
		return PhaseStarting // the same, but still to be started or built
	case s.Want != WantServe:
		if s.busy() {
			return PhaseStopping
		}
		return PhaseStopped
	case s.Serving.N != 0 && !s.Serving.Ready:
		return PhaseStarting
	case s.Serving.N != 0 && s.Serving.Unhealthy:
		return PhaseUnhealthy
	case s.Serving.N != 0:
		return PhaseRunning
	case s.Candidate.N != 0:
		return PhaseStarting
	case s.Halted != "":
		return PhaseStopped
	case !s.RestartAt.IsZero() || !s.CandidateAt.IsZero():
		return PhaseBackoff
	case s.Release != "":
		return PhaseStarting
	case s.BuildErr != "" && !s.Building.Running:
		return PhaseFailed
	}
	return PhaseBuilding
}

// Reason returns in a sentence why the build is not simply running what its file asks for, or ""
// when it is.
func (s State) Reason() string {
	switch {
	case s.Want == WantStopped && !s.busy() && !s.Policy.Autostart:
		return "not started automatically (autostart = false)"
	case s.Want == WantStopped && !s.busy():
		return "stopped by hand, and stays stopped across restarts of the supervisor"
	case s.Want != WantServe:
		return ""
	case s.OpenErr != "":
		return s.OpenErr
	case s.Halted != "":
		return s.Halted
	case s.Serving.Unhealthy:
		return s.Serving.Reason
	case s.Trouble != "":
		return s.Trouble
	case s.Release == "":
		return s.BuildErr
	case s.onTrial():
		return s.Trial.Reason
	}
	if reason := s.rejected(); reason != "" || s.Serving.N == 0 {
		return reason
	}
	_, reason := s.memberTrouble()
	return reason
}

// busy says that something of the build is still running.
func (s State) busy() bool {
	return s.Serving.N != 0 || s.Candidate.N != 0 || len(s.Ending) > 0 || s.Building.Running
}

// desired is the version that should serve, or the zero one.
func (s State) desired() Version {
	if s.Release == "" {
		return Version{}
	}
	return Version{Release: s.Release, RunKey: s.RunKey}
}

// target is the version to run: the desired one, or what served before if that one is known to be
// bad, or has just failed while what serves hangs. If nothing ever served, even a bad one is tried
// again: serving late is better than never.
func (s State) target() Version {
	want := s.desired()
	_, bad := s.Bad[want]
	again := s.Proven.Release != "" && !(s.Proven.Release == s.Gone && s.replaced())
	if again && (bad || s.replaced() && s.onTrial() && s.Trial.Yields) {
		return s.Proven
	}
	return want
}

// replaced says that what serves is to be replaced, even by the same version.
func (s State) replaced() bool { return s.Serving.Unhealthy || s.Lost }

// InUse lists the releases that may be served without being built again; they must not be pruned.
func (s State) InUse() []string {
	var ids []string
	for _, id := range []string{
		s.Release, s.Previous, s.LastBuilt, s.Proven.Release, s.Fallback.Release,
		s.Serving.Version.Release, s.Candidate.Version.Release,
	} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	for _, m := range s.Processes {
		if m.Version.Release != "" {
			ids = append(ids, m.Version.Release)
		}
	}
	return ids
}
