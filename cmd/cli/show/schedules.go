package show

import (
	"fmt"
	"strings"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// schedules writes when the schedules of a build run, and how their last runs went.
func (l *long) schedules(build string, all []control.ScheduleStatus) {
	if len(all) == 0 {
		return
	}
	l.head("Schedules", "their output: medctrl-supervisor logs --schedule SCHEDULE "+build)
	for _, s := range all {
		l.line(strings.TrimRight(fmt.Sprintf("    %-18s %-28s %s", Clean(s.Name), Clean(times(s)), l.result(s)), " "))
		switch {
		case s.Trouble != "":
			l.indented("cannot run: "+s.Trouble, 8)
		case s.Next.IsZero():
			l.indented("does not run while the build is as it is", 8)
		default:
			l.indented(fmt.Sprintf("next in %s, %s", Span(max(s.Next.Sub(l.now), 0)), l.clock(s.Next)), 8)
		}
		if s.Last != nil {
			l.lastRun(s, *s.Last)
		}
	}
}

// times is what says when a schedule runs.
func times(s control.ScheduleStatus) string {
	if every := s.Every; every != "" {
		for _, nothing := range []string{"m0s", "h0m"} {
			if strings.HasSuffix(every, nothing) {
				every = every[:len(every)-2]
			}
		}
		return "every " + every
	}
	return strings.TrimSpace(s.Cron + " " + s.Timezone)
}

// result is how the last run of a schedule ended, or that one is under way.
func (l *long) result(s control.ScheduleStatus) string {
	switch {
	case s.Running == 1:
		return l.look.paint(green, "running")
	case s.Running > 1:
		return l.look.paint(green, fmt.Sprintf("%d running", s.Running))
	case s.Last == nil:
		return ""
	}
	switch s.Last.Result {
	case control.ResultGood:
		return l.look.paint(green, "good")
	case control.ResultFailed:
		return l.look.paint(red, "failed")
	case control.ResultLate:
		return l.look.paint(red, "took too long")
	case control.ResultStopped:
		return "stopped"
	case control.ResultUnknown:
		return "ended unseen"
	}
	return Clean(s.Last.Result) // of a later version
}

func (l *long) lastRun(s control.ScheduleStatus, r control.RunStatus) {
	text := fmt.Sprintf("last %s ago: %s after %s", Span(l.now.Sub(r.Started)), r.Exit, seconds(r.Took))
	if r.Result == control.ResultUnknown {
		text = fmt.Sprintf("last %s ago: %s, at most %s after it began", Span(l.now.Sub(r.Started)), r.Exit, seconds(r.Took))
	}
	if r.Release != "" {
		text += ", from " + r.Release
	}
	switch {
	case r.Result == control.ResultGood:
	case s.LastSuccess.IsZero():
		text += "; none has ended well"
	default:
		text += fmt.Sprintf("; the last good one %s ago", Span(l.now.Sub(s.LastSuccess)))
	}
	l.indented(text, 8)
	for _, line := range r.Output {
		l.line(clip("          "+Clean(line), l.look.Columns))
	}
}
