package machine

import "time"

// Effect is something the machine wants done. Effects of one step are carried out in their order;
// the types that implement it are all in this file.
type Effect interface{ effect() }

// Effects on the public name.
type (
	// Open makes the public socket. The result comes as Opened or OpenFailed.
	Open struct{}
	// Refuse makes the supervisor itself answer 503 on the public listener, or stop doing so. Until
	// is when it is served again, if that is known (for Retry-After).
	Refuse struct {
		On    bool
		Until time.Time
	}
	// Withdraw removes the public name. Clients already in the queue stay with the generation that
	// serves them, or are refused if there is none.
	Withdraw struct{}
	// Leave leaves the public socket with its name and its queue to the next supervisor.
	Leave struct{}
)

// Effects on generations.
type (
	// Spawn starts tree N: a server on the public listener, where clients wait (Public), on the
	// staging socket of the candidate With, or on one of its own; or an instance of a Process. The
	// result comes as Spawned or SpawnFailed, later as Ready, ProofFailed or Exited.
	Spawn struct {
		N       int
		Version Version
		Public  bool
		With    int
		Process string
		Index   int
	}
	// Swap gives the public name to generation N, which passed its check. The result comes as
	// Swapped or SwapFailed. Clients queued on the old listener while no generation serves it are
	// passed on to the new one.
	Swap struct{ N int }
	// Retire lets tree N of a swapped-out or withdrawn generation finish: its accept queue drains, then
	// it ends as by End. Hung: it does not accept its queue, which is passed on. The result comes
	// as Ended.
	Retire struct {
		N    int
		Hung bool
	}
	// End tells the whole tree N to end before it returns, and kills it after the grace period. It
	// closes the staging socket, if N had one. The result comes as Ended.
	End struct{ N int }
	// Watch starts the health probes of serving tree N.
	Watch struct{ N int }
)

// Effects on attempts, timers and records.
type (
	// Build makes an attempt at a release of the inputs as they are now. The result comes as
	// BuildDone or BuildFailed.
	Build struct {
		Seq   int
		Force bool
		Fresh bool // and in a new environment
	}
	// CancelBuild cancels attempt Seq after Grace if it is still running then; it ends with
	// BuildFailed. A CancelBuild that crosses with BuildCommitted comes too late and may be
	// ignored: it is repeated if it is still wanted.
	CancelBuild struct {
		Seq   int
		Grace time.Duration
	}
	// SetTimer sets the timer of a kind to fire at a time; the zero time stops it.
	SetTimer struct {
		Kind TimerKind
		At   time.Time
	}
	// Save writes down what must outlive the supervisor.
	Save struct{}
	// Note tells people and followers of events what happened.
	Note struct {
		Event   EventName
		N       int
		Release string
		Reason  string
		Times   int // of a replica or process that failed: in a row
	}
	// Gone says that nothing of the build is left: the machine's life has ended.
	Gone struct{}
)

func (Open) effect()        {}
func (Refuse) effect()      {}
func (Withdraw) effect()    {}
func (Leave) effect()       {}
func (Spawn) effect()       {}
func (Swap) effect()        {}
func (Retire) effect()      {}
func (End) effect()         {}
func (Watch) effect()       {}
func (Build) effect()       {}
func (CancelBuild) effect() {}
func (SetTimer) effect()    {}
func (Save) effect()        {}
func (Note) effect()        {}
func (Gone) effect()        {}
