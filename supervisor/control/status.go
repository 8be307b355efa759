package control

import (
	"encoding/json"
	"fmt"
	"time"
)

// Status is what `status --json` prints.
type Status struct {
	Version string        `json:"version"`
	Pid     int           `json:"pid"`
	Started time.Time     `json:"started"` // UTC, whole seconds in JSON, as all times in this file
	Config  ConfigStatus  `json:"config"`
	Builds  []BuildStatus `json:"builds"`
	Host    string        `json:"host,omitempty"` // as once_on names it; "": not known

	Front     Part `json:"front"`
	Dashboard Part `json:"dashboard"`
	Metrics   Part `json:"metrics"`
	Log       Part `json:"log"` // of the supervisor itself
}

// Part is something that serves people beside the builds.
type Part struct {
	Address string `json:"address"` // "": there is none
	Trouble string `json:"trouble"` // in a sentence; "": it works
}

// ConfigStatus is the state of builds.toml.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Loaded time.Time `json:"loaded"` // when the applied file was read
	Error  string    `json:"error"`  // why the file as it is now is not applied; one error a line
}

// BuildStatus is one build.
type BuildStatus struct {
	Name          string    `json:"name"`
	State         string    `json:"state"` // stopped building starting running unhealthy backoff stopping failed
	Reason        string    `json:"reason"`
	Release       string    `json:"release"`
	Pid           int       `json:"pid"`
	Since         time.Time `json:"since"`    // when the serving generation took over; zero: nothing serves
	Restarts      int       `json:"restarts"` // all of them, those that a person asked for included
	ByHand        int       `json:"restarts_by_hand"`
	LastExit      string    `json:"last_exit"`
	Socket        string    `json:"socket"`
	Location      string    `json:"location"`
	Healthy       bool      `json:"healthy"`
	Building      bool      `json:"building"`
	BuildError    string    `json:"build_error"`
	BuildProgress string    `json:"build_progress,omitempty"` // while building: the step and how far it has come
	Warnings      []string  `json:"warnings,omitempty"`       // what should be changed although it works
	NextTry       time.Time `json:"next_try,omitzero"`        // when something that failed is tried again by itself
	Proving       string    `json:"proving,omitempty"`        // release that is being checked before it takes over
	ProvingSince  time.Time `json:"proving_since,omitzero"`   // since when
	Pinned        bool      `json:"pinned"`                   // somebody rolled back to what serves: it does until the inputs change, or a rebuild
	Failed        *Failed   `json:"failed,omitempty"`         // what is newer and does not serve; nil: nothing
	Remedy        string    `json:"remedy,omitempty"`         // what to do about it, in a sentence; "": nothing is needed
	Releases      []string  `json:"releases"`                 // kept, oldest first
	Commit        *Commit   `json:"commit,omitempty"`         // that the release was made at; nil: not known
	Memory        uint64    `json:"memory"`                   // bytes in RAM of the server's tree; 0: nothing is running, or not known
	CPU           float64   `json:"cpu"`                      // of one core, lately
	Queue         int       `json:"queue"`                    // clients waiting to be accepted; -1: not known
	Requests      *Traffic  `json:"requests,omitempty"`       // of the last half minute; nil: the front passes it none, or that is not known yet
	Sandbox       bool      `json:"sandbox"`                  // whether what serves is in one
	Limits        Limits    `json:"limits"`                   // of what serves

	Replicas  Replicas        `json:"replicas"`            // server trees side by side
	Processes []ProcessStatus `json:"processes,omitempty"` // beside the server

	Tasks     []TaskStatus     `json:"tasks,omitempty"` // commands that run once, and are running
	Schedules []ScheduleStatus `json:"schedules"`       // in the order of the file

	Elsewhere *Elsewhere `json:"elsewhere,omitempty"` // nil: this host does everything
}

// Failed is what was to serve and does not: a release that was not made, or one that did not pass its check.
type Failed struct {
	Release string    `json:"release,omitempty"` // "": none was made
	Step    string    `json:"step,omitempty"`    // of the attempt that made none, where it is known
	At      time.Time `json:"at,omitzero"`       // of the last failure; zero: not known
	Tries   int       `json:"tries"`             // failures in a row; 0: not known
}

// Elsewhere is what of a build another host does, as once_on says.
type Elsewhere struct {
	Host      string   `json:"host"`
	Migrates  bool     `json:"migrates"`  // it migrates the databases, and a release here waits for that
	Processes []string `json:"processes"` // that run there alone
	Schedules []string `json:"schedules"`
}

// On returns what that host does; nil for "", which is none.
func On(host string, migrates bool, processes, schedules []string) *Elsewhere {
	if host == "" {
		return nil
	}
	return &Elsewhere{host, migrates, processes, schedules}
}

// Limits are what each tree of processes of a build may use; 0 is no limit, but for Core.
type Limits struct {
	Memory uint64  `json:"memory,omitempty"` // bytes
	CPU    float64 `json:"cpu,omitempty"`    // processors
	Tasks  int     `json:"tasks,omitempty"`  // processes and threads
	Nofile int     `json:"nofile,omitempty"` // open files of each process
	Core   int64   `json:"core"`             // largest core dump in bytes; 0: there is none, -1: of any size
}

