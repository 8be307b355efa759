package journal

import (
	"strings"
	"testing"
	"time"
)

// writtenSince returns the lines that were written since a moment.
func writtenSince(lines []string, moment, changed time.Time, local *time.Location) (all []string) {
	for _, line := range (Selection{Since: moment, Lines: All}).Of(lines, changed, local) {
		all = append(all, line.Text)
	}
	return all
}

func TestSinceKeepsWhatWasWrittenAfter(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("CET", 3600)
	moment := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ text, want string }{
		"gunicorn":       {"[2026-11-23 08:59:59 +0000] [7] [INFO] a|[2026-11-23 09:00:00 +0000] [7] [INFO] b", "[2026-11-23 09:00:00 +0000] [7] [INFO] b"},
		"another zone":   {"[2026-11-23 09:30:00 +0100] a|[2026-11-23 10:30:00 +0100] b", "[2026-11-23 10:30:00 +0100] b"},
		"logging, local": {"2026-11-23 09:59:59,999 a|2026-11-23 10:00:01,000 b", "2026-11-23 10:00:01,000 b"},
		"ISO":            {"INFO 2026-11-23T08:00:00.1Z a|INFO 2026-11-23T09:00:00.1Z b", "INFO 2026-11-23T09:00:00.1Z b"},
		"access log":     {`- - [23/Nov/2026:08:00:00 +0000] "GET /"|- - [23/Nov/2026:09:00:01 +0000] "GET /b"`, `- - [23/Nov/2026:09:00:01 +0000] "GET /b"`},
		"runserver":      {`[23/Nov/2026 09:00:00] "GET /"|[23/Nov/2026 10:00:01] "GET /b"`, `[23/Nov/2026 10:00:01] "GET /b"`},
		"traceback":      {"2026-11-23T08:00:00Z a|Traceback|  File|2026-11-23T09:00:00Z b|Traceback", "2026-11-23T09:00:00Z b|Traceback"},
		"a beginning without": {
			"rest|2026-11-23T09:00:00Z b", "rest|2026-11-23T09:00:00Z b"},
		"all before":     {"2026-11-23T08:00:00Z a|x|y", ""},
		"no time at all": {"a|b", "a|b"},
		"no such date":   {"2026-13-45 10:00:00 a|b", "2026-13-45 10:00:00 a|b"},
	} {
		changed := moment.Add(time.Minute)
		got := strings.Join(writtenSince(strings.Split(c.text, "|"), moment, changed, berlin), "|")
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := writtenSince([]string{"a"}, moment, moment.Add(-time.Second), berlin); len(got) != 0 {
		t.Errorf("lines without times of a log that has not changed since: %q", got)
	}
}

func FuzzSelection(f *testing.F) {
	f.Add("[2026-11-23 08:59:59 +0000] a\nb")
	f.Add("[23/Nov/2026 09:00:00] \xff")
	f.Fuzz(func(t *testing.T, text string) {
		lines, moment := strings.Split(text, "\n"), time.Unix(1_700_000_000, 0)
		before := Selection{Until: moment, Lines: All}.Of(lines, moment, time.UTC)
		if after := writtenSince(lines, moment, moment, time.UTC); len(before)+len(after) != len(lines) {
			t.Errorf("%q before and %q after of %q: not each line once", before, after, lines)
		}
	})
}
