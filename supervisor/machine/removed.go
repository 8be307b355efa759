package machine

import "time"

// What somebody has removed.

// releaseGone has a release made in the place of one whose files are gone. What serves goes on; it
// cannot be started again.
func (t *turn) releaseGone(release string) {
	if release == "" || t.Gone == release {
		t.changed = false
		return
	}
	if t.Fallback.Release == release {
		t.Fallback = Version{}
	}
	if t.Previous == release {
		t.Previous = ""
	}
	switch {
	case t.Serving.N != 0 && t.Serving.Version.Release == release:
		t.Gone = release
		if t.Release == release {
			t.makeAgain()
		}
	case t.Proven.Release == release:
		t.provenGone()
	case t.Release == release:
		t.instead(t.Proven.Release)
	}
}

// provenGone forgets what served last, which cannot be started again. What was bad until now is
// tried again then: serving late is better than never.
func (t *turn) provenGone() {
	gone := t.Proven.Release
	t.Proven, t.Gone = Version{}, ""
	t.restartAt(time.Time{})
	if t.Release == gone {
		t.instead("")
	}
}

// instead has a release serve in the place of one that is gone, "" for none, until an attempt has
// made another, whatever that comes to.
func (t *turn) instead(release string) {
	t.Release, t.LastBuilt, t.Pinned = release, "", 0
	t.retry()
	t.makeAgain()
}

// servesNoMore is that what served has ended.
func (t *turn) servesNoMore() {
	if t.Gone != "" && t.Proven.Release == t.Gone {
		t.provenGone()
	}
	t.Gone = ""
}

// settleGone takes whatever release the next attempt comes to, where the one that serves is needed
// once more and its files are gone.
func (t *turn) settleGone() {
	want := t.target()
	if t.Gone == "" || want.Release != t.Gone {
		return
	}
	lacks := t.lacksMember()
	if (want != t.Proven || t.Again || t.replaced() || lacks) && (t.LastBuilt != "" || lacks) {
		t.LastBuilt, t.Pinned = "", 0
		t.makeAgain()
	}
}

// makeAgain asks for an attempt, unless one is on its way or must not be repeated.
func (t *turn) makeAgain() {
	if t.Want == WantServe && !t.Final && !t.Building.Running && t.NeedBuild == NeedNone && t.BuildAt.IsZero() {
		t.need(NeedCheck)
	}
}

// nameLost has another generation take the place of what serves, which no client reaches any more.
func (t *turn) nameLost() {
	if t.Serving.N == 0 || t.Want != WantServe || t.Lost {
		t.changed = false
		return
	}
	t.Lost = true
	t.Trouble = "the public socket was deleted, a new one is to be served"
}
