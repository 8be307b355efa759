package cron

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"
)

func parse(t testing.TB, text string) Times {
	t.Helper()
	times, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return times
}

func place(t testing.TB, name string) *time.Location {
	t.Helper()
	in, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func TestWrongExpressionsSayWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for marked, want := range map[string]string{
		"»":                          "five fields: minute, hour, day of the month, month, day of the week; there are 0",
		"»30":                        "there is 1",
		"»30 2 * *":                  "there are 4",
		"30 2 * * * »*":              "this is one more",
		"»60 2 * * *":                `minute: want 0 to 59, * for all`,
		"  0,30,»61 2 * * *":         `it is "61"`,
		"0 »24 * * *":                "hour: want 0 to 23",
		"0 2-»24 * * *":              "hour: want 0 to 23",
		"0 »22-2 * * *":              "or two: 22-23,0-2",
		"0 2 »0 * *":                 "day of the month: want 1 to 31",
		"0 2 * »0 *":                 "month: want 1 to 12 or jan to dec",
		"0 2 * »juno *":              `it is "juno"`,
		"0 2 * * »8":                 "day of the week: want 0 to 7 or sun to sat",
		"0 2 * * mon,»fri-tue":       "or two: fri-sat,sun-tue",
		"*/»0 2 * * *":               "minute: want a step from 1 to 60",
		"*/»x 2 * * *":               "a step",
		"*/»1/2 2 * * *":             "a step",
		"0 2 1,»,3 * *":              `it is ""`,
		"0 2 * * »mon#1":             `it is "mon#1"`,
		"0 2 »L * *":                 `it is "L"`,
		"»-1 2 * * *":                `it is ""`,
		"»+1 2 * * *":                `it is "+1"`,
		"»007 2 * * *":               `it is "007"`,
		"0 2 »30 2 *":                "a day that there is in one of the months",
		"0 2 »31 2,4,jun,9,11 *":     "a day that there is",
		"»CRON_TZ=UTC 0 2 * * *":     "the key timezone",
		"»TZ=":                       "the key timezone",
		"»@every 5m":                 "the key every",
		"»@reboot":                   "no @reboot",
		"»@dayly":                    "@daily",
		"@daily »x":                  "nothing after @daily",
		"0 2 * * ü»":                 "",
		"ü»":                         "",
		"0 2 1-»x * *":               `it is "x"`,
		"*/2,»*-3 2 * * *":           `it is "*"`,
		"0 0 * * »6-sun,7-mon-tue":   "",
		strings.Repeat("»1 ", 1)[:4]: "there is 1",
	} {
		before, rest, _ := strings.Cut(marked, "»")
		_, err := Parse(before + rest)
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q is accepted", before+rest)
			continue
		}
		if want != "" && (wrong.At != len(before) || !strings.Contains(wrong.Msg, want)) {
			t.Errorf("%q is wrong at %d: %s; want at %d: %s", before+rest, wrong.At, wrong.Msg, len(before), want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"30 2 * * *", "@daily", "*/5 1-3,7 1,15 jan-mar mon-fri", "TZ=", "é * * * *"} {
		f.Add(text)
	}
	at := time.Date(2026, 11, 27, 15, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		times, err := Parse(text)
		var wrong *Error
		if errors.As(err, &wrong) {
			if wrong.At < 0 || wrong.At > len([]rune(text)) || strings.ContainsAny(wrong.Msg, "\n") {
				t.Errorf("%q is wrong at %d: %s", text, wrong.At, wrong.Msg)
			}
			return
		}
		if next := times.Next(at, time.UTC); !next.After(at) {
			t.Errorf("%q is due at %v", text, next)
		}
	})
}

// expression returns a random valid one.
func expression(r *rand.Rand) string {
	words := make([]string, len(fields))
	for i, f := range fields {
		high := f.high
		if high == 7 {
			high = 6 // robfig's has no Sunday of that number
		}
		some := func() string {
			low := f.low + r.IntN(high-f.low+1)
			switch r.IntN(7) {
			case 0, 1:
				return "*"
			case 2:
				return fmt.Sprintf("*/%d", 1+r.IntN(high-f.low+1))
			case 3:
				return fmt.Sprintf("%d-%d", low, low+r.IntN(high-low+1))
			case 4:
				return fmt.Sprintf("%d-%d/%d", low, high, 1+r.IntN(5))
			case 5:
				return fmt.Sprintf("%d/%d", low, 1+r.IntN(5))
			}
			if f.names != nil {
				return f.names[low-f.low]
			}
			return fmt.Sprint(low)
		}
		words[i] = some()
		for words[i][0] != '*' && r.IntN(2) == 0 {
			if more := some(); more[0] != '*' {
				words[i] += "," + more
			}
		}
	}
	return strings.Join(words, " ")
}

