package show

import (
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// detail is how much of a state is said.
type detail int

const (
	inAWord  detail = iota // "running"
	inShort                // "running, BUILD FAILED"
	inDetail               // "running, BUILD FAILED 4s ago at check (tried 3 times)"
)

// stateOf returns a build's state in words, and what is under way or wrong with its next release.
func stateOf(b control.BuildStatus, much detail, now time.Time) string {
	serves := b.State != control.StateFailed && b.State != control.StateBuilding
	beside := ""
	switch {
	case much == inAWord:
	case b.Proving != "" && serves && b.State != control.StateStarting:
		beside = "checking"
	case b.Building && serves:
		beside = "building"
	case b.BuildError != "" && serves:
		beside = "BUILD FAILED"
	case b.Failed != nil && b.Failed.Release != "" && serves:
		beside = "RELEASE FAILED"
	}
	text := Clean(b.State)
	if beside != "" {
		text += ", " + beside
	}
	if failed := b.State == control.StateFailed || strings.HasSuffix(beside, "FAILED"); much == inDetail && failed {
		text += failure(b.Failed, now)
	}
	return text
}

// failure says when, where and how often what was to serve has failed: " 4s ago at check (tried 3 times)".
func failure(f *control.Failed, now time.Time) (text string) {
	if f == nil {
		return ""
	}
	if !f.At.IsZero() {
		text = " " + Span(now.Sub(f.At)) + " ago"
	}
	switch {
	case f.Release != "":
		text += " at its check"
	case f.Step != "":
		text += " at " + Clean(f.Step)
	}
	if f.Tries > 1 {
		text += fmt.Sprintf(" (tried %d times)", f.Tries)
	}
	return text
}

// restarts are those that nobody asked for.
func restarts(b control.BuildStatus) int { return b.Restarts - b.ByHand }

// counts says how many builds are in which state, the troubled ones once: "10 builds: 8 running", "2 failing".
func (l Look) counts(all []control.BuildStatus) []string {
	n := map[string]int{}
	for _, b := range all {
		if b.Failing() {
			n["failing"]++
		} else {
			n[b.State]++
		}
	}
	var parts []string
	for _, state := range []string{control.StateRunning, "failing", control.StateBuilding, control.StateStarting, control.StateStopping, control.StateStopped} {
		if n[state] == 0 {
			continue
		}
		part := fmt.Sprintf("%d %s", n[state], state)
		if state == "failing" {
			part = l.paint(red, part)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return []string{plural(len(all), "build")}
	}
	parts[0] = plural(len(all), "build") + ": " + parts[0]
	return parts
}
