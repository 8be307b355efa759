package cli

import (
	"errors"
	"time"
)

// moment is the value of a flag that takes a time, or how long ago it was.
type moment struct {
	time.Time
	text string
}

func (m *moment) String() string { return m.text }
func (m *moment) Type() string   { return "TIME" }

// Set accepts 1h30m, 15:04, 2006-01-02, 2006-01-02 15:04:05 and RFC 3339.
func (m *moment) Set(text string) error {
	now := time.Now()
	m.text = text
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
	return errors.New("want how long ago (1h30m) or a time (15:04, 2006-01-02 15:04)")
}
