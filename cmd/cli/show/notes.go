package show

import (
	"cmp"
	"strings"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// notes writes the lines below a build: what is under way, what is wrong, and what to do. Only
// where full is set, all that a process printed is among them.
func (p *page) notes(b control.BuildStatus, full bool) {
	if b.Building {
		p.wrapped("building: " + cmp.Or(b.BuildProgress, "waiting for its turn"))
	}
	for _, reason := range reasons(b) {
		if !full {
			reason = short(reason)
		}
		p.wrapped(reason)
	}
	for _, warning := range b.Warnings {
		p.wrapped("warning: " + warning)
	}
	if todo := remedy(b); todo != "" {
		p.wrapped("-> " + todo)
	}
}

// reasons returns why a build is not simply running what its file asks for.
func reasons(b control.BuildStatus) []string {
	var all []string
	if b.Reason != "" {
		all = append(all, b.Reason)
	}
	if b.BuildError != "" && b.BuildError != b.Reason {
		all = append(all, "the last build failed: "+b.BuildError)
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

// memberAway says that the reason is one server tree of several, or a process beside the server.
func memberAway(b control.BuildStatus) bool {
	return strings.Contains(b.Reason, "server trees serve: ") || strings.HasPrefix(b.Reason, "process ")
}

// remedy returns what to do about a build, "" where nothing is needed.
func remedy(b control.BuildStatus) string {
	const own = "medctrl-supervisor "
	switch {
	case b.State == "failed", b.BuildError != "" && !b.Building:
		still := ""
		if b.Release != "" {
			still = "; release " + b.Release + " keeps serving"
		}
		return "fix the cause and it is rebuilt automatically" + still + "; to retry now: " + own + "rebuild " + b.Name
	case b.State == "backoff":
		return "it is restarted automatically, and at once when its settings are fixed or by: " + own + "restart " + b.Name
	case b.State == "unhealthy":
		return "it is replaced automatically if this goes on; to replace it now: " + own + "restart " + b.Name
	case b.State == "stopped" && b.Reason != "":
		return own + "start " + b.Name
	case b.State == "running" && memberAway(b) && b.BuildError == "" && b.NextTry.IsZero():
		return "clients are served; what does not run is started again automatically, and at once by: " + own + "restart " + b.Name
	case b.State == "running" && b.Reason != "" && !b.Building && !b.NextTry.IsZero():
		return "release " + b.Release + " is serving; to try the other now: " + own + "restart " + b.Name
	case b.State == "running" && strings.HasPrefix(b.Reason, "static files ") && !b.Building:
		return "release " + b.Release + " is serving; fix the cause, the files are tried again automatically"
	case b.State == "running" && b.Reason != "" && !b.Building:
		return "release " + b.Release + " is serving; fix the cause and the next release is tried automatically"
	}
	return ""
}
