package show

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Table writes the status of all builds: first what is wrong with builds.toml, then a line for each
// build and, below it, what is wrong with it and what to do.
func Table(w io.Writer, s control.Status, look Look, now time.Time) {
	t := table{page: newPage(look, now)}
	if s.Config.Error != "" {
		headline := s.Config.Path + " has mistakes; the file as it was before stays in force:"
		for _, line := range wrap(headline, t.look.Columns) {
			t.line(t.look.paint(red, line))
		}
		for line := range strings.Lines(s.Config.Error) {
			t.wrapped(line)
		}
		t.wrapped("Fix the file: it is read again automatically.")
		t.line("")
	}
	t.head(s, now)
	t.builds(s.Builds)
	io.WriteString(w, t.out.String()) // a terminal that is gone needs no table
}

// head says what is running, and below it what else is wrong.
func (t *table) head(s control.Status, now time.Time) {
	if s.Version == "" {
		return // a status of nobody in particular
	}
	parts := []string{"supervisor " + Clean(s.Version), "up " + Span(now.Sub(s.Started))}
	parts = append(parts, t.look.counts(s.Builds)...)
	for name, part := range partsOf(s) {
		if part.Address != "" && name != "log" {
			parts = append(parts, name+" "+Clean(part.Address))
		}
	}
	if others := elsewheres(s.Builds); len(others) > 0 {
		parts = append(parts, "host "+Clean(s.Host))
		defer t.wrapped("migrations and schedules run on " + Clean(strings.Join(others, ", ")))
	}
	t.parts(parts)
	for name, part := range partsOf(s) {
		if part.Trouble != "" {
			t.wrapped(name + ": " + Clean(part.Trouble))
		}
	}
}

// elsewheres are the other hosts that do what builds have done once.
func elsewheres(all []control.BuildStatus) (hosts []string) {
	for _, b := range all {
		if b.Elsewhere != nil && !slices.Contains(hosts, b.Elsewhere.Host) {
			hosts = append(hosts, b.Elsewhere.Host)
		}
	}
	return hosts
}

// partsOf are the parts of a supervisor beside its builds, by name.
func partsOf(s control.Status) iter.Seq2[string, control.Part] {
	return func(yield func(string, control.Part) bool) {
		_ = yield("front", s.Front) && yield("dashboard", s.Dashboard) && yield("metrics", s.Metrics) && yield("log", s.Log)
	}
}

// table is a page of builds, a row each.
type table struct{ page }

// The columns of the table.
const (
	nameColumn = iota
	stateColumn
	releaseColumn
	upColumn
	restartsColumn
	memoryColumn
	cpuColumn
	waitColumn
	locationColumn
	columns
)

// titles are the names of the columns.
var titles = [columns]string{"NAME", "STATE", "RELEASE", "UP", "RESTARTS", "MEM", "CPU", "WAIT", "LOCATION"}

// alignedRight reports whether a column holds numbers.
func alignedRight(column int) bool { return column > releaseColumn && column < locationColumn }

// gap is between two columns.
const gap = 2

// releaseTime is the length of a release's time, its name without the hash, which is enough to name it.
const releaseTime = len("20261123T090001")

func (t *table) builds(all []control.BuildStatus) {
	if len(all) == 0 {
		t.line("No builds.")
		return
	}
	rows := rowsOf(all, t.now)
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.order, b.order) })
	l := layoutOf(rows, t.look.Columns)
	t.line(l.titles())
	for _, r := range rows {
		for _, line := range l.lines(r, t.look) {
			t.line(line)
		}
		t.notes(r.of, l.state == inDetail, false)
	}
}

// row is a build's line, with what each column may show.
type row struct {
	of     control.BuildStatus
	cells  [columns]string
	states [inDetail + 1]string
	order  int // those that need somebody's eye first
}

