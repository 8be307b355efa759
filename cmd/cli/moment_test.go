package cli

import (
	"testing"
	"time"
)

func TestMomentsAreTimesOrHowLongAgo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sinceMidnight := now.Sub(time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location()))
	yesterday := now.Sub(time.Date(now.Year(), now.Month(), now.Day()-1, 0, 0, 0, 0, now.Location()))
	for text, ago := range map[string]time.Duration{"today": sinceMidnight, "yesterday": yesterday, "2d": now.Sub(now.AddDate(0, 0, -2)), "1h30m": 90 * time.Minute, "0s": 0, now.Add(-time.Hour).Format(time.RFC3339): time.Hour,
		now.Add(-24 * time.Hour).Format("2006-01-02 15:04:05"): 24 * time.Hour, now.Add(-time.Minute).Format("15:04:05"): time.Minute} {
		var m moment
		if err := m.Set(text); err != nil || m.in(time.Local).Sub(now.Add(-ago)).Abs() > 30*time.Second {
			t.Errorf("%s is %v, %v", text, m.in(time.Local), err)
		}
	}
	var m moment
	if err := m.Set(now.Add(time.Hour).Format("15:04")); err != nil || m.in(time.Local).After(now) {
		t.Errorf("a time of the day that comes is %v, want yesterday's; %v", m.in(time.Local), err)
	}
	for _, text := range []string{"", "-1h", "-2d", "1.5d", "d", "soon", "25:00", "2026-13-01"} {
		if err := m.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// A time of the day is one of the clock that the command shows, with --utc as without.
func TestMomentsAreThoseOfTheClockThatIsShown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 1, 30, 0, 0, time.FixedZone("CET", 3600)) // 00:30 in UTC
	for text, want := range map[string]string{"00:15": "2026-11-22T23:15:00Z", "yesterday": "2026-11-21T23:00:00Z", "2026-11-22 10:00": "2026-11-22T09:00:00Z", "30m": "2026-11-23T00:00:00Z"} {
		if at, err := momentOf(text, now); err != nil || at.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s is %v, %v, want %s", text, at.UTC(), err, want)
		}
	}
	if at, err := momentOf("00:15", now.UTC()); err != nil || at.Format(time.RFC3339) != "2026-11-23T00:15:00Z" {
		t.Errorf("00:15 in UTC is %v, %v", at, err)
	}
}
