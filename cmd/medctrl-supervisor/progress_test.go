package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// screenOf80 is what a terminal that was sent text shows: it knows line ends, "up n lines" and "erase below".
func screenOf80(t *testing.T, text string) []string {
	t.Helper()
	lines, row := []string{""}, 0
	for len(text) > 0 {
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[J"):
			lines = append(lines[:row], "")
			text = text[3:]
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil || n > row {
				t.Fatalf("at row %d: %q", row, text)
			}
			row -= n
			text = text[strings.IndexByte(text, 'A')+1:]
		case text[0] == '\n':
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
			text = text[1:]
		default:
			end := strings.IndexAny(text, "\n\x1b")
			if end < 0 {
				end = len(text)
			}
			if n := len([]rune(text[:end])); n >= 80 {
				t.Errorf("a line of %d characters breaks: %q", n, text[:end])
			}
			lines[row] += text[:end]
			text = text[end:]
		}
	}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" })
}

func TestProgressIsDrawnInPlace(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	p := &progress{out: &out, live: true, now: func() time.Time { return now }, order: []string{"development", "one"}, at: map[string]*stage{}, done: make(chan struct{})}
	p.step("one", "one: step 2 of 8: copy")
	now = now.Add(1500 * time.Millisecond)
	p.step("development", "development: draining, "+strings.Repeat("3 requests wait ", 10)+"\x1b[2J")
	want := []string{"development  draining, 3 requests wait 3 requests wait 3 requests wait 3 reque…", "one          step 2 of 8: copy  1.5s"}
	if got := screenOf80(t, out.String()); !slices.Equal(got, want) {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	p.end("development", &out, "development: stop done")
	if got, want := screenOf80(t, out.String()), []string{"development: stop done", "one          step 2 of 8: copy  1.5s"}; !slices.Equal(got, want) {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	p.end("one", &out, "one: stop failed: why")
	p.close()
	if got, want := screenOf80(t, out.String()), []string{"development: stop done", "one: stop failed: why"}; !slices.Equal(got, want) {
		t.Errorf("in the end the screen shows %q, want %q", got, want)
	}
}

func TestProgressOfManyFitsTheScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &progress{out: &out, live: true, now: time.Now, at: map[string]*stage{}, done: make(chan struct{})}
	for i := range 100 {
		p.order = append(p.order, fmt.Sprint("b", i))
	}
	for _, name := range p.order {
		p.step(name, name+": proving")
	}
	if got := screenOf80(t, out.String()); len(got) != 23 || got[22] != "and 78 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestProgressInAPipeIsPlainLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := newProgress(&out, []string{"one"})
	p.step("one", "one: step 2 of 8: copy")
	p.step("one", "one: proving release r")
	p.end("one", &out, "one: rebuild done")
	p.close()
	if got, want := out.String(), "one: step 2 of 8: copy\none: proving release r\none: rebuild done\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMomentsAreTimesOrHowLongAgo(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for text, ago := range map[string]time.Duration{"1h30m": 90 * time.Minute, "0s": 0, now.Add(-time.Hour).Format(time.RFC3339): time.Hour,
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
	for _, text := range []string{"", "-1h", "soon", "25:00", "2026-13-01"} {
		if err := m.Set(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