// In UTC, where no clock is changed, we agree with what Kubernetes and most programs in Go use.
func TestTimesAreThoseOfRobfigsParser(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		text := expression(r)
		theirs, err := robfig.ParseStandard(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		// A step of theirs restricts the day: with it, either day will do. cron(8) has it as here.
		if day, weekday := strings.Fields(text)[2], strings.Fields(text)[4]; strings.HasPrefix(day, "*/") || strings.HasPrefix(weekday, "*/") {
			continue
		}
		ours, err := Parse(text)
		if err != nil {
			if next := theirs.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !next.IsZero() {
				t.Errorf("%s: %v, but theirs is due at %v", text, err, next)
			}
			continue
		}
		at := time.Date(2020+r.IntN(10), 1, 1+r.IntN(365), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
		for range 20 {
			want, got := theirs.Next(at), ours.Next(at, time.UTC)
			if want.IsZero() && got.After(at.AddDate(5, 0, 0)) {
				break // they search five years
			}
			if !got.Equal(want) {
				t.Fatalf("%s after %v: %v, robfig's %v", text, at, got, want)
			}
			at = got
		}
	}
}

func TestDaysOfTheWeekAreThoseOfCrontab(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0 0 * * 7": "0", "0 0 * * 5-7": "0 5 6", "0 0 * * sat-sun": "0 6", "0 0 * * 6-0": "0 6", "0 0 * * SUN": "0", "0 0 * * mon-FRI": "1 2 3 4 5",
		"0 0 * * */2": "0 2 4 6", "0 0 * * ?": "0 1 2 3 4 5 6", "@weekly": "0", "@daily": "0 1 2 3 4 5 6",
	} {
		var days []string
		for at, i := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), 0; i < 7; i++ {
			if parse(t, text).Next(at, time.UTC).Sub(at) < 24*time.Hour {
				days = append(days, fmt.Sprint(int(at.AddDate(0, 0, 1).Weekday())))
			}
			at = at.AddDate(0, 0, 1)
		}
		if slices.Sort(days); strings.Join(days, " ") != want {
			t.Errorf("%s is due on %v, want %s", text, days, want)
		}
	}
}

// dues returns when an expression is due within hours after a time, as the clocks show it.
func dues(t *testing.T, text string, after time.Time, within time.Duration) []string {
	t.Helper()
	var all []string
	times := parse(t, text)
	for at := times.Next(after, after.Location()); !at.IsZero() && at.Before(after.Add(within)); at = times.Next(at, after.Location()) {
		all = append(all, at.Format("02 15:04 MST"))
		if len(all) > 5000 {
			t.Fatalf("%s is due without end", text)
		}
	}
	return all
}

func TestChangesOfTheClocks(t *testing.T) {
	t.Parallel()
	ams := place(t, "Europe/Amsterdam")
	for _, c := range []struct {
		from   string
		within time.Duration
		text   string
		want   string
	}{
		// 29 March 2026, 02:00 becomes 03:00.
		{"03-28 12:00", 48 * time.Hour, "30 2 * * *", "29 03:00 CEST, 30 02:30 CEST"},
		{"03-28 12:00", 48 * time.Hour, "0 2 * * *", "29 03:00 CEST, 30 02:00 CEST"},
		{"03-28 12:00", 48 * time.Hour, "0 3 * * *", "29 03:00 CEST, 30 03:00 CEST"},
		{"03-28 12:00", 30 * time.Hour, "0,30 2,3 * * *", "29 03:00 CEST, 29 03:30 CEST"},
		{"03-28 12:00", 48 * time.Hour, "59 1 * * *", "29 01:59 CET, 30 01:59 CEST"},
		{"03-28 12:00", 48 * time.Hour, "30 2 29 3 *", "29 03:00 CEST"},
		{"03-28 12:00", 48 * time.Hour, "30 2 * * mon", "30 02:30 CEST"},
		{"03-29 00:50", 150 * time.Minute, "*/30 * * * *", "29 01:00 CET, 29 01:30 CET, 29 03:00 CEST, 29 03:30 CEST, 29 04:00 CEST"},
		{"03-29 00:50", 150 * time.Minute, "15 * * * *", "29 01:15 CET, 29 03:15 CEST, 29 04:15 CEST"},
		{"03-28 23:00", 5 * time.Hour, "0 */2 * * *", "29 00:00 CET, 29 04:00 CEST"},
		{"03-29 00:50", 5 * time.Hour, "* 2 * * *", ""},
		// 25 October 2026, 03:00 becomes 02:00.
		{"10-24 12:00", 48 * time.Hour, "30 2 * * *", "25 02:30 CEST, 26 02:30 CET"},
		{"10-24 12:00", 48 * time.Hour, "0 3 * * *", "25 03:00 CET, 26 03:00 CET"},
		{"10-24 12:00", 30 * time.Hour, "0,30 1,2 * * *", "25 01:00 CEST, 25 01:30 CEST, 25 02:00 CEST, 25 02:30 CEST"},
		{"10-25 01:50", 130 * time.Minute, "*/30 * * * *", "25 02:00 CEST, 25 02:30 CEST, 25 02:00 CET, 25 02:30 CET"},
		{"10-25 01:50", 160 * time.Minute, "15 * * * *", "25 02:15 CEST, 25 02:15 CET, 25 03:15 CET"},
	} {
		from, err := time.ParseInLocation("2006-01-02 15:04", "2026-"+c.from, ams)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(dues(t, c.text, from, c.within), ", "); got != c.want {
			t.Errorf("%s after %v is due at\n%s, want\n%s", c.text, from, got, c.want)
		}
	}
}