// Replicas says how many server trees of a build serve.
type Replicas struct {
	Want  int   `json:"want"`  // as the file says
	Ready int   `json:"ready"` // that passed their last probe
	Pids  []int `json:"pids"`  // of their main processes
}

// ProcessStatus is one instance of a long-running process.
type ProcessStatus struct {
	Name     string    `json:"name"`
	Index    int       `json:"index"` // from 0 on
	State    string    `json:"state"` // starting running backoff stopping stopped
	Release  string    `json:"release"`
	Pid      int       `json:"pid"`
	Since    time.Time `json:"since,omitzero"` // when it was up
	Restarts int       `json:"restarts"`
	LastExit string    `json:"last_exit"`
	NextTry  time.Time `json:"next_try,omitzero"`
}

// The states of an instance.
const (
	ProcessStarting = "starting"
	ProcessRunning  = "running"
	ProcessBackoff  = "backoff" // it ended, and is started again after a delay
	ProcessStopping = "stopping"
	ProcessStopped  = "stopped" // it ended, and is not started again
)

// Label is how people call it: worker.1.
func (p ProcessStatus) Label() string { return fmt.Sprintf("%s.%d", p.Name, p.Index+1) }

// BuildDetail is the long form of one build.
type BuildDetail struct {
	Status    BuildStatus     `json:"status"`
	History   []ReleaseStatus `json:"history"`    // the newest first
	LastBuild *BuildResult    `json:"last_build"` // null: none is known
	Output    []string        `json:"output"`     // the last lines of what the server printed
	Events    []Event         `json:"events"`     // the last ones, oldest first
}

// Samples is how builds did recently. It is kept if there is a dashboard to show it.
type Samples struct {
	Every  float64             `json:"every_seconds"`
	Builds map[string][]Sample `json:"builds"` // oldest first
}

// Sample is how a build did at one moment.
type Sample struct {
	Time    time.Time `json:"time"`
	Memory  uint64    `json:"memory"`          // bytes
	CPU     float64   `json:"cpu"`             // of one core
	Queue   int       `json:"queue"`           // clients waiting; -1: not known
	Latency *float64  `json:"latency_seconds"` // mean of the health probes since the previous sample; null: there was none

	Requests *Traffic `json:"requests,omitempty"` // since the previous sample; nil: the front passes it none
}

// Traffic is what the front passed to a build in a while.
type Traffic struct {
	Rate   float64  `json:"per_second"`
	Errors float64  `json:"errors_per_second"` // responses 5xx
	P95    *float64 `json:"p95_seconds"`       // 95 of 100 responses began at least as soon; null: there was none
}

// ReleaseStatus is a release that is kept.
type ReleaseStatus struct {
	Release string    `json:"release"`
	Built   time.Time `json:"built"`
	Serves  bool      `json:"serves"`
	Bad     string    `json:"bad"`             // why it is not tried again; "": it may serve
	Since   time.Time `json:"since,omitzero"`  // when it last began to serve; zero: it never did
	Until   time.Time `json:"until,omitzero"`  // when it stopped
	Ended   string    `json:"ended,omitempty"` // why

	Commit  *Commit  `json:"commit,omitempty"`  // of the source when it was made; nil: not known
	By      string   `json:"by,omitempty"`      // the person who asked for it; "": an edit did, or nobody is known
	Because []string `json:"because,omitempty"` // what had changed since the release before

	Steps []StepTook `json:"steps,omitempty"` // by which it was made
}

// Commit is what a source's checkout was at when a release was made of it. Its texts are other
// people's.
type Commit struct {
	Hash    string    `json:"hash"`
	Branch  string    `json:"branch"` // "": none
	Subject string    `json:"subject"`
	Author  string    `json:"author"`
	Time    time.Time `json:"time,omitzero"`
	Changed int       `json:"changed"` // files of the release that were not as committed
}

// Outcome is what has come of an action beside its result.
type Outcome struct {
	Already    bool        `json:"already,omitempty"`     // the result held before: nothing was done
	RolledBack *RolledBack `json:"rolled_back,omitempty"` // of a rollback
}

// RolledBack is which release came in the place of which.
type RolledBack struct {
	From  string    `json:"from"` // the one that served; "": none did
	To    string    `json:"to"`
	Built time.Time `json:"built,omitzero"` // when To was made; zero: not known
}

// Deployed is what has come of a deploy.
type Deployed struct {
	Release string   `json:"release"`      // the one that serves
	From    string   `json:"from"`         // the one that served before; "": none did
	Changed bool     `json:"changed"`      // another server than before: of another release, or with other run settings
	Because []string `json:"because"`      // why the release was made
	Took    float64  `json:"took_seconds"` // until it served
	// NoneLost says that no request was lost. Doubts are what may have cost one otherwise; of a build
	// that served nothing before, or where nothing has changed, there is nothing to say.
	NoneLost bool     `json:"no_request_lost"`
	Doubts   []string `json:"doubts"`
	Commit   *Commit  `json:"commit,omitempty"` // of the release
}