func rowsOf(all []control.BuildStatus, now time.Time) []row {
	rows := make([]row, len(all))
	for n, b := range all {
		r := row{of: b, order: 1}
		if b.Failing() {
			r.order = 0
		}
		r.cells = [columns]string{nameColumn: Clean(b.Name), releaseColumn: Clean(dash(b.Release)), upColumn: uptime(b, now), restartsColumn: strconv.Itoa(restarts(b)),
			memoryColumn: memory(b.Memory), cpuColumn: share(b), waitColumn: waiting(b.Queue), locationColumn: Clean(dash(b.Location))}
		for much := range r.states {
			r.states[much] = stateOf(b, detail(much), now)
		}
		rows[n] = r
	}
	return rows
}

// layout is which columns there are, and how wide they are.
type layout struct {
	width   [columns]int // none: there is no such column
	state   detail
	brief   bool // releases are shown without their hash
	stacked bool // the state is on a line of its own
}

// none is the width of a column that is left out.
const none = -1

// layoutOf returns the layout of a table that fits: what tells least gives way first, as a whole, so that no line is
// broken and no name is cut.
func layoutOf(rows []row, room int) layout {
	var l layout
	var states [inDetail + 1]int
	for i, title := range titles {
		l.width[i] = len(title)
	}
	for _, r := range rows {
		for i, text := range r.cells {
			l.width[i] = max(l.width[i], utf8.RuneCountInString(text))
		}
		for much, text := range r.states {
			states[much] = max(states[much], len(titles[stateColumn]), utf8.RuneCountInString(text))
		}
	}
	say := func(much detail) func() { return func() { l.state, l.width[stateColumn] = much, states[much] } }
	without := func(column int) func() { return func() { l.width[column] = none } }
	say(inDetail)()
	for _, narrower := range []func(){
		say(inShort),
		func() { l.brief, l.width[releaseColumn] = true, min(l.width[releaseColumn], releaseTime) },
		without(waitColumn), without(cpuColumn), without(locationColumn), without(memoryColumn),
		say(inAWord), without(restartsColumn), without(releaseColumn), without(upColumn),
		func() { l.stacked, l.width[stateColumn] = true, none },
	} {
		if l.total() <= room {
			break
		}
		narrower()
	}
	return l
}

func (l *layout) total() int {
	total := -gap
	for _, w := range l.width {
		if w != none {
			total += w + gap
		}
	}
	return total
}

func (l *layout) titles() string { return l.join(titles, "") }

// lines returns the line of a build; where its state has no room beside the name, it is a second one.
func (l *layout) lines(r row, look Look) []string {
	cells, color := r.cells, ""
	cells[stateColumn] = r.states[l.state]
	if release := &cells[releaseColumn]; l.brief && len(*release) > releaseTime {
		*release = (*release)[:releaseTime]
	}
	if look.Color {
		if color = colorOf(r.of.State); color == green && r.order == 0 {
			color = yellow
		}
	}
	lines := []string{l.join(cells, color)}
	if l.stacked {
		lines = append(lines, "  "+look.paint(color, cells[stateColumn]))
	}
	return lines
}

func (l *layout) join(texts [columns]string, color string) string {
	var line strings.Builder
	for i, text := range texts {
		if l.width[i] == none {
			continue
		}
		if i > 0 {
			line.WriteString(strings.Repeat(" ", gap))
		}
		pad := strings.Repeat(" ", l.width[i]-utf8.RuneCountInString(text))
		if i == stateColumn && color != "" {
			text = color + text + plain
		}
		if alignedRight(i) {
			text = pad + text
		} else {
			text += pad
		}
		line.WriteString(text)
	}
	return strings.TrimRight(line.String(), " ")
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

// uptime returns how long the generation has been serving.
func uptime(b control.BuildStatus, now time.Time) string {
	if b.Since.IsZero() {
		return "-"
	}
	return Span(now.Sub(b.Since))
}

// memory returns a size in at most four characters.
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

// share returns which part of a core a build uses.
func share(b control.BuildStatus) string {
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

func dash(text string) string { return cmp.Or(text, "-") }
