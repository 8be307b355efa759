package control

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Table writes a status for people, in lines of at most width columns: what is
// wrong with builds.toml first, then a line for each build and, below it, what
// is wrong with it and what to do. color marks states for a terminal.
func Table(w io.Writer, s Status, width int, color bool, now time.Time) {
	t := table{width: max(width, 40), color: color, now: now}
	if s.Config.Error != "" {
		t.line(t.paint(red, clip(s.Config.Path+" is not taken, what was read before it holds:", t.width)))
		for line := range strings.Lines(s.Config.Error) {
			t.wrapped(line)
		}
		t.wrapped("Mend the file: it is read again by itself.")
		t.line("")
	}
	t.builds(s.Builds)
	io.WriteString(w, t.out.String()) // a terminal that has gone needs no table
}

type table struct {
	out   strings.Builder
	width int
	color bool
	now   time.Time
}

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// columns of the table; a right one is aligned to the right.
var columns = [...]struct {
	head  string
	right bool
}{{"NAME", false}, {"STATE", false}, {"RELEASE", false}, {"UPTIME", true}, {"RESTARTS", true}, {"LOCATION", false}}

// shrinks is the order in which columns give way, and to what width.
var shrinks = [...]struct{ column, to int }{{5, 8}, {2, 15}, {0, 8}, {5, 2}, {2, 7}}

const gap = 2

func (t *table) builds(all []BuildStatus) {
	if len(all) == 0 {
		t.line("No builds.")
		return
	}
	rows := make([][len(columns)]string, len(all))
	var widths [len(columns)]int
	total := gap * (len(columns) - 1)
	for i, c := range columns {
		widths[i] = len(c.head)
	}
	for n, b := range all {
		rows[n] = [len(columns)]string{b.Name, b.State, dash(b.Release), t.uptime(b), fmt.Sprint(b.Restarts), dash(b.Location)}
		for i := range rows[n] {
			rows[n][i] = Clean(rows[n][i])
			widths[i] = max(widths[i], utf8.RuneCountInString(rows[n][i]))
		}
	}
	for _, w := range widths {
		total += w
	}
	for _, s := range shrinks {
		if cut := min(total-t.width, widths[s.column]-s.to); cut > 0 {
			widths[s.column] -= cut
			total -= cut
		}
	}
	var head [len(columns)]string
	for i, c := range columns {
		head[i] = c.head
	}
	t.row(head, widths, "")
	for n, b := range all {
		t.row(rows[n], widths, b.State)
		t.notes(b)
	}
}

func (t *table) row(cells [len(columns)]string, widths [len(columns)]int, state string) {
	var line strings.Builder
	for i, cell := range cells {
		if i > 0 {
			line.WriteString("  ")
		}
		cell = clip(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if columns[i].head == "STATE" && state != "" {
			cell = t.paint(colorOf(state), cell)
		}
		if columns[i].right {
			cell = pad + cell
		} else {
			cell += pad
		}
		line.WriteString(cell)
	}
	t.line(strings.TrimRight(line.String(), " "))
}

func colorOf(state string) string {
	switch state {
	case "running":
		return green
	case "unhealthy", "backoff", "failed":
		return red
	case "stopped":
		return ""
	}
	return yellow
}

// notes are the lines below a build: what goes on, what is wrong, what to do.
func (t *table) notes(b BuildStatus) {
	if b.Building {
		t.wrapped("building: " + cmp.Or(b.BuildProgress, "in its queue"))
	}
	if b.Reason != "" {
		t.wrapped(b.Reason)
	}
	if b.BuildError != "" && b.BuildError != b.Reason {
		t.wrapped("the last build failed: " + b.BuildError)
	}
	if what := remedy(b); what != "" {
		t.wrapped("-> " + what)
	}
}

// remedy says what to do, "" where nothing need be done.
func remedy(b BuildStatus) string {
	const own = "medctrl-supervisor "
	switch {
	case b.State == "failed", b.BuildError != "" && !b.Building:
		still := ""
		if b.Release != "" {
			still = "; release " + b.Release + " still serves"
		}
		return "mend what is named and it builds by itself" + still + "; at once: " + own + "rebuild " + b.Name
	case b.State == "backoff":
		return "it starts again by itself, and at once when its settings are mended or by: " + own + "restart " + b.Name
	case b.State == "unhealthy":
		return "it is replaced by itself if that goes on; at once: " + own + "restart " + b.Name
	case b.State == "stopped" && b.Reason != "":
		return own + "start " + b.Name
	case b.State == "running" && b.Reason != "" && !b.Building:
		return "release " + b.Release + " serves; mend what is named and the next is tried by itself"
	}
	return ""
}

// uptime is how long the generation has served: two units at most.
func (t *table) uptime(b BuildStatus) string {
	if b.Since.IsZero() {
		return "-"
	}
	d := max(t.now.Sub(b.Since), 0)
	switch days := int(d / (24 * time.Hour)); {
	case days >= 100:
		return fmt.Sprintf("%dd", days)
	case days > 0:
		return fmt.Sprintf("%dd%dh", days, int(d.Hours())%24)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

func (t *table) line(text string) { t.out.WriteString(text + "\n") }

// wrapped writes text, of any number of lines, indented and broken at width,
// at spaces where there are any.
func (t *table) wrapped(text string) {
	const indent = "    "
	room := t.width - len(indent)
	for line := range strings.Lines(strings.TrimSpace(text)) {
		rest := []rune(strings.TrimRight(Clean(line), " "))
		for len(rest) > room {
			at := room
			for i := room; i > room/2; i-- {
				if rest[i] == ' ' {
					at = i
					break
				}
			}
			t.line(indent + string(rest[:at]))
			rest = []rune(strings.TrimLeft(string(rest[at:]), " "))
		}
		t.line(indent + string(rest))
	}
}

func (t *table) paint(color, text string) string {
	if !t.color || color == "" {
		return text
	}
	return color + text + plain
}

// Clean takes out what would move a terminal's cursor or colour it: reasons
// hold a child's own words.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
}

// clip shortens text to width characters.
func clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}

func dash(text string) string { return cmp.Or(text, "-") }
