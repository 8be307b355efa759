package supervisor

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
)

// Log calls each with the last lines that a build's server wrote, or its last build, and where q
// says so with what comes.
func (s *Supervisor) Log(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	if _, err := s.find(name); err != nil {
		return err
	}
	if q.Build {
		return s.buildLog(ctx, name, q, each)
	}
	path := layout.Log(s.logDir(), name)
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

// changed is when a file was written last; never, where it is not there.
func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// buildLogEvery is how often a build's log is looked at for more.
const buildLogEvery = 200 * time.Millisecond

func (s *Supervisor) buildLog(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	var said []byte
	for {
		text, err := build.ReadLog(s.Config.Root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		more, same := bytes.CutPrefix(text, said)
		if !same {
			more = text // of another build
		}
		if said == nil && q.Lines > 0 {
			all := bytes.SplitAfter(bytes.TrimSuffix(more, []byte("\n")), []byte("\n"))
			more = append(bytes.Join(all[max(0, len(all)-q.Lines):], nil), '\n')
			if !q.Since.IsZero() {
				more = []byte(strings.Join(journal.Since(linesOf(more), q.Since, time.Now(), time.Local), "\n") + "\n")
			}
		}
		if said = text; len(bytes.TrimSpace(more)) > 0 {
			if err := each(more); err != nil {
				return err
			}
		}
		if !q.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(buildLogEvery):
		}
	}
}

func linesOf(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
