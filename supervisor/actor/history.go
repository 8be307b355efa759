package actor

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// history is when each release of a build last served and why it stopped, and what was made to
// follow the one that serves: the link to the current release, and the static files. It belongs to
// the actor's goroutine; the parts it publishes are never changed.
type history struct {
	stays   map[string]state.Stay // by release
	current string                // what the link to the current release leads to; "": not known
	last    string                // the release that served last
	statics statics
}

// restored starts from what an earlier run wrote.
func (h *history) restored(stays map[string]state.Stay) {
	h.stays = maps.Clone(stays)
	for release, s := range stays {
		if h.last == "" || s.Since.After(stays[h.last].Since) {
			h.last = release
		}
	}
}

// follow records how a turn changed what serves.
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

// whyEnded returns why what served before no longer serves.
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
