package control

import "time"

// ScheduleStatus is a schedule of a build.
type ScheduleStatus struct {
	Name        string     `json:"name"`
	Cron        string     `json:"cron,omitempty"`     // one of the two
	Every       string     `json:"every,omitempty"`    // such as 15m0s
	Timezone    string     `json:"timezone,omitempty"` // "": the system's
	Next        time.Time  `json:"next,omitzero"`      // zero: not while the build is as it is, or never
	Running     int        `json:"running"`            // runs under way
	Last        *RunStatus `json:"last"`               // the run that ended last; null: none is known
	LastSuccess time.Time  `json:"last_success,omitzero"`
	Trouble     string     `json:"trouble,omitempty"` // why it cannot run
}

// RunStatus is a run of a schedule that has ended.
type RunStatus struct {
	Started time.Time `json:"started"`
	Took    float64   `json:"took_seconds"`
	Result  string    `json:"result"`  // good failed timed_out stopped unknown
	Exit    string    `json:"exit"`    // how it ended, in words
	Release string    `json:"release"` // that it ran from
	Output  []string  `json:"output"`  // the last lines that it printed
}

// The results of a run, and of a time of a schedule at which there was none.
const (
	ResultGood    = "good"
	ResultFailed  = "failed"
	ResultLate    = "timed_out"
	ResultStopped = "stopped"
	ResultUnknown = "unknown"
	ResultLeftOut = "left_out"
	ResultMissed  = "missed"
)

// normal returns s with its times and lists as promised.
func (s ScheduleStatus) normal() ScheduleStatus {
	s.Next, s.LastSuccess = s.Next.UTC().Truncate(time.Second), s.LastSuccess.UTC().Truncate(time.Second)
	if s.Last != nil {
		last := *s.Last
		last.Started = last.Started.UTC().Truncate(time.Second)
		if last.Output == nil {
			last.Output = []string{}
		}
		s.Last = &last
	}
	return s
}
