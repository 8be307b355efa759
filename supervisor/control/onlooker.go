package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// NewOnlookers is NewHandler for people who may see states and events, but nothing that a build
// printed: reasons quote it. It serves no logs, and nothing can be changed by it.
func NewOnlookers(b Backend, m *Metrics, log hclog.Logger) http.Handler {
	forever := context.Background()
	return &api{
		backend: onlooker{b}, metrics: m, log: log, life: forever, ending: forever.Done(), shown: withoutOutput,
		guard: func(ctx context.Context, write bool) (context.Context, error) {
			if write {
				return ctx, errOnlooker
			}
			return ctx, nil
		},
	}
}

var errOnlooker = errors.New("not for those who may only look")

// onlooker is a Backend as onlookers see it.
type onlooker struct{ Backend }

// Status returns the state of everything.
func (o onlooker) Status(usage bool) Status {
	s := o.Backend.Status(usage)
	var places []string // where the file is wrong, without what it says there
	for line := range strings.Lines(s.Config.Error) {
		places = append(places, brief(strings.TrimSuffix(line, "\n")))
	}
	s.Config.Error = strings.Join(places, "\n")
	builds := make([]BuildStatus, len(s.Builds))
	for i, b := range s.Builds {
		builds[i] = briefly(b)
	}
	s.Builds, s.Host = builds, ""
	return s
}

// Detail returns what is known of a build.
func (o onlooker) Detail(name string) (BuildDetail, error) {
	d, err := o.Backend.Detail(name)
	d.Status, d.Output = briefly(d.Status), nil
	history := make([]ReleaseStatus, len(d.History))
	for i, r := range d.History {
		r.Bad, r.Ended, r.By, r.Commit, r.Because = brief(r.Bad), brief(r.Ended), "", hashOnly(r.Commit), nil
		history[i] = r
	}
	d.History = history
	if d.LastBuild != nil {
		last := *d.LastBuild
		last.Error = brief(last.Error)
		d.LastBuild = &last
	}
	events := make([]Event, len(d.Events))
	for i, e := range d.Events {
		e.Reason, e.By = brief(e.Reason), ""
		events[i] = e
	}
	d.Events = events
	return d, err
}

// Log returns nothing.
func (onlooker) Log(context.Context, string, LogQuery, func([]byte) error) error { return errOnlooker }

func briefly(b BuildStatus) BuildStatus {
	b.Reason, b.LastExit, b.BuildError = brief(b.Reason), brief(b.LastExit), brief(b.BuildError)
	warnings := make([]string, len(b.Warnings))
	for i, w := range b.Warnings {
		warnings[i] = brief(w)
	}
	b.Warnings = warnings
	b.Commit, b.Elsewhere = hashOnly(b.Commit), nil
	processes := slices.Clone(b.Processes)
	for i := range processes {
		processes[i].LastExit = brief(processes[i].LastExit)
	}
	b.Processes = processes
	schedules := make([]ScheduleStatus, len(b.Schedules))
	for i, s := range b.Schedules {
		s.Trouble = brief(s.Trouble)
		if s.Last != nil {
			last := *s.Last
			last.Exit, last.Output = brief(last.Exit), nil
			s.Last = &last
		}
		schedules[i] = s
	}
	b.Schedules = schedules
	return b
}

// hashOnly returns a commit without what people wrote.
func hashOnly(c *Commit) *Commit {
	if c == nil {
		return nil
	}
	return &Commit{Hash: c.Hash, Time: c.Time, Changed: c.Changed}
}

// brief returns the first clause of a reason, which is our own word. What a build printed comes after
// a colon, a semicolon or in brackets.
func brief(reason string) string {
	end := len(reason)
	for _, mark := range []string{": ", "; ", " (", " | ", "\n"} {
		if i := strings.Index(reason, mark); i >= 0 {
			end = min(end, i)
		}
	}
	if end == len(reason) {
		return reason
	}
	return reason[:end] + " …"
}

// withoutOutput returns the JSON of an event as onlookers see it.
func withoutOutput(text []byte) []byte {
	var e Event
	if json.Unmarshal(text, &e) != nil {
		return nil // it is ours: this does not happen
	}
	e.Reason, e.By = brief(e.Reason), ""
	text, err := json.Marshal(e)
	if err != nil {
		return nil // as above
	}
	return text
}
