package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func logsCommand(file *string) *cobra.Command {
	var q control.LogQuery
	var since moment
	c := &cobra.Command{
		Use:   "logs [NAME...]",
		Short: "Show what builds' servers print, or how their builds went",
		Long: `Show what the servers of builds print, with --build what their last build
printed, or with --schedule what the runs of a schedule print. NAME may be a
pattern ("dev*"); without one it is all builds. The lines of several builds have
their names in front. --since goes by the times at the start of the lines. On a
terminal control characters but colours are shown as text (^[); in a pipe or a
file, bytes are as they were printed.

The command returns at once; with -f it goes on until Ctrl-C, or until the
supervisor ends, which is exit code 1.`,
		Example: `  medctrl-supervisor logs -f
  medctrl-supervisor logs development -n 50
  medctrl-supervisor logs --since 1h development
  medctrl-supervisor logs --build 'test*'
  medctrl-supervisor logs --schedule sessions development`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
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
			q.Since = since.in(zoneOf(cmd))
			if !q.Since.IsZero() && !cmd.Flags().Changed("lines") {
				q.Lines = control.MaxLines
			}
			return requested(copyLogs(ctx, cl, cmd.OutOrStdout(), names, q))
		},
	}
	c.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with new lines as they come")
	c.Flags().IntVarP(&q.Lines, "lines", "n", 100, "show the last `N` lines of each")
	completeValues(c, "lines")
	c.Flags().Var(&since, "since", "only lines written since then: 1h30m, 2d, yesterday, 15:04")
	completeValues(c, "since", "10m", "1h", "2d", "today", "yesterday")
	c.Flags().BoolVar(&q.Build, "build", false, "what the last build printed")
	c.Flags().StringVar(&q.Schedule, "schedule", "", "what the runs of the schedule `NAME` print")
	c.MarkFlagsMutuallyExclusive("build", "schedule")
	completeValues(c, "schedule")
	return c
}

// copyLogs writes the logs of builds to out: one after the other, or concurrently where they are
// followed.
func copyLogs(ctx context.Context, cl control.Client, out io.Writer, names []string, q control.LogQuery) error {
	if len(names) == 1 {
		log := show.Safe(out)
		return errors.Join(copyLog(ctx, cl, log, names[0], q), log.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	logs := show.NewLogs(out, names)
	done := make(chan error, len(names))
	one := func(i int, name string) {
		log := logs.Of(i, name)
		done <- errors.Join(copyLog(ctx, cl, log, name, q), log.Close())
	}
	for i, name := range names {
		if q.Follow {
			go one(i, name)
		} else {
			one(i, name)
		}
	}
	var first error
	for range names {
		if err := <-done; err != nil && first == nil {
			first = err
			cancel() // the others end, too
		}
	}
	return first
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
