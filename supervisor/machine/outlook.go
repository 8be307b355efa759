package machine

import (
	"fmt"
	"time"
)

const notAgain = "not tried again until an input changes or somebody asks"

// again says when something is tried again.
func again(in time.Duration) string {
	switch seconds := (in + time.Second - 1) / time.Second; {
	case seconds <= 0:
		return "tried again now"
	case seconds < 120:
		return fmt.Sprintf("tried again in %d s", seconds)
	default:
		return fmt.Sprintf("tried again in %d min", (seconds+30)/60)
	}
}

// ReasonAt returns Reason, and whether and when what failed is tried again.
func (s State) ReasonAt(now time.Time) string {
	reason := s.Reason()
	next := time.Time{}
	switch {
	case reason == "", s.Want != WantServe, s.Halted != "":
		return reason
	case s.OpenErr != "":
		next = s.OpenAt
	case s.Serving.Unhealthy, s.Serving.N != 0 && !s.Serving.Ready, s.Candidate.N != 0:
		return reason // it is being dealt with
	case s.Serving.N == 0 && !s.RestartAt.IsZero():
		next = s.RestartAt
	case !s.CandidateAt.IsZero():
		next = s.CandidateAt
	case s.onlyMember(reason):
		m, _ := s.memberTrouble()
		next = m.StartAt
	case reason == s.BuildErr:
		return s.BuildErrAt(now)
	case s.rejected() != "":
		return reason + "; " + notAgain
	}
	if next.IsZero() {
		return reason
	}
	return reason + "; " + again(next.Sub(now))
}

// onlyMember says that nothing but a member is in trouble.
func (s State) onlyMember(reason string) bool {
	_, trouble := s.memberTrouble()
	return trouble != "" && reason == trouble
}

// BuildErrAt returns BuildErr, and when the attempt that failed is repeated by itself. One that is not
// says so in its own words.
func (s State) BuildErrAt(now time.Time) string {
	if s.BuildErr == "" || s.BuildAt.IsZero() {
		return s.BuildErr
	}
	return s.BuildErr + "; " + again(s.BuildAt.Sub(now))
}

// NextTry is when something that failed is tried again by itself; zero: nothing waits for that.
func (s State) NextTry() (at time.Time) {
	for _, next := range []time.Time{s.RestartAt, s.CandidateAt, s.BuildAt, s.OpenAt} {
		if !next.IsZero() && (at.IsZero() || next.Before(at)) {
			at = next
		}
	}
	return at
}

// IsWell says that there is nothing to wait for and nothing to worry about: what the file asks for serves
// and is stable, with all replicas and processes, and the last attempt made a release.
func (s State) IsWell() bool {
	for _, list := range [][]Member{s.Serving.Beside, s.Processes} {
		for _, m := range list {
			if !m.Ready || m.Failures > 0 {
				return false
			}
		}
	}
	return s.Want == WantServe && s.Phase() == PhaseRunning && s.Reason() == "" && s.StableAt.IsZero() && s.Serving.Misses == 0 &&
		s.Candidate.N == 0 && !s.Building.Running && s.NeedBuild == NeedNone && s.BuildErr == ""
}

// IsPinned says that what serves, or is to, was chosen by a rollback: newer inputs, or a rebuild, undo it.
func (s State) IsPinned() bool {
	return s.Want == WantServe && s.Release != "" && s.LastBuilt != "" && s.Release != s.LastBuilt && s.rejected() == ""
}

// Lacking returns the release that is to serve and does not, as it failed its check; "" where none did.
func (s State) Lacking() string {
	switch {
	case s.onTrial():
		return s.Trial.Version.Release
	case s.rejected() == "":
		return ""
	}
	for _, release := range []string{s.LastBuilt, s.Release} {
		if _, bad := s.Bad[Version{Release: release, RunKey: s.RunKey}]; bad {
			return release
		}
	}
	return ""
}

// rejected returns why the newest release does not serve and is not tried again, "" if it may.
func (s State) rejected() string {
	// The failure may be long past, but the newest release is still not the one that serves.
	for _, release := range []string{s.LastBuilt, s.Release} {
		v := Version{Release: release, RunKey: s.RunKey}
		if why, bad := s.Bad[v]; bad {
			if release == s.Proven.Release && v != s.Proven {
				return "the changed run settings are not in use: " + why
			}
			return fmt.Sprintf("release %s is not served: %s", release, why)
		}
	}
	return ""
}
