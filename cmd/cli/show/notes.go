package show

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// notes writes the lines below a build: what is under way, what is wrong, and what to do. Only
// where full is set, all that a process printed is among them. Where dated is set, the state has said
// since when something fails.
func (p *page) notes(b control.BuildStatus, dated, full bool) {
	if b.Building {
		p.wrapped("building: " + cmp.Or(b.BuildProgress, "waiting for its turn"))
	}
	if b.Proving != "" {
		p.wrapped("checking release " + b.Proving + p.lately(b.ProvingSince))
	}
	for _, reason := range p.reasons(b, dated) {
		if !full {
			reason = short(reason)
		}
		p.wrapped(reason)
	}
	for _, warning := range b.Warnings {
		p.wrapped("warning: " + warning)
	}
	if b.Pinned {
		p.wrapped("pinned: a rollback chose this release; it stays until an input changes, or: medctrl-supervisor rebuild " + b.Name)
	}
	if b.Remedy != "" {
		p.wrapped("-> " + b.Remedy)
	}
}

// lately says for how long, and since when.
func (p *page) lately(since time.Time) string {
	if since.IsZero() {
		return ""
	}
	return fmt.Sprintf(" for %s, since %s", Span(p.now.Sub(since)), since.In(p.now.Location()).Format("15:04:05 MST"))
}

// reasons returns why a build is not simply running what its file asks for.
func (p *page) reasons(b control.BuildStatus, dated bool) []string {
	var all []string
	failed := ""
	if f := b.Failed; f != nil && !dated {
		failed = failure(f, p.now)
	}
	if b.Reason != "" {
		text := b.Reason
		if f := b.Failed; f != nil && !f.At.IsZero() && !dated && (b.Reason == b.BuildError || f.Release != "" && strings.Contains(b.Reason, f.Release)) {
			text = Span(p.now.Sub(f.At)) + " ago: " + text
		}
		all = append(all, text)
	}
	if b.BuildError != "" && b.BuildError != b.Reason {
		all = append(all, "the last build failed"+failed+": "+b.BuildError)
	}
	return all
}

// short returns a reason with only the last line of what a process printed, which names the
// mistake.
func short(reason string) string {
	what, output, ok := strings.Cut(reason, "; last output: ")
	if !ok {
		return reason
	}
	lines := strings.Split(output, " | ")
	last, next := lines[len(lines)-1], ""
	if i := strings.LastIndex(last, "; "); i > 0 && (strings.Contains(last[i:], "tried again") || strings.Contains(last[i:], "repeated by itself")) {
		last, next = last[:i], last[i:]
	}
	if i := strings.LastIndex(last, " (/"); i > 0 && strings.HasSuffix(last, ")") {
		last = last[:i] // the path of the log, which `logs --build` shows
	}
	if cause, ok := strings.CutPrefix(last, "caused by "); ok && len(lines) > 1 {
		last = lines[len(lines)-2] + ", caused by " + cause // what failed, and why
	}
	return what + ": " + last + next
}
