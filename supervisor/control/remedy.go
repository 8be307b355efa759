package control

import "strings"

// Remedy returns what to do about a build, in a sentence without a full stop, "" where nothing is needed. The
// terminal, the dashboard and who reads the JSON all get it from here.
func Remedy(b BuildStatus) string {
	const own = "medctrl-supervisor "
	serves := "release " + b.Release + " is serving; "
	switch {
	case b.State == StateFailed, b.BuildError != "" && !b.Building:
		still := ""
		if b.Release != "" {
			still = "; release " + b.Release + " keeps serving"
		}
		return "fix the cause and it is rebuilt automatically" + still + "; to retry now: " + own + "rebuild " + b.Name
	case b.State == StateBackoff:
		return "it is restarted automatically, and at once when its settings are fixed or by: " + own + "restart " + b.Name
	case b.State == StateUnhealthy:
		return "it is replaced automatically if this goes on; to replace it now: " + own + "restart " + b.Name
	case b.State == StateStopped && b.Reason != "":
		return own + "start " + b.Name
	case b.State != StateRunning || b.Reason == "" || b.Building:
		return ""
	case b.memberAway() && b.NextTry.IsZero():
		return "clients are served; what does not run is started again automatically, and at once by: " + own + "restart " + b.Name
	case !b.NextTry.IsZero():
		return serves + "to try the other now: " + own + "restart " + b.Name
	case strings.HasPrefix(b.Reason, "static files "):
		return serves + "fix the cause, the files are tried again automatically"
	}
	return serves + "fix the cause and the next release is tried automatically"
}

// memberAway says that the reason is one server tree of several, or a process beside the server.
func (b BuildStatus) memberAway() bool {
	return strings.Contains(b.Reason, "server trees serve: ") || strings.HasPrefix(b.Reason, "process ")
}
