package journal

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestASelectionIsOfWholeTracebacksByTimeAndPattern(t *testing.T) {
	t.Parallel()
	log := strings.Split(`before any time
[2026-11-23 09:00:00 +0000] [7] [INFO] Starting
[2026-11-23 09:00:05 +0000] [7] [ERROR] Exception
Traceback
ValueError: x
[2026-11-23 09:00:09 +0000] [7] [INFO] Bye`, "\n")
	at := func(clock string) time.Time {
		when, err := time.Parse(time.DateTime, "2026-11-23 "+clock)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		s    Selection
		want string // the first word of each, but those in brackets by their number
	}{
		{Selection{Lines: All}, "0 1 2 3 4 5"},
		{Selection{Lines: 2}, "4 5"},
		{Selection{}, ""},
		{Selection{Lines: All, Until: at("09:00:09")}, "0 1 2 3 4"},
		{Selection{Lines: All, Since: at("09:00:01"), Until: at("09:00:05")}, ""},
		{Selection{Lines: All, Since: at("09:00:05"), Until: at("09:00:09")}, "2 3 4"},
		{Selection{Lines: 1, Match: regexp.MustCompile("ERROR|ValueError")}, "4"},
		{Selection{Lines: All, Since: at("10:00:00")}, ""},
	} {
		var got []string
		for _, line := range c.s.Of(log, at("12:00:00"), time.UTC) {
			got = append(got, string(rune('0'+slices.Index(log, line.Text))))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: lines %v, want %s", c.s, got, c.want)
		}
	}
	timeless := []string{"a", "b"}
	if got := (Selection{Lines: All, Until: at("12:00:00")}).Of(timeless, at("12:00:00"), time.UTC); len(got) != 0 {
		t.Errorf("lines without a time, written at 12:00 at the latest, until 12:00: %v", got)
	}
	if got := (Selection{Lines: All, Since: at("11:00:00")}).Of(timeless, at("12:00:00"), time.UTC); len(got) != 2 || !got[0].Time.Equal(at("12:00:00")) {
		t.Errorf("lines without a time since 11:00: %v", got)
	}
}

func TestAStreamHasWholeLinesWithTheirTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var got []string
	s := Stream{Local: time.UTC, Now: func() time.Time { return now }, Selection: Selection{Match: regexp.MustCompile("[^x]")}, Each: func(all []Line) error {
		for _, line := range all {
			got = append(got, line.Time.Format("15:04:05 ")+line.Text)
		}
		return nil
	}}
	for _, piece := range []string{"no ti", "me yet\nxx\n2026-11-23 09:0", "0:00,123 stamped\n", "and its end\nhalf"} {
		if err := s.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"12:00:00 no time yet", "09:00:00 2026-11-23 09:00:00,123 stamped", "09:00:00 and its end"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.Write([]byte(strings.Repeat("y", 2*maxLine)))
	if n := len(got[len(got)-1]); n < maxLine {
		t.Errorf("an endless line is kept: the last line has %d bytes", n)
	}
}
