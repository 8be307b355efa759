package show

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Long writes all that is known of one build.
func Long(w io.Writer, d control.BuildDetail, look Look, now time.Time) {
	l := long{page: newPage(look, now)}
	b := d.Status
	l.broken(Clean(b.Name) + "  " + l.look.paint(colorOf(b.State), stateOf(b, inDetail, now)))
	l.notes(b, true, true)
	l.since(b)
	l.pair("release", dash(b.Release))
	if b.Commit != nil {
		l.pair("commit", Commit(*b.Commit))
	}
	if b.Pid != 0 {
		l.pair("process", fmt.Sprintf("%d, the server's main process", b.Pid))
	}
	if b.Restarts > 0 {
		l.pair("restarts", fmt.Sprintf("%d automatic, %d by hand", restarts(b), b.ByHand))
	}
	if b.Replicas.Want > 1 {
		l.pair("replicas", fmt.Sprintf("%d of %d server trees serve, their main processes: %s", b.Replicas.Ready, b.Replicas.Want, numbers(b.Replicas.Pids)))
	}
	if b.Memory != 0 {
		l.pair("uses", fmt.Sprintf("%s of memory, %s of a core", memory(b.Memory), share(b)))
	}
	l.pair("socket", b.Socket+queued(b.Queue))
	l.pair("location", dash(b.Location))
	l.pair("health", healthOf(b))
	l.pair("confined", confinement(b))
	if b.LastExit != "" {
		l.pair("last exit", lastExit(b)+l.exitedWhen(d.Events))
	}
	for _, t := range b.Tasks {
		l.pair(Clean(t.Kind), l.task(t, b.Release))
	}
	if e := b.Elsewhere; e != nil {
		l.pair("elsewhere", elsewhere(*e))
	}
	l.processes(b.Name, b.Processes)
	l.releases(b.Name, d.History)
	l.lastBuild(d.LastBuild, b.Reason+" "+b.BuildError)
	l.schedules(b.Name, b.Schedules)
	l.events(d.Events)
	if len(d.Output) > 0 {
		l.head("Output", "the last lines; more: medctrl-supervisor logs "+b.Name)
		for _, line := range d.Output {
			l.line(clip("    "+Clean(line), l.look.Columns))
		}
	}
	io.WriteString(w, l.out.String()) // a terminal that is gone needs no text
}

// elsewhere says what another host does.
func elsewhere(e control.Elsewhere) string {
	all := ""
	if e.Migrates {
		all = "migrates, and what is built here waits for that"
	}
	for _, part := range []struct {
		one  string
		many []string
	}{{"schedule", e.Schedules}, {"process", e.Processes}} {
		for _, name := range part.many {
			if all != "" {
				all += "; "
			}
			all += fmt.Sprintf("%s %s runs there", part.one, name)
		}
	}
	return Clean(e.Host + ", which once_on names: " + cmp.Or(all, "nothing of this build is done once"))
}

// numbers lists them.
func numbers(all []int) string {
	texts := make([]string, len(all))
	for i, n := range all {
		texts[i] = strconv.Itoa(n)
	}
	return cmp.Or(strings.Join(texts, ", "), "none")
}

// processes lists what runs beside the server.
func (l *long) processes(build string, all []control.ProcessStatus) {
	if len(all) == 0 {
		return
	}
	l.head("Processes", "their output: medctrl-supervisor logs "+build)
	for _, p := range all {
		text := fmt.Sprintf("    %-16s %s", Clean(p.Label()), l.look.paint(colorOf(p.State), Clean(p.State)))
		if p.Pid != 0 {
			text += fmt.Sprintf(", pid %d", p.Pid)
		}
		if !p.Since.IsZero() {
			text += fmt.Sprintf(" for %s", Span(l.now.Sub(p.Since)))
		}
		if p.Restarts > 0 {
			text += fmt.Sprintf(", restarts: %d", p.Restarts)
		}
		l.line(text)
		if p.LastExit != "" && p.State != "running" {
			l.indented(p.LastExit, 21)
		}
	}
}

// lastExit is how the server ended last, without the output that the reason above has already.
func lastExit(b control.BuildStatus) string {
	how, output, _ := strings.Cut(b.LastExit, "; last output: ")
	if output != "" && strings.Contains(b.Reason, output) {
		return how
	}
	return b.LastExit
}

// long is a page about one build.
type long struct{ page }

func (l *long) since(b control.BuildStatus) {
	if !b.Since.IsZero() {
		l.pair("serving", fmt.Sprintf("for %s, since %s", Span(l.now.Sub(b.Since)), l.clock(b.Since)))
	}
}

// task says what runs once beside the server.
func (l *long) task(t control.TaskStatus, serving string) string {
	text := fmt.Sprintf("%s, process %d, for %s", dash(t.Name), t.Pid, Span(l.now.Sub(t.Started)))
	if t.By != "" {
		text += ", by " + t.By
	}
	if t.Release != serving {
		text += ", from release " + t.Release
	}
	return text
}

