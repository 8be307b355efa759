package control

import (
	"encoding/json"
	"time"
)

// Status is what `status --json` prints.
type Status struct {
	Version string        `json:"version"`
	Pid     int           `json:"pid"`
	Started time.Time     `json:"started"` // UTC, whole seconds in JSON, as all times in here
	Config  ConfigStatus  `json:"config"`
	Builds  []BuildStatus `json:"builds"`
}

// ConfigStatus is the state of builds.toml.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Loaded time.Time `json:"loaded"` // when what holds now was read
	Error  string    `json:"error"`  // why the file as it is now was not taken; one error a line
}

// BuildStatus is one build.
type BuildStatus struct {
	Name          string    `json:"name"`
	State         string    `json:"state"` // stopped building starting running unhealthy backoff stopping failed
	Reason        string    `json:"reason"`
	Release       string    `json:"release"`
	Pid           int       `json:"pid"`
	Since         time.Time `json:"since"` // when the serving generation took over; zero: nothing serves
	Restarts      int       `json:"restarts"`
	LastExit      string    `json:"last_exit"`
	Socket        string    `json:"socket"`
	Location      string    `json:"location"`
	Healthy       bool      `json:"healthy"`
	Building      bool      `json:"building"`
	BuildError    string    `json:"build_error"`
	BuildProgress string    `json:"build_progress,omitempty"` // while building: the step and how far it is
	Releases      []string  `json:"releases"`
}

// Event is something that happened.
type Event struct {
	Time    time.Time `json:"time"` // UTC, milliseconds in JSON
	Build   string    `json:"build"`
	Event   string    `json:"event"`
	Release string    `json:"release"`
	Pid     int       `json:"pid"`
	Reason  string    `json:"reason"`
}

// MarshalJSON keeps the promises about times and lists: RFC 3339 in UTC, never null.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Started = s.Started.UTC().Truncate(time.Second)
	s.Config.Loaded = s.Config.Loaded.UTC().Truncate(time.Second)
	if s.Builds == nil {
		s.Builds = []BuildStatus{}
	}
	return json.Marshal(plain(s))
}

// MarshalJSON keeps the promises about times and lists.
func (b BuildStatus) MarshalJSON() ([]byte, error) {
	type plain BuildStatus
	b.Since = b.Since.UTC().Truncate(time.Second)
	if b.Releases == nil {
		b.Releases = []string{}
	}
	return json.Marshal(plain(b))
}

// MarshalJSON keeps the promise about the time.
func (e Event) MarshalJSON() ([]byte, error) {
	type plain Event
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	return json.Marshal(plain(e))
}
