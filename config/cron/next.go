package cron

import (
	"math/bits"
	"time"
)

// horizon is how many years are searched: 29 February is on a given weekday every 28 years, or 40
// where a century has no leap year.
const horizon = 50

// Next returns the first time after that one at which t is due by the clocks of a place; the zero
// time where there is none within decades.
//
// When the clocks change, it is as with cron(8). What is named by its hour (30 2 * * *) is due once
// a day: a time that is skipped at the moment of the change, one that is there twice the first time.
// What is due more often (a minute or an hour that begins with *) follows the clock: nothing is due
// in what it skips, and what it shows twice is due twice.
func (t Times) Next(after time.Time, in *time.Location) time.Time {
	year, month, day := after.In(in).Date()
	today := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	// The day before may have times that the clocks moved to this one.
	for n := -1; n < horizon*366; n++ {
		date := today.AddDate(0, 0, n)
		first := t.on(date, after, in)
		if first.IsZero() {
			continue
		}
		// Clocks that are set back over midnight show the end of a day after the beginning of the next.
		if next := t.on(date.AddDate(0, 0, 1), after, in); !next.IsZero() && next.Before(first) {
			return next
		}
		return first
	}
	return time.Time{}
}

// on returns the first time after that one at which t is due on a date, which is given as if it were
// in UTC.
func (t Times) on(date, after time.Time, in *time.Location) (first time.Time) {
	if !t.day(date) {
		return first
	}
	spans, room := spansAround(date, in), make([]time.Time, 0, 4)
	for hours := t.hours; hours != 0; hours &= hours - 1 {
		hour := date.Add(time.Duration(bits.TrailingZeros64(hours)) * time.Hour)
		if len(spans) == 1 && hour.Add(time.Hour-spans[0].ahead).Before(after) {
			continue
		}
		for minutes := t.minutes; minutes != 0; minutes &= minutes - 1 {
			civil := hour.Add(time.Duration(bits.TrailingZeros64(minutes)) * time.Minute)
			for _, at := range t.moments(civil, spans, room) {
				if at.After(after) && (first.IsZero() || at.Before(first)) {
					first = at
				}
			}
			if len(spans) == 1 && !first.IsZero() {
				return first.In(in) // no clock is changed: the others are later
			}
		}
	}
	return first.In(in)
}

// day reports whether t is due on a day at all.
func (t Times) day(date time.Time) bool {
	if t.months&(1<<date.Month()) == 0 {
		return false
	}
	day, weekday := t.days&(1<<date.Day()) != 0, t.weekdays&(1<<date.Weekday()) != 0
	if t.anyDay || t.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// span is a time without a change of the clocks.
type span struct {
	from, to time.Time // zero: no beginning, no end
	ahead    time.Duration
}

// spansAround returns those that any moment of a date can be in, wherever the clocks are: at most 14
// hours off, and set by at most a day.
func spansAround(date time.Time, in *time.Location) []span {
	var all []span
	for at := date.Add(-38 * time.Hour).In(in); at.Before(date.Add(62 * time.Hour)); {
		from, to := at.ZoneBounds()
		_, seconds := at.Zone()
		all = append(all, span{from, to, time.Duration(seconds) * time.Second})
		if to.IsZero() {
			break
		}
		at = to
	}
	return all
}

// moments returns when the clocks show a civil time, given as if it were in UTC, as far as t is due
// then. It uses the room.
func (t Times) moments(civil time.Time, spans []span, room []time.Time) []time.Time {
	all, change := room[:0], time.Time{}
	for _, s := range spans {
		at := civil.Add(-s.ahead)
		switch {
		case at.Before(s.from):
			if change.IsZero() {
				change = s.from // the clocks before it never came to show that time
			}
		case s.to.IsZero() || at.Before(s.to):
			all = append(all, at)
		}
	}
	switch {
	case t.often:
		return all
	case len(all) > 0:
		return all[:1]
	}
	return append(all, change)
}
