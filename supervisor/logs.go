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
	if q.Build {
		return s.buildLog(ctx, name, q, each)
	}
	path := layout.Log(s.logDir(), name)
	if q.Schedule != "" {
		// Only one of the file's: the name becomes part of a path.
		if !slices.ContainsFunc(a.View().Entry.Schedules, func(d config.Schedule) bool { return d.Name == q.Schedule }) {
			return fmt.Errorf("%w: %q of build %s", control.ErrNoSchedule, q.Schedule, name)
		}
		path = layout.ScheduleLog(s.logDir(), name, q.Schedule)
	}
	size := journal.Size(path)
	lines, err := journal.Tail(path, q.Lines)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !q.Since.IsZero() {
		lines = journal.Since(lines, q.Since, changed(path), time.Local)
	}
	if len(lines) > 0 {
		if err := each([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	return journal.Follow(ctx, path, size, each)
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
func (s *Supervisor) buildLog(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	first := true
	return build.FollowLog(ctx, s.Config.Root, name, q.Follow, func(more []byte) error {
		if first && q.Lines > 0 {
			lines := linesOf(more)
			lines = lines[max(0, len(lines)-q.Lines):]
			if !q.Since.IsZero() {
				lines = journal.Since(lines, q.Since, time.Now(), time.Local)
			}
			more = []byte(strings.Join(lines, "\n") + "\n")
		}
		if first = false; len(bytes.TrimSpace(more)) == 0 {
			return nil
		}
		return each(more)
	})
}

func linesOf(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
