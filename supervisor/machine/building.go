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
	t.BuildErr, t.BuildTry, t.Final = "", 0, false
	if e.Release == t.Gone {
		t.Gone = "" // somebody has put it back
	}
	if t.NeedBuild != NeedNone {
		return // superseded: a newer attempt is wanted, perhaps of the same inputs
	}
	if e.Seq <= t.Pinned {
		t.LastBuilt = e.Release
		return // rolled back in the meantime
	}
	if !e.Fresh && e.Release == t.LastBuilt {
		return // the same inputs: nothing to do, a rollback stands
	}
	t.LastBuilt = e.Release
	t.Release = e.Release
	kept := t.InUse()
	t.forgive(func(v Version) bool { return v.Release == e.Release || !slices.Contains(kept, v.Release) })
	t.Trouble = ""
	t.hurry()
}

// A failed attempt is repeated without a request: a package index or a database that was down comes
// back without notice.
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
		return // rolled back in the meantime
	}
	if !e.Cancelled {
		t.BuildErr, t.Final = e.Reason, e.Final
		t.BuildTry++
		t.Failed = Failure{At: t.now, Tries: t.BuildTry}
	}
	if e.Final && !e.Cancelled {
		t.BuildTry = 0
		return // what was asked for meanwhile is in NeedBuild already
	}
	if e.Cancelled || t.NeedBuild != NeedNone {
		t.NeedBuild = max(t.NeedBuild, again)
		return
	}
	t.Retry = again
	t.buildAt(t.now.Add(exponential(t.BuildTry, buildRetryMin, buildRetryMax)))
}
