package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// history is when each release of a build served last, and why it ceased to.
// It belongs to the actor's goroutine; what is shown of it is never changed.
type history struct {
	stays map[string]state.Stay // by release
	last  string                // the release that served last
}

// restored takes up what an earlier run wrote.
func (h *history) restored(stays map[string]state.Stay) {
	h.stays = maps.Clone(stays)
	for release, s := range stays {
		if h.last == "" || s.Since.After(stays[h.last].Since) {
			h.last = release
		}
	}
}

// follow notes what a turn did to what serves.
func (h *history) follow(before, now *machine.State, at time.Time) {
	was, is := before.Serving, now.Serving
	if was.N == is.N {
		return
	}
	at = at.UTC().Round(0)
	stays := maps.Clone(h.stays)
	if stays == nil {
		stays = map[string]state.Stay{}
	}
	if left := was.Version.Release; left != "" && left != is.Version.Release {
		s := stays[left]
		s.Until, s.Ended = at, whyEnded(before, now)
		stays[left] = s
	}
	if came := is.Version.Release; came != "" {
		s := stays[came]
		if came != h.last || s.Since.IsZero() {
			s.Since = at
		}
		s.Until, s.Ended = time.Time{}, ""
		stays[came] = s
		h.last = came
	}
	h.stays = stays
}

// whyEnded says why what served before does not serve now.
func whyEnded(before, now *machine.State) string {
	was, is := before.Serving.Version, now.Serving.Version
	reason, bad := now.Bad[was]
	switch {
	case is.Release != "" && bad:
		return fmt.Sprintf("gave way to %s: %s", is.Release, reason)
	case is.Release != "" && is.Release < was.Release: // they sort by time
		return "rolled back to " + is.Release
	case is.Release != "":
		return "replaced by " + is.Release
	case now.Want == machine.WantStopped:
		return "stopped"
	case now.Want == machine.WantRemoved:
		return "removed from the file"
	case now.Want == machine.WantShutdown:
		return "the supervisor stopped"
	}
	return now.LastExit
}

// prune forgets releases that are not kept.
func (h *history) prune(kept []string) {
	stays := maps.Clone(h.stays)
	maps.DeleteFunc(stays, func(release string, _ state.Stay) bool {
		return release != h.last && !slices.Contains(kept, release)
	})
	h.stays = stays
}

// Detail answers all that is known of one build.
func (s *Supervisor) Detail(name string) (control.BuildDetail, error) {
	a, err := s.find(name)
	if err != nil {
		return control.BuildDetail{}, err
	}
	s.refreshUsage()
	d := control.BuildDetail{Status: a.status()}
	releases, err := build.List(s.root, name)
	if err != nil {
		return d, err
	}
	v := a.view.Load()
	for _, r := range slices.Backward(releases) {
		stay := v.stays[r.ID]
		d.History = append(d.History, control.ReleaseStatus{
			Release: r.ID, Built: r.Created, Serves: r.ID == v.state.Serving.Version.Release, Bad: badOf(v.state, r.ID),
			Since: stay.Since, Until: stay.Until, Ended: stay.Ended,
		})
	}
	d.LastBuild = a.attempts.last()
	if d.LastBuild == nil && len(releases) > 0 {
		d.LastBuild = resultOf(releases[len(releases)-1])
	}
	d.Events = s.events.feed.Of(name, detailEvents)
	err = s.Log(a.hard, name, control.LogQuery{Lines: detailLines}, func(text []byte) error {
		d.Output = linesOf(text)
		return nil
	})
	return d, err
}

// How much of what came last the long form of a build shows.
const (
	detailEvents = 10
	detailLines  = 10
)

// badOf answers why a release is not tried again, "" where it may be.
func badOf(st *machine.State, release string) string {
	for _, key := range []string{st.RunKey, st.Proven.RunKey} {
		if why, bad := st.Bad[machine.Version{Release: release, RunKey: key}]; bad {
			return why
		}
	}
	return ""
}

// resultOf is what a release says of the build that made it.
func resultOf(r build.Release) *control.BuildResult {
	b := &control.BuildResult{Release: r.ID, Result: "built"}
	total := time.Duration(0)
	for _, s := range r.Steps {
		b.Steps = append(b.Steps, control.StepTook{Step: s.Name, Took: s.Took.Seconds(), Skipped: s.Skipped})
		total += s.Took
	}
	b.Took, b.Started = total.Seconds(), r.Created.Add(-total)
	return b
}
