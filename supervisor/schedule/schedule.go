// Package schedule decides when a schedule of a build runs: from what was handled, and the time. It
// reads no clock and does nothing.
package schedule

import (
	"time"

	"github.com/medctrl/medctrl-supervisor/config/cron"
)

const (
	// Late is how late a time may be that was waited for, and is run all the same: a machine that was
	// suspended or a clock that was set ahead, as cron(8) does it. What is later was missed.
	Late = 3 * time.Hour
	// Again is how far a clock may be set back so that the times that come again are not run again. One
	// that is set back farther was wrong before: the schedule begins anew.
	Again = 24 * time.Hour
	// Rest is how long nobody looks at a schedule by the clock: then it is seen whether that was set.
	Rest = time.Minute
)

// Schedule is when a command is to run. Every is an interval, which has nothing to do with what clocks
// show; without it, Times are by the clocks of a place.
type Schedule struct {
	Times   cron.Times
	In      *time.Location
	Every   time.Duration
	Delay   time.Duration // of each run, after its time
	CatchUp bool          // make up for what was missed while nobody waited, once
}

// Mark is up to where the times of a schedule were handled: run, or left out. The zero Mark is that of
// a schedule that nobody has looked at.
type Mark struct {
	// At is the time of an interval that was handled last, or when the schedule began; by the clock, it
	// is any moment after the last time that was handled.
	At time.Time
	// Kept says that somebody has waited for the times since then: none passed unseen.
	Kept bool
	// MakeUp is when a run makes up for what was missed; zero: nothing is to be made up.
	MakeUp time.Time
}

// Begin is the mark of a schedule of which nothing was missed: it is new, or was not meant to run.
func (s Schedule) Begin(now time.Time) Mark { return Mark{At: s.read(now), Kept: true} }

// Resume is the mark of a schedule that an earlier supervisor left. kept says that this one came in its
// place within moments.
func (s Schedule) Resume(m Mark, now time.Time, kept bool) Mark {
	m.At, m.Kept = m.At.Round(0), kept
	if s.Every > 0 {
		// What a clock showed tells how much time has passed, as well as can be known: from here on, time
		// itself does.
		m.At = now.Add(-max(now.Round(0).Sub(m.At), 0))
	}
	return m
}

// read is the time as the schedule counts it. By the clock it is without what tells how much time has
// passed.
func (s Schedule) read(now time.Time) time.Time {
	if s.Every == 0 {
		return now.Round(0)
	}
	return now
}

// Next is when it runs next; zero: never.
func (s Schedule) Next(m Mark) time.Time {
	next := s.after(m.At)
	if !next.IsZero() {
		next = next.Add(s.Delay)
	}
	if !m.MakeUp.IsZero() && (next.IsZero() || m.MakeUp.Before(next)) {
		return m.MakeUp
	}
	return next
}

// after is the first time after another one.
func (s Schedule) after(at time.Time) time.Time {
	if s.Every > 0 {
		return at.Add(s.Every)
	}
	return s.Times.Next(at, s.In)
}

// Wait is how long nobody has to look at it, given that it was looked at now.
func (s Schedule) Wait(m Mark, now time.Time) time.Duration {
	wait := Rest
	if next := s.Next(m); !next.IsZero() {
		wait = max(next.Sub(s.read(now)), 0)
	}
	if s.Every > 0 {
		return wait
	}
	return min(wait, Rest)
}

// Look says whether it is to run now, at most once whatever has passed, and up to where its times are
// handled with that. missed says that times passed that nothing makes up for.
func (s Schedule) Look(m Mark, now time.Time) (after Mark, run, missed bool) {
	now = s.read(now)
	after = Mark{At: m.At, Kept: true, MakeUp: m.MakeUp}
	if s.Every == 0 && m.At.Sub(now) > Again {
		after.At = now
	}
	if !after.MakeUp.IsZero() && after.MakeUp.Sub(now) > s.Delay {
		after.MakeUp = now.Add(s.Delay)
	}
	if first := s.after(after.At); !first.IsZero() && !first.Add(s.Delay).After(now) {
		switch {
		case m.Kept && (s.CatchUp || s.soon(after.At, now)):
			run = true
		case !s.CatchUp:
			missed = true
		case after.MakeUp.IsZero():
			after.MakeUp = now.Add(s.Delay)
		}
		after.At = s.handled(after.At, now)
	}
	if !after.MakeUp.IsZero() && (run || !after.MakeUp.After(now)) {
		after.MakeUp, run = time.Time{}, true
	}
	return after, run, missed
}

// soon reports whether one of the times after another one was due not long ago.
func (s Schedule) soon(at, now time.Time) bool {
	if long := now.Add(-s.Delay - Late); at.Before(long) && s.Every == 0 {
		at = long
	}
	if s.Every > 0 {
		return s.Every <= Late || now.Sub(s.handled(at, now).Add(s.Delay)) <= Late
	}
	next := s.after(at)
	return !next.IsZero() && !next.Add(s.Delay).After(now)
}

// handled is the mark's time once everything that is due by now was handled.
func (s Schedule) handled(at, now time.Time) time.Time {
	due := now.Add(-s.Delay)
	if s.Every > 0 {
		return at.Add(due.Sub(at) / s.Every * s.Every)
	}
	return due
}
