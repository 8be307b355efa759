package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// watchEvery is how often `status --watch` shows the status again.
const watchEvery = time.Second

func statusCommand(file *string) *cobra.Command {
	var asJSON, watch, check, serving bool
	c := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show what is running, and why something is not",
		Long: `Show the state of builds: what is serving, since when, and why something is not.
NAME may be a pattern ("dev*"); without one it is all builds. One build named in
full is shown with its releases, its last build, events and output.

The command returns at once; with --watch it goes on until Ctrl-C. The exit code
is 0 when the supervisor returned a status, even where not all is well. With
--check it is 1 then, for monitoring and scripts, and what is not well is named:
a build that does not serve, also one that was stopped, a failed build, fewer
server trees than there should be, a process that does not run, a schedule whose
last run failed, a builds.toml that is not applied.

--serving prints nothing and asks less, for a probe that decides whether a host
or a pod gets clients: the exit code is 1 only where a build serves nobody.`,
		Example: `  medctrl-supervisor status
  medctrl-supervisor status development
  medctrl-supervisor status --watch 'test*'
  medctrl-supervisor status --json
  medctrl-supervisor status --check production
  medctrl-supervisor status --serving production`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			if check && watch {
				return usage(errors.New("--check looks once, --watch goes on: leave out one of them"))
			}
			if serving && (check || watch || asJSON) {
				return usage(errors.New("--serving stands alone: it prints nothing, and looks once"))
			}
			cl, err := client(*file)
			if err != nil {
				return err
			}
			ctx, stop := untilQuit(cmd.Context())
			defer stop()
			out := cmd.OutOrStdout()
			if serving {
				st, _, err := statusOf(ctx, cl, patterns)
				if not := st.NotServing(); err == nil && len(not) > 0 {
					err = exitError{exitFailed, errors.New("not serving: " + strings.Join(not, "; "))}
				}
				return err
			}
			again := time.NewTicker(watchEvery)
			defer again.Stop()
			for {
				look := show.LookOf(out) // a terminal may be resized
				text, unwell, err := statusText(ctx, cl, patterns, asJSON, look, time.Now().In(zoneOf(cmd)))
				switch {
				case err != nil && watch && ctx.Err() != nil:
					return nil // it was watched long enough
				case err != nil:
					return err
				case watch && !asJSON && show.IsTerminal(out):
					err = show.Frame(out, text, look.Rows)
				case asJSON:
					_, err = io.WriteString(show.JSON(out), text)
				default:
					_, err = io.WriteString(out, text)
				}
				if err == nil && check && len(unwell) > 0 {
					return exitError{exitFailed, errors.New("not all is well: " + strings.Join(unwell, "; "))}
				}
				if err != nil || !watch {
					return err
				}
				select {
				case <-ctx.Done():
					return nil
				case <-again.C:
				}
			}
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&watch, "watch", false, "show it again every second")
	c.Flags().BoolVar(&check, "check", false, "exit with 1 unless all is well")
	c.Flags().BoolVar(&serving, "serving", false, "print nothing, and exit with 1 unless builds serve")
	return c
}

// statusOf returns the status of the builds that match patterns, and the names of all.
func statusOf(ctx context.Context, cl control.Client, patterns []string) (st control.Status, names []string, err error) {
	if st, err = cl.Status(ctx); err != nil {
		return st, nil, requested(err)
	}
	names = buildNames(st)
	if len(patterns) > 0 {
		if err := known(patterns, names, st.Config.Path); err != nil {
			return st, nil, err
		}
		st.Builds = slices.DeleteFunc(st.Builds, func(b control.BuildStatus) bool { return !matches(patterns, b.Name) })
	}
	return st, names, nil
}

// statusText returns the status of the builds that match patterns, as it is printed, and what is not well.
func statusText(ctx context.Context, cl control.Client, patterns []string, asJSON bool, look show.Look, now time.Time) (text string, unwell []string, err error) {
	st, names, err := statusOf(ctx, cl, patterns)
	if err != nil {
		return "", nil, err
	}
	var out strings.Builder
	switch {
	case asJSON:
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		err = enc.Encode(st)
	case len(patterns) == 1 && slices.Contains(names, patterns[0]):
		var d control.BuildDetail
		if d, err = cl.Detail(ctx, patterns[0]); err != nil {
			return "", nil, requested(err)
		}
		show.Long(&out, d, look, now)
	default:
		show.Table(&out, st, look, now)
	}
	return out.String(), st.Unwell(), err
}
