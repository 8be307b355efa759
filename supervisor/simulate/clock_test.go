package simulate

import (
	"testing"
	"time"
)

func TestClockThatIsSetShowsAnotherTimeAndMeasuresTheSame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 9, 0, 0, 123456789, time.UTC)
	before := reading(now, time.Hour)
	for _, by := range []time.Duration{-80 * 365 * 24 * time.Hour, -time.Minute, time.Second, 100 * 365 * 24 * time.Hour} {
		after := reading(now.Add(by), time.Hour+time.Second)
		if shown := after.Round(0).Sub(before.Round(0)); shown != by {
			t.Errorf("set by %v it shows %v more", by, shown)
		}
		if passed := after.Sub(before); passed != time.Second || !before.Before(after) {
			t.Errorf("set by %v it measures %v more", by, passed)
		}
	}
}
