package show

import (
	"fmt"
	"strings"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// shortHash is how much of a commit's hash tells it from others.
const shortHash = 10

// Commit returns a commit in a line: "4f3a2b1c0d on main, Show red prices (Ada), 3 files changed
// since".
func Commit(c control.Commit) string {
	text := c.Hash[:min(len(c.Hash), shortHash)]
	if c.Branch != "" {
		text += " on " + c.Branch
	}
	if c.Subject != "" {
		text += ", " + c.Subject
	}
	if c.Author != "" {
		text += " (" + c.Author + ")"
	}
	if c.Changed > 0 {
		text += fmt.Sprintf(", %s changed since", plural(c.Changed, "file"))
	}
	return Clean(strings.TrimSpace(text))
}
