package control

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// Long writes what is known of one build for people, as Table does of all.
func Long(w io.Writer, d BuildDetail, width int, color bool, now time.Time) {
	t := table{width: max(width, 40), color: color, now: now, long: true}
	b := d.Status
	t.line(Clean(b.Name) + "  " + t.paint(colorOf(b.State), Clean(b.State)) + t.sinceWhen(b))
	t.notes(b)
	t.pair("release", dash(b.Release))
	if b.Pid != 0 {
		t.pair("process", fmt.Sprintf("%d, the server's main process; restarts: %d", b.Pid, b.Restarts))
	}
	if b.Memory != 0 {
		t.pair("uses", fmt.Sprintf("%s of memory, %s of a core", memory(b.Memory), share(b)))
	}
	t.pair("socket", b.Socket+queued(b.Queue))
	t.pair("location", dash(b.Location))
	t.pair("health", healthOf(b))
	if b.LastExit != "" {
		t.pair("last exit", b.LastExit+t.exitedWhen(d.Events))
	}
	t.releases(b.Name, d.History)
	t.lastBuild(d.LastBuild)
	t.events(d.Events)
	if len(d.Output) > 0 {
		t.head("Output", "the last lines; more: medctrl-supervisor logs "+b.Name)
		for _, line := range d.Output {
			t.line(clip("    "+Clean(line), t.width))
		}
	}
	io.WriteString(w, t.out.String()) // a terminal that has gone needs no text
}

func (t *table) sinceWhen(b BuildStatus) string {
	if b.Since.IsZero() {
		return ""
	}
	return fmt.Sprintf(" for %s, since %s", Span(t.now.Sub(b.Since)), t.clock(b.Since))
}

func (t *table) clock(at time.Time) string {
	return at.In(t.now.Location()).Format("2006-01-02 15:04:05")
}

func queued(queue int) string {
	switch {
	case queue < 0:
		return ""
	case queue == 1:
		return ", 1 client waits"
	}
	return fmt.Sprintf(", %d clients wait", queue)
}

func healthOf(b BuildStatus) string {
	switch {
	case b.Pid == 0:
		return "-"
	case b.Healthy:
		return "answers as expected"
	}
	return "does not answer as expected"
}

// exitedWhen is the time of the last exit, where it is remembered.
func (t *table) exitedWhen(events []Event) string {
	for i := len(events) - 1; i >= 0; i-- {
		if e := events[i]; e.Event == "exited" || e.Event == "candidate_failed" {
			return fmt.Sprintf(" (%s ago)", Span(t.now.Sub(e.Time)))
		}
	}
	return ""
}

// head begins a part.
func (t *table) head(title, note string) {
	t.line("")
	t.line(clip(title+": "+Clean(note), t.width))
}

// pair writes a name and what it is, broken at width.
func (t *table) pair(name, text string) {
	const room = 13
	lines := wrap(text, t.width-room)
	for i, line := range lines {
		if i > 0 {
			name = ""
		}
		t.line(fmt.Sprintf("  %-*s%s", room-2, name, line))
	}
}

func (t *table) releases(build string, all []ReleaseStatus) {
	if len(all) == 0 {
		return
	}
	t.head("Releases", "back to one of them: medctrl-supervisor rollback --to ID "+build)
	for _, r := range all {
		t.line(fmt.Sprintf("    %-22s  %5s old  %s", Clean(r.Release), Span(t.now.Sub(r.Built)), t.fate(r)))
		for _, why := range []string{r.Bad, r.Ended} {
			if why != "" {
				t.indented(why, 8)
			}
		}
	}
}

// fate says in a few words what became of a release.
func (t *table) fate(r ReleaseStatus) string {
	switch {
	case r.Serves:
		return t.paint(green, "serves") + " since " + t.clock(r.Since)
	case r.Bad != "":
		return t.paint(red, "not taken")
	case r.Since.IsZero():
		return "never served"
	case r.Until.IsZero():
		return "served since " + t.clock(r.Since)
	}
	return fmt.Sprintf("served until %s ago", Span(t.now.Sub(r.Until)))
}

func (t *table) lastBuild(b *BuildResult) {
	if b == nil {
		return
	}
	note := fmt.Sprintf("%s after %s, %s ago", b.Result, seconds(b.Took), Span(t.now.Sub(b.Started)))
	switch {
	case b.Result == "running":
		note = "runs for " + seconds(b.Took)
	case b.Release != "":
		note = fmt.Sprintf("made %s in %s", b.Release, seconds(b.Took))
	}
	t.head("Last build", note)
	var steps []string
	for _, s := range b.Steps {
		took := seconds(s.Took)
		if s.Skipped {
			took = "nothing to do"
		}
		steps = append(steps, s.Step+" "+took)
	}
	t.wrapped(strings.Join(steps, " · "))
	if b.Error != "" {
		t.wrapped(b.Error)
	}
}

func seconds(s float64) string {
	switch {
	case s < 0.01:
		return "0s"
	case s < 10:
		return fmt.Sprintf("%.2gs", s)
	}
	return (time.Duration(s * float64(time.Second))).Round(time.Second).String()
}

func (t *table) events(all []Event) {
	if len(all) == 0 {
		return
	}
	t.head("Events", "the last ones; more: medctrl-supervisor events "+all[0].Build)
	for _, e := range all {
		text := fmt.Sprintf("    %s  %s  %s", t.clock(e.Time), strings.ReplaceAll(Clean(e.Event), "_", " "), Clean(cmp.Or(e.Reason, e.Release)))
		t.line(clip(strings.TrimRight(text, " "), t.width))
	}
}
