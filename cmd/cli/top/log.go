package top

import (
	"bytes"
	"context"
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// How many lines of a log are asked for, and kept.
const (
	firstLines = 1000
	mostLines  = 5000
)

// log is the log of a build as it comes.
type log struct {
	of     string
	end    context.CancelFunc
	came   chan []byte
	rest   []byte // of a line whose end has not come
	lines  []string
	up     int // lines between the last one that is seen and the newest; 0: new ones are followed
	filter string
}

// logMsg is a piece of a log, or its end.
type logMsg struct {
	from chan []byte
	text []byte
	end  bool
}

// open begins to follow the log of a build.
func (l *log) open(ctx context.Context, client Client, name string) tea.Cmd {
	l.shut()
	ctx, end := context.WithCancel(ctx)
	came := make(chan []byte)
	*l = log{of: name, end: end, came: came}
	go func() {
		defer close(came)
		err := client.Log(ctx, name, control.LogQuery{Lines: firstLines, Follow: true}, func(text []byte) error {
			select {
			case came <- bytes.Clone(text):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil && ctx.Err() == nil {
			select {
			case came <- []byte("\n[" + err.Error() + "]\n"):
			case <-ctx.Done():
			}
		}
	}()
	return l.next()
}

// shut ends the following.
func (l *log) shut() {
	if l.end != nil {
		l.end()
	}
	*l = log{}
}

// next waits for the next piece.
func (l *log) next() tea.Cmd {
	came := l.came
	return func() tea.Msg {
		text, more := <-came
		return logMsg{came, text, !more}
	}
}

// take keeps a piece of the log.
func (l *log) take(msg logMsg) tea.Cmd {
	if msg.from != l.came || msg.end {
		return nil // it is of a log that was left, or the last
	}
	l.rest = append(l.rest, msg.text...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole {
			break
		}
		l.lines = append(l.lines, string(line))
		if l.rest = rest; l.up > 0 && l.wanted(string(line)) {
			l.up++ // what is seen stays where it is
		}
	}
	l.rest = bytes.Clone(l.rest)
	if many := len(l.lines) - mostLines; many > 0 {
		l.lines = append([]string(nil), l.lines[many:]...)
	}
	return l.next()
}

func (l *log) wanted(line string) bool {
	return strings.Contains(strings.ToLower(line), strings.ToLower(l.filter))
}

// scroll moves over the log: back, or forward until new lines are followed again.
func (l *log) scroll(by int) { l.up = min(max(l.up-by, 0), max(len(l.lines)-1, 0)) }

// seen returns the lines for a screen.
func (l *log) seen(columns, rows int) []string {
	var all []string
	for _, line := range l.lines {
		if l.wanted(line) {
			all = append(all, line)
		}
	}
	l.up = min(l.up, max(len(all)-1, 0))
	var seen []string // the last first
	for i := len(all) - 1 - l.up; i >= 0 && len(seen) < rows; i-- {
		parts := show.Wrapped(all[i], columns)
		for j := len(parts) - 1; j >= 0; j-- {
			seen = append(seen, parts[j])
		}
	}
	seen = seen[:min(len(seen), rows)]
	for i, j := 0, len(seen)-1; i < j; i, j = i+1, j-1 {
		seen[i], seen[j] = seen[j], seen[i]
	}
	return seen
}
