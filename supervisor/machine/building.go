package machine

import (
	"slices"
	"time"
)

// What became of attempts to make a release.

func (t *turn) buildDone(e BuildDone) {
	if !t.Building.Running || t.Building.Seq != e.Seq {
		return
	}
	t.Building = Building{}
	t.BuildErr, t.BuildTry = "", 0
	if t.NeedBuild != NeedNone {
		return // older than what is asked for by now, which may be the same once more
	}
	if e.Seq <= t.Pinned {
		t.LastBuilt = e.Release
		return // somebody rolled back meanwhile
	}
	if !e.Fresh && e.Release == t.LastBuilt {
		return // the same inputs: nothing to do, a rollback stays
	}
	t.LastBuilt = e.Release
	t.Release = e.Release
	kept := t.InUse()
	t.forgive(func(v Version) bool { return v.Release == e.Release || !slices.Contains(kept, v.Release) })
	t.Trouble = ""
	t.hurry()
}

// A failed attempt is repeated without being asked for: an index or a database that was away comes
// back without anybody saying so.
const (
	buildRetryMin = 10 * time.Second
	buildRetryMax = 5 * time.Minute
)

func (t *turn) buildFailed(e BuildFailed) {
	if !t.Building.Running || t.Building.Seq != e.Seq {
		return
	}
	again := NeedCheck
	switch {
	case t.Building.Fresh:
		again = NeedFresh
	case t.Building.Forced:
		again = NeedForced
	}
	t.Building = Building{}
	if e.Seq <= t.Pinned {
		return // somebody rolled back meanwhile
	}
	if !e.Cancelled {
		t.BuildErr = e.Reason
		t.BuildTry++
	}
	if e.Cancelled || t.NeedBuild != NeedNone {
		t.NeedBuild = max(t.NeedBuild, again)
		return
	}
	t.Retry = again
	t.buildAt(t.now.Add(exponential(t.BuildTry, buildRetryMin, buildRetryMax)))
}
