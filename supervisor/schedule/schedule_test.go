package schedule

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/medctrl/medctrl-supervisor/config/cron"
)

func byClock(t interface{ Fatal(...any) }, text string) Schedule {
	times, err := cron.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	in, err := time.LoadLocation("Europe/Amsterdam")
	if err != nil {
		t.Fatal(err)
	}
	return Schedule{Times: times, In: in}
}

// desk keeps a schedule on a clock that can be set. Its time is what a machine has: a wall clock, and
// for intervals one that only goes on.
type desk struct {
	s       Schedule
	m       Mark
	started time.Time     // with a monotonic reading
	passed  time.Duration // of real time
	off     time.Duration // of the wall clock
	ran     []string      // when, by the clock
	missed  int
}

func newDesk(s Schedule, wall string) *desk {
	at, err := time.ParseInLocation("2006-01-02 15:04:05", wall, time.UTC)
	if s.In != nil {
		at, err = time.ParseInLocation("2006-01-02 15:04:05", wall, s.In)
	}
	if err != nil {
		panic(err)
	}
	d := &desk{s: s, started: time.Now()}
	d.off = at.Sub(d.started.Round(0))
	d.m = s.Begin(d.now())
	return d
}

// now is the time of the desk. An interval is only about what passes, and so it is not set; by the clock
// it is set.
func (d *desk) now() time.Time {
	if d.s.Every > 0 {
		return d.started.Add(d.passed)
	}
	return d.started.Add(d.passed).Round(0).Add(d.off).In(d.s.In)
}

func (d *desk) look() {
	after, run, missed := d.s.Look(d.m, d.now())
	if d.m = after; run {
		shown := d.started.Add(d.passed).Round(0).Add(d.off)
		if d.s.In != nil {
			shown = shown.In(d.s.In)
		} else {
			shown = shown.UTC()
		}
		d.ran = append(d.ran, shown.Format("02 15:04:05"))
	}
	if missed {
		d.missed++
	}
}

// wait lets time pass, and looks as often as is needed.
func (d *desk) wait(long time.Duration) *desk {
	for end := d.passed + long; d.passed < end; {
		next := min(d.passed+max(d.s.Wait(d.m, d.now()), time.Nanosecond), end)
		d.passed = next
		d.look()
	}
	return d
}

func (d *desk) set(by time.Duration) *desk { d.off += by; return d }

// down is a supervisor that does not run for a time.
func (d *desk) down(long time.Duration, kept bool) *desk {
	d.passed += long
	d.m = d.s.Resume(d.m, d.now(), kept)
	return d
}

func (d *desk) want(t *testing.T, ran string, missed int) {
	t.Helper()
	if got := strings.Join(d.ran, ", "); got != ran || d.missed != missed {
		t.Errorf("ran at %s, missed %d; want %s, %d", got, d.missed, ran, missed)
	}
}

func TestRunsAtItsTimes(t *testing.T) {
	t.Parallel()
	nightly := byClock(t, "30 2 * * *")
	newDesk(nightly, "2026-11-27 15:00:00").wait(48*time.Hour).want(t, "28 02:30:00, 29 02:30:00", 0)
	nightly.Delay = 90 * time.Second
	newDesk(nightly, "2026-11-27 15:00:00").wait(48*time.Hour).want(t, "28 02:31:30, 29 02:31:30", 0)
	newDesk(nightly, "2026-11-28 02:31:00").wait(time.Hour).want(t, "", 0) // it is new: nothing was missed
	every := Schedule{Every: 7 * time.Minute}
	newDesk(every, "2026-11-27 15:00:00").wait(30*time.Minute).want(t, "27 15:07:00, 27 15:14:00, 27 15:21:00, 27 15:28:00", 0)
	every.Delay = time.Minute
	newDesk(every, "2026-11-27 15:00:00").wait(20*time.Minute).want(t, "27 15:08:00, 27 15:15:00", 0)
}

func TestRunsOnceADayWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	s := byClock(t, "30 2 * * *")
	newDesk(s, "2026-03-28 15:00:00").wait(48*time.Hour).want(t, "29 03:00:00, 30 02:30:00", 0)
	newDesk(s, "2026-10-24 15:00:00").wait(48*time.Hour).want(t, "25 02:30:00, 26 02:30:00", 0)
	newDesk(byClock(t, "*/30 * * * *"), "2026-10-25 01:45:00").wait(2*time.Hour).want(t, "25 02:00:00, 25 02:30:00, 25 02:00:00, 25 02:30:00", 0)
}

func TestAClockThatIsSetBackRepeatsNothing(t *testing.T) {
	t.Parallel()
	hourly := byClock(t, "0 * * * *")
	newDesk(hourly, "2026-11-27 14:30:00").wait(2*time.Hour).set(-90*time.Minute).wait(3*time.Hour).
		want(t, "27 15:00:00, 27 16:00:00, 27 17:00:00, 27 18:00:00", 0)
	daily := byClock(t, "30 2 * * *")
	newDesk(daily, "2026-11-27 02:00:00").wait(time.Hour).set(-45*time.Minute).wait(time.Hour).want(t, "27 02:30:00", 0)
	// Set back by a month, it was wrong before: the schedule goes on.
	newDesk(daily, "2026-11-27 02:00:00").wait(time.Hour).set(-30*24*time.Hour).wait(24*time.Hour).want(t, "27 02:30:00, 29 02:30:00", 0)
	// An interval has nothing to do with it.
	newDesk(Schedule{Every: time.Hour}, "2026-11-27 15:00:00").wait(time.Hour).set(-5*time.Hour).wait(time.Hour).want(t, "27 16:00:00, 27 12:00:00", 0)
}

func TestAClockThatIsSetAheadMakesOneRunAtMost(t *testing.T) {
	t.Parallel()
	minutes := byClock(t, "*/10 * * * *")
	newDesk(minutes, "2026-11-27 15:01:00").wait(time.Minute).set(2*time.Hour).wait(9*time.Minute).want(t, "27 17:02:00, 27 17:10:00", 0)
	// By a year, with a daily one: the time was not lately, so it is left out.
	daily := byClock(t, "30 2 * * *")
	newDesk(daily, "2026-11-27 15:00:00").wait(time.Minute).set(365*24*time.Hour).wait(12*time.Hour).want(t, "28 02:30:00", 1)
	daily.CatchUp = true
	newDesk(daily, "2026-11-27 15:00:00").wait(time.Minute).set(365*24*time.Hour).wait(12*time.Hour).want(t, "27 15:01:00, 28 02:30:00", 0)
	// And back again: what was never run is run.
	daily.CatchUp = false
	newDesk(daily, "2026-11-27 15:00:00").wait(time.Minute).set(365*24*time.Hour).wait(time.Hour).set(-365*24*time.Hour).wait(12*time.Hour).want(t, "28 02:30:00", 1)
	newDesk(Schedule{Every: time.Hour}, "2026-11-27 15:00:00").wait(time.Minute).set(5*time.Hour).wait(time.Hour).want(t, "27 21:00:00", 0)
}

func TestWhatWasMissedIsMadeUpOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, s := range []Schedule{byClock(t, "0 * * * *"), {Every: time.Hour}} {
		newDesk(s, "2026-11-27 15:00:00").wait(61*time.Minute).down(10*time.Hour, false).wait(time.Hour).want(t, "27 16:00:00, 28 03:00:00", 1)
		s.CatchUp = true
		newDesk(s, "2026-11-27 15:00:00").wait(61*time.Minute).down(10*time.Hour, false).wait(time.Hour).want(t, "27 16:00:00, 28 02:01:00, 28 03:00:00", 0)
		// Not at once, where builds are spread.
		s.Delay = 5 * time.Minute
		d := newDesk(s, "2026-11-27 15:00:00").wait(66*time.Minute).down(10*time.Hour, false)
		d.wait(time.Minute).want(t, "27 16:05:00", 0)
		d.down(time.Second, false) // also if the supervisor starts once more before that
		d.wait(time.Hour-time.Second).want(t, "27 16:05:00, 28 02:11:00, 28 03:05:00", 0)
	}
	// Down, but not over one of its times.
	s := byClock(t, "0 * * * *")
	s.CatchUp = true
	newDesk(s, "2026-11-27 15:00:00").wait(61*time.Minute).down(10*time.Minute, false).wait(time.Hour).want(t, "27 16:00:00, 27 17:00:00", 0)
}

func TestASuccessorOfMomentsMissesNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []Schedule{byClock(t, "0 * * * *"), {Every: time.Hour}} {
		d := newDesk(s, "2026-11-27 15:00:00").wait(59*time.Minute+59*time.Second).down(2*time.Second, true)
		d.wait(2*time.Hour).want(t, "27 16:00:01, 27 17:00:00, 27 18:00:00", 0)
	}
}

func TestALongWaitIsNoneByTheClockAndExactByTime(t *testing.T) {
	t.Parallel()
	now := time.Now()
	daily := byClock(t, "30 2 * * *")
	if got := daily.Wait(daily.Begin(now), now); got > Rest {
		t.Errorf("%v", got)
	}
	every := Schedule{Every: 24 * time.Hour}
	if got := every.Wait(every.Begin(now), now); got != 24*time.Hour {
		t.Errorf("%v", got)
	}
}

// Whatever the clock does and however often the supervisor is away: no time is run twice, no look makes
// more than one run, and while nothing happens to clock and supervisor no time is left out.
func TestNoTimeIsRunTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom([]string{"* * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "0,30 1-3 * * *"}).Draw(t, "cron")
		s := byClock(t, text)
		s.CatchUp = rapid.Bool().Draw(t, "catch up")
		s.Delay = time.Duration(rapid.IntRange(0, 100).Draw(t, "delay")) * time.Second
		d := newDesk(s, rapid.SampledFrom([]string{"2026-03-28 22:11:12", "2026-10-24 22:11:12", "2026-11-27 15:00:00"}).Draw(t, "begin"))
		done := map[time.Time]bool{} // times that were run, by the clock
		makeUps, downs := 0, 0
		for range rapid.IntRange(1, 12).Draw(t, "n") {
			calm := false
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				d.set(time.Duration(rapid.IntRange(-20*3600, 4*3600).Draw(t, "set")) * time.Second)
			case 1:
				d.down(time.Duration(rapid.IntRange(0, 8*3600).Draw(t, "down"))*time.Second, rapid.Bool().Draw(t, "kept"))
				downs++
			default:
				calm = true
			}
			steps := rapid.IntRange(1, 60).Draw(t, "steps")
			for range steps {
				before, from := d.m, d.now()
				wait := max(d.s.Wait(d.m, from), time.Nanosecond)
				d.passed += wait
				n := len(d.ran)
				d.look()
				switch ran := len(d.ran) - n; {
				case ran > 1:
					t.Fatal("one look, two runs")
				case ran == 1 && !before.MakeUp.IsZero() && d.m.MakeUp.IsZero():
					makeUps++
				case ran == 1:
					at := d.s.Times.Next(before.At, s.In)
					if before.At.Sub(d.now()) > Again {
						t.Fatal("a clock was set too far for this test")
					}
					if at.Add(s.Delay).After(d.now()) {
						t.Fatalf("%v is run at %v", at, d.now())
					}
					if done[at.UTC()] {
						t.Fatalf("%v is run twice", at)
					}
					done[at.UTC()] = true
				case calm:
					if at := s.Next(before); before.Kept && before.MakeUp.IsZero() && !at.IsZero() && !at.After(d.now()) && before.At.Before(at) {
						t.Fatalf("%s: %v is left out at %v", text, at, d.now())
					}
				}
			}
		}
		if makeUps > downs {
			t.Fatalf("%d runs make up for %d times that it was down", makeUps, downs)
		}
	})
}
