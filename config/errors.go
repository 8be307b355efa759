package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file. Line and Col begin at 1; 0 where it is about
// the whole file.
type Error struct {
	File      string
	Line, Col int
	Key       string
	Msg       string
	About     string // the file or folder outside that is missing or bad, "" for none
}

// Error is file:line:col: message.
func (e Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Errors are all mistakes of a file, in its order.
type Errors []Error

// Error is one mistake a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// About lists the files and folders outside that are missing or bad: a change of
// one may mend it all.
func (e Errors) About() []string {
	var all []string
	for _, one := range e {
		if one.About != "" && !slices.Contains(all, one.About) {
			all = append(all, one.About)
		}
	}
	return all
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Msg, b.Msg))
	})
}

// near answers the known name that was probably meant, as «; did you mean
// "x"?», or "" where none is near.
func near(name string, known []string) string {
	best, distance := "", 3
	if len(name) > 64 {
		return "" // no key is that long, and the comparison takes its product
	}
	for _, k := range known {
		limit := min(distance, max(len(k)/2, 2))
		if d := edits(strings.ToLower(name), k); d < limit {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// edits is how many letters must be added, removed, changed or swapped with
// their neighbour to make b of a (optimal string alignment).
func edits(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now := make([]int, len(b)+1)
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}
