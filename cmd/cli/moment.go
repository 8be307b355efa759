package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// moment is the value of a flag that takes a time, or how long ago it was.
type moment struct {
	given time.Time // when it was on the command line
	text  string
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

// Set accepts what momentOf does.
func (m *moment) Set(text string) error {
	m.given, m.text = time.Now(), text
	_, err := momentOf(text, m.given)
	return err
}

// in is the moment as a clock in a zone has it, the zero time where none was given.
func (m *moment) in(zone *time.Location) time.Time {
	if m.text == "" {
		return time.Time{}
	}
	at, err := momentOf(m.text, m.given.In(zone))
	must(err) // Set has accepted it
	return at
}

// momentOf accepts 1h30m, 2d, today, yesterday, 15:04, 2006-01-02, 2006-01-02 15:04:05 and RFC 3339.
func momentOf(text string, now time.Time) (time.Time, error) {
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		if days, err := strconv.ParseUint(number, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(days)), nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil {
		if ago < 0 {
			return time.Time{}, errors.New("want how long ago, as in 1h30m")
		}
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			at = time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location())
			if at.After(now) {
				at = at.AddDate(0, 0, -1) // the last such time of day, not the next
			}
			return at, nil
		}
	}
	return time.Time{}, errors.New("want how long ago (1h30m, 2d) or a time (15:04, yesterday, 2006-01-02 15:04)")
}
