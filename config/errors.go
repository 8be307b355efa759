package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a file. Line and Col begin at 1; 0 if it is about the whole file.
type Error struct {
	File      string
	Line, Col int
	Key       string
	Msg       string
	About     string // another file or folder that is missing or bad, "" for none
}

// Error returns file:line:col: message.
func (e Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Errors are all mistakes in a file, in its order.
type Errors []Error

// Error returns one mistake per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// About lists the other files and folders that are missing or bad: a change in one of them may fix
// the errors.
func (e Errors) About() []string {
	var all []string
	for _, one := range e {
		if one.About != "" && !slices.Contains(all, one.About) {
			all = append(all, one.About)
		}
	}
	return all
}

// Sorted returns them in the order of the file, each once.
func (e Errors) Sorted() Errors {
	e = slices.Clone(e)
	e.sort()
	return slices.Compact(e)
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Msg, b.Msg))
	})
}
