package machine

import (
	"maps"
	"time"
)

// What the file and people ask for.

func (t *turn) configured(e Configured) {
	t.Policy = e.Policy
	if t.RunKey != e.RunKey {
		before := t.Trial
		if t.RunKey != "" { // a new supervisor is no reason to try a bad release once more
			t.forgive(func(v Version) bool { return v.RunKey == e.RunKey })
			before = Trial{}
		}
		t.RunKey = e.RunKey
		t.hurry()
		t.resume(before)
		if t.Serving.Ready {
			t.Trouble = "" // it was of the run settings before
		}
		if t.BuildErr != "" {
			t.need(NeedCheck) // the steps have that environment too
		}
	}
	if t.Halted != "" && e.Policy.Restart == RestartAlways {
		t.hurry()
	}
	if t.Serving.N != 0 && t.Serving.Version.RunKey == e.RunKey {
		t.resize()
	}
	if t.Want == WantUnknown || t.Want == WantRemoved {
		t.Want, t.ByHand = WantStopped, false
		if e.Policy.Autostart || t.Serving.N != 0 {
			t.Want = WantServe // also if it was started by hand and adopted while serving
		}
		if t.Serving.N != 0 {
			t.stableAt(t.now.Add(t.Policy.StableAfter))
		}
		t.need(NeedCheck)
	}
	if t.Want == WantStopped && !t.ByHand && e.Policy.Autostart { // as the file did not want until now
		t.Want = WantServe
		t.need(NeedCheck)
	}
	if e.Rebuild {
		t.need(NeedCheck)
	}
}

func (t *turn) rebuild(e Rebuild) {
	n := NeedForced
	if e.Fresh {
		n = NeedFresh
	}
	t.need(n)
	t.hurry()
}

// need asks for an attempt now, also where a failed one was waiting to be repeated.
func (t *turn) need(n Need) {
	t.NeedBuild, t.Retry = max(t.NeedBuild, n, t.Retry), NeedNone
	t.buildAt(time.Time{})
}

func (t *turn) leave(w Want) {
	if t.Want == WantShutdown {
		return
	}
	if w == WantShutdown {
		t.Before = t.Want
	}
	t.Want = w
}

func (t *turn) start() {
	if t.Want == WantServe || t.Want == WantStopped {
		t.Want, t.ByHand = WantServe, false
		if t.Final {
			t.need(NeedForced) // the same inputs once more: somebody asks
		} else {
			t.need(NeedCheck)
		}
		t.tryAgain()
	}
}

func (t *turn) stop() {
	switch {
	case t.Want == WantStopped:
		t.ByHand, t.changed = true, t.changed || !t.ByHand
	case t.Want == WantServe:
		t.Want, t.ByHand = WantStopped, true
		t.NeedBuild = max(t.NeedBuild, NeedCheck)
	case t.Want == WantShutdown && t.Before != WantRemoved:
		t.Before, t.ByHand = WantStopped, true // the next supervisor leaves it stopped
	}
}

func (t *turn) restartNow() {
	if t.Want == WantStopped || t.Release == "" {
		t.start()
		return
	}
	t.Again = t.Serving.N != 0
	t.tryAgain()
}

// tryAgain cuts every backoff short and gives a bad release another chance, because a person asked.
func (t *turn) tryAgain() {
	t.Gone = "" // it may have been put back
	t.forgive(func(v Version) bool { return v == t.desired() })
	t.hurry()
}

func (t *turn) rollback(release string) {
	t.Release = release
	t.NeedBuild, t.Retry, t.Pinned = NeedNone, NeedNone, t.Builds
	t.Final = false // a start keeps to what was chosen
	t.buildAt(time.Time{})
	t.Fallback = Version{}
	t.forgive(func(v Version) bool { return v.Release == release })
	t.hurry()
}

// hurry cuts every backoff short: a person asked, or an input changed.
func (t *turn) hurry() {
	t.Halted = ""
	t.Failures = 0
	t.hurryMembers()
	t.restartAt(time.Time{})
	t.retry()
	if t.OpenAt != (time.Time{}) {
		t.openAt(time.Time{})
	}
}

// retry lets the next candidate start at once.
func (t *turn) retry() {
	t.Tries, t.Trial = 0, Trial{}
	t.candidateAt(time.Time{})
}

// forgive forgets that versions were bad.
func (t *turn) forgive(which func(Version) bool) {
	bad := maps.Clone(t.Bad)
	maps.DeleteFunc(bad, func(v Version, _ string) bool { return which(v) })
	t.Bad = bad
}

func (t *turn) condemn(v Version, reason string) {
	bad := maps.Clone(t.Bad)
	if bad == nil {
		bad = map[Version]string{}
	}
	bad[v] = reason
	t.Bad = bad
	if v == t.Fallback {
		t.Fallback = Version{}
	}
}