func TestChangesOfTheClocksAtMidnight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		zone, from, text, want string
		within                 time.Duration
	}{
		// 4 November 2018: 00:00 became 01:00.
		{"America/Sao_Paulo", "2018-11-03 12:00", "0 0 * * *", "04 01:00 -02, 05 00:00 -02", 48 * time.Hour},
		{"America/Sao_Paulo", "2018-11-03 12:00", "0 1 4 11 *", "04 01:00 -02", 48 * time.Hour},
		// 18 February 2018: 00:00 became 23:00 of the day before.
		{"America/Sao_Paulo", "2018-02-17 12:00", "30 23 * * *", "17 23:30 -02, 18 23:30 -03", 48 * time.Hour},
		{"America/Sao_Paulo", "2018-02-17 22:50", "*/30 * * * *", "17 23:00 -02, 17 23:30 -02, 17 23:00 -03, 17 23:30 -03, 18 00:00 -03", 160 * time.Minute},
		// Samoa had no 30 December 2011.
		{"Pacific/Apia", "2011-12-29 12:00", "0 9 * * *", "31 00:00 +14, 31 09:00 +14, 01 09:00 +14", 48 * time.Hour},
		// 5 April 2026: half an hour back.
		{"Australia/Lord_Howe", "2026-04-05 01:00", "45 1 * * *", "05 01:45 +11, 06 01:45 +1030", 48 * time.Hour},
		{"Australia/Lord_Howe", "2026-10-04 01:00", "15 2 * * *", "04 02:30 +11, 05 02:15 +11", 48 * time.Hour},
		// 1 November 2026: 01:00 became 00:00, of the same day.
		{"America/Havana", "2026-10-31 12:00", "15 0 * * *", "01 00:15 CDT, 02 00:15 CST", 48 * time.Hour},
	} {
		in := place(t, c.zone)
		from, err := time.ParseInLocation("2006-01-02 15:04", c.from, in)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(dues(t, c.text, from, c.within), ", "); got != c.want {
			t.Errorf("%s in %s is due at\n%s, want\n%s", c.text, c.zone, got, c.want)
		}
	}
}

// What is named by its hour is due once a day wherever the clocks go, and what is due every minute is
// due every minute of real time.
func TestNothingIsLostOrDoubledByAnyChangeOfTheClocks(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Amsterdam", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Africa/Casablanca", "America/Havana", "Asia/Gaza", "Europe/Dublin"} {
		in := place(t, zone)
		for hour := range 4 {
			times := parse(t, fmt.Sprintf("30 %d * * *", hour))
			at := times.Next(time.Date(2015, 1, 1, 12, 0, 0, 0, in), in)
			for n := range 2000 {
				next := times.Next(at, in)
				if apart := next.Sub(at); apart < 22*time.Hour || apart > 26*time.Hour {
					t.Fatalf("%s, 30 %d: %v follows %v, the %d. time", zone, hour, next, at, n)
				}
				at = next
			}
		}
		minutes := parse(t, "* * * * *")
		for day := range 366 {
			at := time.Date(2016, 1, 1+day, 12, 0, 0, 0, in)
			if _, to := at.ZoneBounds(); to.IsZero() || to.Sub(at) > 24*time.Hour {
				continue
			} else {
				at = to.Add(-90 * time.Minute)
			}
			for range 300 {
				next := minutes.Next(at, in)
				if next.Sub(at) != time.Minute {
					t.Fatalf("%s: a minute after %v is %v", zone, at, next)
				}
				at = next
			}
		}
	}
}

func BenchmarkNext(b *testing.B) {
	in := place(b, "Europe/Amsterdam")
	for _, text := range []string{"* * * * *", "30 2 * * *", "0 0 29 2 */7"} {
		times, at := parse(b, text), time.Date(2026, 11, 27, 15, 0, 0, 0, in)
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				times.Next(at, in)
			}
		})
	}
}
