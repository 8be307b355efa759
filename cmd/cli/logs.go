package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func logsCommand(file *string) *cobra.Command {
	var q control.LogQuery
	var since, until moment
	var pattern string
	var all bool
	c := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "Show what builds' servers print, or how their builds went",
		Long: `Show what the servers of builds print, with --build what their last build
printed, or with --schedule what the runs of a schedule print. NAME may be a
pattern ("dev*"); without one, or with --all, it is all builds.

The lines of several builds are in the order of their times, with the names in
front; -n is how many there are together. --since and --until go by the times at
the start of the lines; a line without one belongs to the line before it. --grep
takes a regular expression (RE2; "(?i)" in front ignores case). With --json each
line is an object: time, build, source (server, build or schedule/NAME) and line.
On a terminal control characters but colours are shown as text (^[); in a pipe or
a file, bytes are as they were printed.

The command returns at once; with -f it goes on until Ctrl-C, or until the
supervisor ends, which is exit code 1.`,
		Example: `  medctrl-supervisor logs -f
  medctrl-supervisor logs development testing -n 50
  medctrl-supervisor logs --since 1h --until 30m --grep 'ERROR|Traceback' development
  medctrl-supervisor logs --build 'test*'
  medctrl-supervisor logs --schedule sessions development
  medctrl-supervisor logs --all -f --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			if all && len(patterns) > 0 {
				return usage(errors.New("--all is every build: leave out the names, or --all"))
			}
			if pattern != "" {
				match, err := regexp.Compile(pattern)
				if err != nil {
					return usage(fmt.Errorf("--grep=%s: want a regular expression (RE2): %w", pattern, err))
				}
				q.Match = match
			}
			ctx, stop := untilQuit(cmd.Context())
			defer stop()
			cl, err := client(*file)
			if err != nil {
				return err
			}
			names, err := matching(ctx, cl, patterns)
			if err != nil {
				return err
			}
			zone := zoneOf(cmd)
			q.Since, q.Until = since.in(zone), until.in(zone)
			if !q.Since.IsZero() && !cmd.Flags().Changed("lines") {
				q.Lines = control.MaxLines
			}
			return requested(copyLogs(ctx, cl, cmd.OutOrStdout(), names, q))
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with new lines as they come")
	c.Flags().IntVarP(&q.Lines, "lines", "n", 100, "show the last `N` lines, of all builds together")
	completeValues(c, "lines")
	c.Flags().Var(&since, "since", "only lines written since then: 1h30m, 2d, yesterday, 15:04")
	completeValues(c, "since", "10m", "1h", "2d", "today", "yesterday")
	c.Flags().Var(&until, "until", "only lines written before then")
	completeValues(c, "until", "10m", "1h", "today")
	c.Flags().StringVar(&pattern, "grep", "", "only lines that match `PATTERN`")
	completeValues(c, "grep")
	c.Flags().BoolVar(&q.Records, "json", false, "print one JSON object a line")
	c.Flags().BoolVar(&all, "all", false, "the logs of all builds")
	c.Flags().BoolVar(&q.Build, "build", false, "what the last build printed")
	c.Flags().StringVar(&q.Schedule, "schedule", "", "what the runs of the schedule `NAME` print")
	c.MarkFlagsMutuallyExclusive("build", "schedule")
	c.MarkFlagsMutuallyExclusive("follow", "until")
	completeValues(c, "schedule")
	return c
}

// copyLogs writes the logs of builds to out: of one as it is, and the lines of several by their times.
func copyLogs(ctx context.Context, cl control.Client, out io.Writer, names []string, q control.LogQuery) error {
	switch {
	case q.Records:
		enc := json.NewEncoder(show.JSON(out))
		enc.SetEscapeHTML(false)
		return mergeLogs(ctx, cl, names, q, func(l control.LogLine) error { return enc.Encode(l) })
	case len(names) == 1:
		log := show.Safe(out)
		return errors.Join(copyLog(ctx, cl, log, names[0], q), log.Close())
	}
	logs, of := show.NewLogs(out, names), map[string]*show.BuildLog{}
	for i, name := range names {
		of[name] = logs.Of(i, name)
	}
	return mergeLogs(ctx, cl, names, q, func(l control.LogLine) error {
		_, err := io.WriteString(of[l.Build], l.Line+"\n")
		return err
	})
}

// fromLog is what came from the log of one build.
type fromLog struct {
	build   int
	line    control.LogLine
	current bool  // all that was written already has come
	ended   bool  // nothing comes any more
	err     error // why
}

// mergeLogs calls write with the last lines of builds by their times, and then, where they are followed, with new ones
// as they come.
func mergeLogs(ctx context.Context, cl control.Client, names []string, q control.LogQuery, write func(control.LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan fromLog)
	send := func(f fromLog) error {
		select {
		case came <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for i, name := range names {
		go func() {
			err := cl.LogLines(ctx, name, q, func(l control.LogLine) error { return send(fromLog{build: i, line: l}) },
				func() { send(fromLog{build: i, current: true}) }) // an error is that of ctx
			send(fromLog{build: i, ended: true, err: err}) // as above
		}()
	}
	m := merge{past: make([][]control.LogLine, len(names)), write: write, lines: q.Lines}
	for current, open := 0, len(names); open > 0; {
		var f fromLog
		select {
		case f = <-came:
		case <-ctx.Done():
			return nil
		}
		switch {
		case f.ended && f.err != nil && ctx.Err() == nil:
			return f.err
		case f.ended:
			open--
		case f.current:
			if current++; current == len(names) {
				if err := m.flush(); err != nil {
					return err
				}
			}
		default:
			if err := m.line(f.build, f.line); err != nil {
				return err
			}
		}
	}
	return m.flush()
}

// merge puts lines of several logs in order.
type merge struct {
	past    [][]control.LogLine // of each log, until all that was written already is known
	lines   int                 // of past that are wanted
	flushed bool
	write   func(control.LogLine) error
}

func (m *merge) line(build int, l control.LogLine) error {
	if m.flushed {
		return m.write(l)
	}
	if before := m.past[build]; len(before) > 0 && l.Time.Before(before[len(before)-1].Time) {
		l.Time = before[len(before)-1].Time // the order within a log is that of the log
	}
	m.past[build] = append(m.past[build], l)
	return nil
}

// flush writes the last lines of what was written already.
func (m *merge) flush() error {
	if m.flushed {
		return nil
	}
	m.flushed = true
	all := slices.Concat(m.past...)
	m.past = nil
	slices.SortStableFunc(all, func(a, b control.LogLine) int { return a.Time.Compare(b.Time) })
	for _, l := range all[max(len(all)-m.lines, 0):] {
		if err := m.write(l); err != nil {
			return err
		}
	}
	return nil
}

// copyLog writes the log of one build to out until it ends, or ctx, which is no error.
func copyLog(ctx context.Context, cl control.Client, out io.Writer, name string, q control.LogQuery) error {
	err := cl.Log(ctx, name, q, func(text []byte) error {
		_, err := out.Write(text)
		return err
	})
	if ctx.Err() != nil {
		return nil // also where it ended before the log began
	}
	return err
}
