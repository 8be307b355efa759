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
	gap   int  // between columns
	long  bool // there is room for all that is known
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
}{{"NAME", false}, {"STATE", false}, {"RELEASE", false}, {"UP", true}, {"RESTARTS", true}, {"MEM", true}, {"CPU", true}, {"WAIT", true}, {"LOCATION", false}}

// shrinks is the order in which columns give way, and to what width. A release
// of 15 characters is its time, without its hash.
var shrinks = [...]struct{ column, to int }{{2, releaseTime}, {8, 8}, {0, 8}, {8, 2}, {2, 7}}

const releaseTime = len("20261123T090001")

func (t *table) builds(all []BuildStatus) {
	if len(all) == 0 {
		t.line("No builds.")
		return
	}
	rows := make([][len(columns)]string, len(all))
	var widths [len(columns)]int
	total := 0
	for i, c := range columns {
		widths[i] = len(c.head)
	}
	for n, b := range all {
		rows[n] = [len(columns)]string{b.Name, b.State, dash(b.Release), t.uptime(b), fmt.Sprint(b.Restarts),
			memory(b.Memory), share(b), waiting(b.Queue), dash(b.Location)}
		for i := range rows[n] {
			rows[n][i] = Clean(rows[n][i])
			widths[i] = max(widths[i], utf8.RuneCountInString(rows[n][i]))
		}
	}
	for _, w := range widths {
		total += w
	}
	t.gap = 2
	if room := t.width - total; room < t.gap*(len(columns)-1) {
		if cut := widths[2] - releaseTime; cut > 0 {
			widths[2], total = releaseTime, total-cut
		}
	}
	if t.width-total < t.gap*(len(columns)-1) {
		t.gap = 1
	}
	total += t.gap * (len(columns) - 1)
	for _, s := range shrinks {
		if cut := min(total-t.width, widths[s.column]-s.to); cut > 0 {
			widths[s.column] -= cut
			total -= cut
		}
	}
	for n := range rows {
		if widths[2] == releaseTime && len(rows[n][2]) > releaseTime {
			rows[n][2] = rows[n][2][:releaseTime]
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
			line.WriteString(strings.Repeat(" ", t.gap))
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
	for _, why := range reasons(b) {
		t.wrapped(t.said(why))
	}
	if what := remedy(b); what != "" {
		t.wrapped("-> " + what)
	}
}

// reasons are why a build does not simply run what its file asks for.
func reasons(b BuildStatus) []string {
	var all []string
	if b.Reason != "" {
		all = append(all, b.Reason)
	}
	if b.BuildError != "" && b.BuildError != b.Reason {
		all = append(all, "the last build failed: "+b.BuildError)
	}
	return all
}

// said is a reason as the table has room for it: of what a process printed only
// the last line, which names the mistake. The long form has all.
func (t *table) said(reason string) string {
	if t.long {
		return reason
	}
	what, output, ok := strings.Cut(reason, "; last output: ")
	if !ok {
		return reason
	}
	lines := strings.Split(output, " | ")
	last := lines[len(lines)-1]
	if i := strings.LastIndex(last, " (/"); i > 0 && strings.HasSuffix(last, ")") {
		last = last[:i] // the path of the log, which `logs --build` shows
	}
	return what + ": " + last
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

// uptime is how long the generation has served.
func (t *table) uptime(b BuildStatus) string {
	if b.Since.IsZero() {
		return "-"
	}
	return Span(t.now.Sub(b.Since))
}

// Span is a time in at most five characters: "9d23h", "59m", "7s".
func Span(d time.Duration) string {
	d = max(d, 0)
	units := []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		n := d / u.of
		switch {
		case n == 0 && i < len(units)-1:
			continue
		case n >= 10 || i == len(units)-1:
			return fmt.Sprintf("%d%s", n, u.name)
		}
		lower := units[i+1]
		return fmt.Sprintf("%d%s%d%s", n, u.name, d%u.of/lower.of, lower.name)
	}
	return "0s"
}

// memory is a size in at most four characters.
func memory(size uint64) string {
	switch mb := float64(size) / (1 << 20); {
	case size == 0:
		return "-"
	case mb < 1000:
		return fmt.Sprintf("%.0fM", max(mb, 1))
	case mb < 10*1024:
		return fmt.Sprintf("%.1fG", mb/1024)
	default:
		return fmt.Sprintf("%.0fG", mb/1024)
	}
}

// share is the part of a core that a build uses.
func share(b BuildStatus) string {
	if b.Memory == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*b.CPU)
}

func waiting(queue int) string {
	if queue < 0 {
		return "-"
	}
	return fmt.Sprint(queue)
}

func (t *table) line(text string) { t.out.WriteString(text + "\n") }

// wrapped writes text, of any number of lines, indented and broken at width.
func (t *table) wrapped(text string) { t.indented(text, 4) }

func (t *table) indented(text string, by int) {
	for _, line := range wrap(text, t.width-by) {
		t.line(strings.Repeat(" ", by) + line)
	}
}

// wrap breaks text, of any number of lines, into lines of at most room
// characters, at spaces where there are any.
func wrap(text string, room int) []string {
	var lines []string
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
			lines = append(lines, string(rest[:at]))
			rest = []rune(strings.TrimLeft(string(rest[at:]), " "))
		}
		lines = append(lines, string(rest))
	}
	return lines
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
