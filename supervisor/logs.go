package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
)

// Log calls each with the last lines that a build's server wrote, or its last attempt, and then
// with new ones if q says so.
func (s *Supervisor) Log(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	a, err := s.find(name)
	if err != nil {
		return err
	}
	wanted := journal.Selection{Since: q.Since, Until: q.Until, Match: q.Match, Lines: q.Lines, Timed: q.Records}
	if q.Build {
		return s.buildLog(ctx, name, q, wanted, each)
	}
	path := layout.Log(s.logDir(), name)
	if q.Schedule != "" {
		// Only one of the file's: the name becomes part of a path.
		if !slices.ContainsFunc(a.View().Entry.Schedules, func(d config.Schedule) bool { return d.Name == q.Schedule }) {
			return fmt.Errorf("%w: %q of build %s", control.ErrNoSchedule, q.Schedule, name)
		}
		path = layout.ScheduleLog(s.logDir(), name, q.Schedule)
	}
	size, most := journal.Size(path), q.Lines
	if wanted.Filters() {
		most = journal.All
	}
	lines, err := journal.Tail(path, most)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f := logForm{name: name, q: q, each: each}
	if err := f.past(wanted.Of(lines, changed(path), time.Local)); err != nil || !q.Follow {
		return err
	}
	return journal.Follow(ctx, path, size, f.stream(wanted))
}

// logForm passes lines of a log on, as text or as records.
type logForm struct {
	name string
	q    control.LogQuery
	each func([]byte) error
}

// past passes on what was written already.
func (f logForm) past(lines []journal.Line) error {
	if err := f.pass(lines); err != nil {
		return err
	}
	if f.q.Records && f.q.Follow {
		return f.each([]byte("\n")) // new ones come next
	}
	return nil
}

func (f logForm) pass(lines []journal.Line) error {
	if len(lines) == 0 {
		return nil
	}
	var text bytes.Buffer
	for _, line := range lines {
		if f.q.Records {
			text.Write(f.q.Record(f.name, line.Time, line.Text))
		} else {
			text.WriteString(line.Text)
		}
		text.WriteByte('\n')
	}
	return f.each(text.Bytes())
}

// stream returns what passes on new pieces of the log: as they are, where nobody asked for lines.
func (f logForm) stream(wanted journal.Selection) func([]byte) error {
	if !f.q.Records && !wanted.Filters() {
		return f.each
	}
	return (&journal.Stream{Selection: wanted, Local: time.Local, Now: time.Now, Each: f.pass}).Write
}

// changed returns when a file was last written; the zero time if it does not exist.
func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// buildLog calls each with what the last attempt printed.
func (s *Supervisor) buildLog(ctx context.Context, name string, q control.LogQuery, wanted journal.Selection, each func([]byte) error) error {
	f := logForm{name: name, q: q, each: each}
	stream, first := f.stream(wanted), true
	return build.FollowLog(ctx, s.Config.Root, name, q.Follow, func(more []byte) error {
		if first {
			first = false
			var lines []string
			if len(bytes.TrimSpace(more)) > 0 {
				lines = linesOf(more)
			}
			return f.past(wanted.Of(lines, time.Now(), time.Local))
		}
		return stream(more)
	})
}

func linesOf(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
