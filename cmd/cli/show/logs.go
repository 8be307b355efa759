package show

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Logs writes the logs of several builds to one terminal, each line with the name of its build in
// front.
type Logs struct {
	out   io.Writer
	look  Look
	width int // of the longest name
	safe  func(line string) string

	mu sync.Mutex // held for whole lines
}

// NewLogs returns Logs of the builds that are named.
func NewLogs(out io.Writer, names []string) *Logs {
	l := &Logs{out: out, look: LookOf(out), safe: func(line string) string { return line }}
	if IsTerminal(out) {
		l.safe = func(line string) string { return escapeAll(line, l.look.Color) }
	}
	for _, name := range names {
		l.width = max(l.width, len(name))
	}
	return l
}

// Of returns what the log of one build is written to, a goroutine each. n tells its colour apart
// from that of the others.
func (l *Logs) Of(n int, name string) *BuildLog {
	prefix := fmt.Sprintf("%-*s | ", l.width, name)
	return &BuildLog{logs: l, prefix: l.look.paint(fmt.Sprintf("\x1b[%dm", 31+(n+1)%6), prefix)}
}

// BuildLog writes whole lines of one build's log.
type BuildLog struct {
	logs   *Logs
	prefix string
	rest   []byte // of a line that has not ended yet
}

// longestLine is how much of a line is kept until its end comes.
const longestLine = 1 << 20

// Write keeps what comes after the last line's end for the next call.
func (b *BuildLog) Write(text []byte) (int, error) {
	b.rest = append(b.rest, text...)
	if len(b.rest) > longestLine && bytes.IndexByte(b.rest, '\n') < 0 {
		b.rest = append(b.rest, '\n')
	}
	whole := bytes.LastIndexByte(b.rest, '\n') + 1
	if whole == 0 {
		return len(text), nil
	}
	var lines strings.Builder
	for line := range bytes.Lines(b.rest[:whole]) {
		lines.WriteString(b.prefix + b.logs.safe(string(line)))
	}
	b.rest = append([]byte(nil), b.rest[whole:]...)
	b.logs.mu.Lock()
	defer b.logs.mu.Unlock()
	if _, err := io.WriteString(b.logs.out, lines.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Close writes a last line that has no end.
func (b *BuildLog) Close() error {
	if len(b.rest) == 0 {
		return nil
	}
	_, err := b.Write([]byte{'\n'})
	return err
}
