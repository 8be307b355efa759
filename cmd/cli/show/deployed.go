package show

import (
	"fmt"
	"strings"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Deployed returns what has come of a deploy, in a line.
func Deployed(name string, d control.Deployed) string {
	var what string
	switch {
	case !d.Changed:
		return fmt.Sprintf("%s: up to date, serving %s", name, d.Release)
	case d.From == d.Release:
		what = timeOf(d.Release) + " with changed run settings"
	case d.From == "":
		what = timeOf(d.Release) + " serves"
	default:
		what = timeOf(d.From) + " → " + timeOf(d.Release)
	}
	text := fmt.Sprintf("%s: %s in %.1fs", name, what, d.Took)
	switch {
	case d.NoneLost:
		text += ", no request lost"
	case len(d.Doubts) > 0 && d.From != "":
		text += ", requests may have been lost: " + strings.Join(d.Doubts, "; ")
	}
	return text
}

// timeOf is a release's name without its hash.
func timeOf(release string) string { return release[:min(len(release), releaseTime)] }