// BuildResult is how the last attempt went, or goes.
type BuildResult struct {
	Release string     `json:"release"` // "": it made none, or has not yet
	Started time.Time  `json:"started"`
	Took    float64    `json:"took_seconds"`
	Result  string     `json:"result"` // running built failed cancelled
	Error   string     `json:"error"`
	Steps   []StepTook `json:"steps"`
}

// StepTook is a finished step of an attempt.
type StepTook struct {
	Step    string  `json:"step"`
	Took    float64 `json:"took_seconds"`
	Skipped bool    `json:"skipped,omitempty"` // it had been done before, as for a shared environment
}

// Event is something that happened.
type Event struct {
	Time    time.Time `json:"time"` // UTC, milliseconds in JSON
	Build   string    `json:"build"`
	Event   string    `json:"event"`
	Release string    `json:"release"`
	Pid     int       `json:"pid"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"` // the person who caused it, "" if nobody did or is known
}

// MarshalJSON keeps the promises about times and lists: RFC 3339 in UTC, never null. Builds are
// encoded in one call: there may be a thousand.
func (s Status) MarshalJSON() ([]byte, error) {
	type build BuildStatus // without its own MarshalJSON
	type plain Status
	all := make([]build, len(s.Builds))
	for i, b := range s.Builds {
		all[i] = build(b.normal())
	}
	s.Started = s.Started.UTC().Truncate(time.Second)
	s.Config.Loaded = s.Config.Loaded.UTC().Truncate(time.Second)
	return json.Marshal(struct {
		plain
		Builds []build `json:"builds"` // hides the one of plain
	}{plain(s), all})
}

// normal returns b with its times and lists as promised.
func (b BuildStatus) normal() BuildStatus {
	b.Since = b.Since.UTC().Truncate(time.Second)
	b.NextTry = b.NextTry.UTC().Truncate(time.Second)
	b.ProvingSince = b.ProvingSince.UTC().Truncate(time.Second)
	if b.Failed != nil {
		failed := *b.Failed
		failed.At = failed.At.UTC().Truncate(time.Second)
		b.Failed = &failed
	}
	if b.Releases == nil {
		b.Releases = []string{}
	}
	schedules := make([]ScheduleStatus, len(b.Schedules))
	for i, s := range b.Schedules {
		schedules[i] = s.normal()
	}
	b.Schedules = schedules
	return b
}

// MarshalJSON keeps the promises about times and lists.
func (b BuildStatus) MarshalJSON() ([]byte, error) {
	type plain BuildStatus
	return json.Marshal(plain(b.normal()))
}

// MarshalJSON keeps the promise about the time.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	return json.Marshal(plain(e))
}

// MarshalJSON keeps the promise about lists.
func (d BuildDetail) MarshalJSON() ([]byte, error) {
	type plain BuildDetail
	if d.History == nil {
		d.History = []ReleaseStatus{}
	}
	if d.Output == nil {
		d.Output = []string{}
	}
	if d.Events == nil {
		d.Events = []Event{}
	}
	return json.Marshal(plain(d))
}

// MarshalJSON keeps the promise about times.
func (r ReleaseStatus) MarshalJSON() ([]byte, error) {
	type plain ReleaseStatus
	for _, t := range []*time.Time{&r.Built, &r.Since, &r.Until} {
		*t = t.UTC().Truncate(time.Second)
	}
	return json.Marshal(plain(r))
}

// MarshalJSON keeps the promises about times and lists.
func (r BuildResult) MarshalJSON() ([]byte, error) {
	type plain BuildResult
	r.Started = r.Started.UTC().Truncate(time.Second)
	if r.Steps == nil {
		r.Steps = []StepTook{}
	}
	return json.Marshal(plain(r))
}

// MarshalJSON keeps the promise about lists.
func (s Samples) MarshalJSON() ([]byte, error) {
	type plain Samples
	if s.Builds == nil {
		s.Builds = map[string][]Sample{}
	}
	return json.Marshal(plain(s))
}

// MarshalJSON keeps the promise about the time.
func (s Sample) MarshalJSON() ([]byte, error) {
	type plain Sample
	s.Time = s.Time.UTC().Truncate(time.Second)
	return json.Marshal(plain(s))
}

// MarshalJSON keeps the promise about lists.
func (d Deployed) MarshalJSON() ([]byte, error) {
	type plain Deployed
	if d.Because == nil {
		d.Because = []string{}
	}
	if d.Doubts == nil {
		d.Doubts = []string{}
	}
	return json.Marshal(plain(d))
}

// MarshalJSON keeps the promise about the time.
func (r RolledBack) MarshalJSON() ([]byte, error) {
	type plain RolledBack
	r.Built = r.Built.UTC().Truncate(time.Second)
	return json.Marshal(plain(r))
}

// MarshalJSON keeps the promise about the time.
func (c Commit) MarshalJSON() ([]byte, error) {
	type plain Commit
	c.Time = c.Time.UTC().Truncate(time.Second)
	return json.Marshal(plain(c))
}
