package show

import (
	"cmp"
	"fmt"
	"io"
	"iter"
	"slices"
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
		t.line(t.look.paint(red, clip(headline, t.look.Columns)))
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

// head says in a line what is running, and below it what else is wrong.
func (t *table) head(s control.Status, now time.Time) {
	if s.Version == "" {
		return // a status of nobody in particular
	}
	parts := []string{plural(len(s.Builds), "build"), "supervisor " + Clean(s.Version), "up " + Span(now.Sub(s.Started))}
	for name, part := range partsOf(s) {
		if part.Address != "" && name != "log" {
			parts = append(parts, name+" "+Clean(part.Address))
		}
	}
	if others := elsewheres(s.Builds); len(others) > 0 {
		parts = append(parts, "host "+Clean(s.Host))
		defer t.wrapped("migrations and schedules run on " + Clean(strings.Join(others, ", ")))
	}
	t.line(clip(strings.Join(parts, ", "), t.look.Columns))
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
type table struct {
	page
	gap int // between columns
}

// cells are what a row has in each column.
type cells [9]string

// The columns that give way where the terminal is narrow.
const (
	nameColumn     = 0
	stateColumn    = 1
	releaseColumn  = 2
	locationColumn = 8
)

// head names the columns.
func head() cells {
	return cells{"NAME", "STATE", "RELEASE", "UP", "RESTARTS", "MEM", "CPU", "WAIT", "LOCATION"}
}

// alignedRight reports whether a column holds numbers.
func alignedRight(column int) bool { return column > releaseColumn && column < locationColumn }

// releaseTime is the length of a release's time, its name without the hash.
const releaseTime = len("20261123T090001")

func (t *table) builds(all []control.BuildStatus) {
	if len(all) == 0 {
		t.line("No builds.")
		return
	}
	rows := make([]cells, len(all))
	var widths [len(cells{})]int
	for i, name := range head() {
		widths[i] = len(name)
	}
	for n, b := range all {
		rows[n] = cells{b.Name, b.State, dash(b.Release), t.uptime(b), fmt.Sprint(b.Restarts),
			memory(b.Memory), share(b), waiting(b.Queue), dash(b.Location)}
		for i := range rows[n] {
			rows[n][i] = Clean(rows[n][i])
			widths[i] = max(widths[i], utf8.RuneCountInString(rows[n][i]))
		}
	}
	t.fit(&widths)
	for n := range rows {
		if release := &rows[n][releaseColumn]; widths[releaseColumn] == releaseTime && len(*release) > releaseTime {
			*release = (*release)[:releaseTime]
		}
	}
	t.row(head(), widths, "")
	for n, b := range all {
		t.row(rows[n], widths, b.State)
		t.notes(b, false)
	}
}

// fit narrows columns until a row is no wider than the page: releases lose their hash first, then
// the gap between columns shrinks, then one column after the other gives way.
func (t *table) fit(widths *[len(cells{})]int) {
	total := 0
	for _, w := range widths {
		total += w
	}
	narrow := func(column, to, by int) {
		if cut := min(by, widths[column]-to); cut > 0 {
			widths[column] -= cut
			total -= cut
		}
	}
	gaps := len(widths) - 1
	t.gap = 2
	if total+t.gap*gaps > t.look.Columns {
		narrow(releaseColumn, releaseTime, widths[releaseColumn]) // the whole hash: half of one is of no use
	}
	if total+t.gap*gaps > t.look.Columns {
		t.gap = 1
	}
	total += t.gap * gaps
	for _, s := range []struct{ column, to int }{
		{releaseColumn, releaseTime}, {locationColumn, 8}, {nameColumn, 8}, {locationColumn, 2}, {releaseColumn, 7},
	} {
		narrow(s.column, s.to, total-t.look.Columns)
	}
}

func (t *table) row(texts cells, widths [len(cells{})]int, state string) {
	var line strings.Builder
	for i, text := range texts {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", t.gap))
		}
		text = clip(text, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
		if i == stateColumn && state != "" {
			text = t.look.paint(colorOf(state), text)
		}
		if alignedRight(i) {
			text = pad + text
		} else {
			text += pad
		}
		line.WriteString(text)
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

// uptime returns how long the generation has been serving.
func (t *table) uptime(b control.BuildStatus) string {
	if b.Since.IsZero() {
		return "-"
	}
	return Span(t.now.Sub(b.Since))
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