func queued(queue int) string {
	switch {
	case queue < 0:
		return ""
	case queue == 1:
		return ", 1 client waiting"
	}
	return fmt.Sprintf(", %d clients waiting", queue)
}

func healthOf(b control.BuildStatus) string {
	switch {
	case b.Pid == 0:
		return "-"
	case b.Healthy:
		return "passes its checks"
	}
	return "fails its checks"
}

// confinement is what keeps a build from the rest of the machine.
func confinement(b control.BuildStatus) string {
	all := []string{"no sandbox"}
	if b.Sandbox {
		all[0] = "in a sandbox"
	}
	if b.Limits.Memory != 0 {
		all = append(all, memory(b.Limits.Memory)+" of memory")
	}
	if b.Limits.CPU != 0 {
		all = append(all, "cpu "+strconv.FormatFloat(b.Limits.CPU, 'f', -1, 64))
	}
	if b.Limits.Tasks != 0 {
		all = append(all, plural(b.Limits.Tasks, "task"))
	}
	if b.Limits.Nofile != 0 {
		all = append(all, plural(b.Limits.Nofile, "open file"))
	}
	if b.Limits.Memory == 0 && b.Limits.CPU == 0 && b.Limits.Tasks == 0 && b.Limits.Nofile == 0 {
		all = append(all, "no limits")
	}
	return strings.Join(all, ", ")
}

// exitedWhen returns how long ago the last exit was, where that is remembered.
func (l *long) exitedWhen(events []control.Event) string {
	for i := len(events) - 1; i >= 0; i-- {
		if e := events[i]; e.Event == "exited" || e.Event == "candidate_failed" {
			return fmt.Sprintf(" (%s ago)", Span(l.now.Sub(e.Time)))
		}
	}
	return ""
}

// head begins a part of the page.
func (l *long) head(title, note string) {
	l.line("")
	l.line(clip(title+": "+Clean(note), l.look.Columns))
}

// pair writes a name and its value, broken at the page's width.
func (l *long) pair(name, text string) {
	const room = 13
	for _, line := range wrap(text, l.look.Columns-room) {
		l.line(fmt.Sprintf("  %-*s%s", room-2, name, line))
		name = ""
	}
}

func (l *long) releases(build string, all []control.ReleaseStatus) {
	if len(all) == 0 {
		return
	}
	l.head("Releases", "go back to one with: medctrl-supervisor rollback --to ID "+build)
	for _, r := range all {
		l.line(fmt.Sprintf("    %-22s  %5s old  %s", Clean(r.Release), Span(l.now.Sub(r.Built)), l.fate(r)))
		for _, why := range []string{r.Bad, r.Ended} {
			if why != "" {
				l.indented(why, 8)
			}
		}
		if r.Commit != nil {
			l.indented("commit "+Commit(*r.Commit), 8)
		}
		if len(r.Because) > 0 {
			l.indented("made because: "+strings.Join(r.Because, ", "), 8)
		}
		if r.By != "" {
			l.indented("asked for by "+r.By, 8)
		}
	}
}

// fate returns in a few words what became of a release.
func (l *long) fate(r control.ReleaseStatus) string {
	switch {
	case r.Serves:
		return l.look.paint(green, "serving") + " since " + l.clock(r.Since)
	case r.Bad != "":
		return l.look.paint(red, "rejected")
	case r.Since.IsZero():
		return "never served"
	case r.Until.IsZero():
		return "served since " + l.clock(r.Since)
	}
	return fmt.Sprintf("served until %s ago", Span(l.now.Sub(r.Until)))
}

// lastBuild shows what became of the last attempt, and why it failed where the head does not say so.
func (l *long) lastBuild(b *control.BuildResult, head string) {
	if b == nil {
		return
	}
	note := fmt.Sprintf("%s after %s, %s ago", b.Result, seconds(b.Took), Span(l.now.Sub(b.Started)))
	switch {
	case b.Result == "running":
		note = "running for " + seconds(b.Took)
	case b.Release != "":
		note = fmt.Sprintf("made %s in %s", b.Release, seconds(b.Took))
	}
	l.head("Last build", note)
	var steps []string
	for _, s := range b.Steps {
		took := seconds(s.Took)
		if s.Skipped {
			took = "nothing to do"
		}
		steps = append(steps, s.Step+" "+took)
	}
	l.wrapped(strings.Join(steps, " · "))
	if b.Error != "" && !strings.Contains(head, b.Error) {
		l.wrapped(b.Error)
	}
}

func (l *long) events(all []control.Event) {
	if len(all) == 0 {
		return
	}
	l.head("Events", "the last ones; more: medctrl-supervisor events "+all[0].Build)
	for _, e := range all {
		text := fmt.Sprintf("    %s  %s  %s", l.clock(e.Time), eventName(e), Clean(cmp.Or(e.Reason, e.Release)))
		l.line(clip(strings.TrimRight(text, " "), l.look.Columns))
	}
}
