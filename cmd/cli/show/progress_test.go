package show

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// screenOf80 returns what a terminal of 80 columns shows after it was sent text: it interprets line
// ends, "up n lines" and "erase below".
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
	p := newProgress(&out, []string{"development", "one"}, true)
	p.now = func() time.Time { return now }
	p.Step("one", "one: step 2 of 8: copy")
	now = now.Add(1500 * time.Millisecond)
	p.Step("development", "development: draining, "+strings.Repeat("3 requests wait ", 10)+"\x1b[2J")
	want := []string{"development  draining, 3 requests wait 3 requests wait 3 requests wait 3 reque…", "one          step 2 of 8: copy  1.5s"}
	if got := screenOf80(t, out.String()); !slices.Equal(got, want) {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	p.End("development", &out, "development: stop done")
	if got, want := screenOf80(t, out.String()), []string{"development: stop done", "one          step 2 of 8: copy  1.5s"}; !slices.Equal(got, want) {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	p.End("one", &out, "one: stop failed: why")
	p.Close()
	if got, want := screenOf80(t, out.String()), []string{"development: stop done", "one: stop failed: why"}; !slices.Equal(got, want) {
		t.Errorf("in the end the screen shows %q, want %q", got, want)
	}
}

func TestProgressOfManyFitsTheScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprint("b", i))
	}
	p := newProgress(&out, names, true)
	for _, name := range names {
		p.Step(name, name+": checking")
	}
	if got := screenOf80(t, out.String()); len(got) != 23 || got[22] != "and 78 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
}

func TestProgressInAPipeIsPlainLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := NewProgress(&out, []string{"one"})
	p.Step("one", "one: step 2 of 8: copy")
	p.Step("one", "one: checking release r")
	p.End("one", &out, "one: rebuild done")
	p.Close()
	if got, want := out.String(), "one: step 2 of 8: copy\none: checking release r\none: rebuild done\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
