package show

import (
	"fmt"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Done returns what has come of an action, in a line. Where it is only requested, nobody has waited for it.
func Done(name, action string, requested bool, o control.Outcome, now time.Time) string {
	switch r := o.RolledBack; {
	case o.Already && action == "start":
		return name + ": already running"
	case o.Already && action == "stop":
		return name + ": already stopped"
	case r != nil:
		return rolledBack(name, requested, *r, now)
	case requested:
		return fmt.Sprintf("%s: %s requested", name, action)
	}
	return fmt.Sprintf("%s: %s done", name, action)
}

// rolledBack says what serves now, for how long, and how to undo it.
func rolledBack(name string, requested bool, r control.RolledBack, now time.Time) string {
	text, forward := "rolled back", fmt.Sprintf("`medctrl-supervisor rebuild %s`", name)
	if requested {
		text = "rollback requested"
	}
	if r.From != "" && r.From != r.To {
		text += " from " + r.From
		forward = fmt.Sprintf("`medctrl-supervisor rollback %s --to %s`, or build what is in the source now: %s", name, r.From, forward)
	}
	text += " to " + r.To
	if !r.Built.IsZero() {
		text += fmt.Sprintf(", made %s ago", Span(now.Sub(r.Built)))
	}
	return fmt.Sprintf("%s: %s; it is pinned until an input changes. To go forward again: %s", name, text, forward)
}
