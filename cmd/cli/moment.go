package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// moment is the value of a flag that takes a time, or how long ago it was.
type moment struct {
	time.Time
	text string
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

// Set accepts 1h30m, 2d, today, yesterday, 15:04, 2006-01-02, 2006-01-02 15:04:05 and RFC 3339.
func (m *moment) Set(text string) error {
	now := time.Now()
	m.text = text
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch text {
	case "today":
		m.Time = midnight
		return nil
	case "yesterday":
		m.Time = midnight.AddDate(0, 0, -1)
		return nil
	}
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		if days, err := strconv.ParseUint(number, 10, 16); err == nil {
			m.Time = now.AddDate(0, 0, -int(days))
			return nil
		}
	}
	if ago, err := time.ParseDuration(text); err == nil {
		if ago < 0 {
			return errors.New("want how long ago, as in 1h30m")
		}
		m.Time = now.Add(-ago)
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			m.Time = at
			return nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			m.Time = time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location())
			if m.After(now) {
				m.Time = m.AddDate(0, 0, -1) // the last such time of day, not the next
			}
			return nil
		}
	}
	return errors.New("want how long ago (1h30m, 2d) or a time (15:04, yesterday, 2006-01-02 15:04)")
}
