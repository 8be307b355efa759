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
		if err := m.Set(text); err != nil || m.Sub(now.Add(-ago)).Abs() > 30*time.Second {
			t.Errorf("%s is %v, %v", text, m.Time, err)
		}
	}
	var m moment
	if err := m.Set(now.Add(time.Hour).Format("15:04")); err != nil || m.After(now) {
		t.Errorf("a time of the day that comes is %v, want yesterday's; %v", m.Time, err)
	}
	for _, text := range []string{"", "-1h", "-2d", "1.5d", "d", "soon", "25:00", "2026-13-01"} {
		if err := m.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
