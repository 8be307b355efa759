package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file. Line and Col begin at 1; 0 where it is about the whole file.
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

// About lists the files and folders outside that are missing or bad: a change of one may fix it
// all.
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
