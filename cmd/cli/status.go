package cli

import (
	"context"
	"encoding/json"
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
	var asJSON, watch bool
	c := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show what is running, and why something is not",
		Long: `Show the state of builds: what is serving, since when, and why something is not.
NAME may be a pattern ("dev*"); without one it is all builds. One build named in
full is shown with its releases, its last build, events and output.

The command returns at once; with --watch it goes on until Ctrl-C. The exit code
is 0 when the supervisor returned a status, even where not all is well: scripts
read --json.`,
		Example: `  medctrl-supervisor status
  medctrl-supervisor status development
  medctrl-supervisor status --watch 'test*'
  medctrl-supervisor status --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			ctx, out := cmd.Context(), cmd.OutOrStdout()
			again := time.NewTicker(watchEvery)
			defer again.Stop()
			for {
				look := show.LookOf(out) // a terminal may be resized
				text, err := statusText(ctx, cl, patterns, asJSON, look)
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
	return c
}

// statusText returns the status of the builds that match patterns, as it is printed.
func statusText(ctx context.Context, cl control.Client, patterns []string, asJSON bool, look show.Look) (string, error) {
	st, err := cl.Status(ctx)
	if err != nil {
		return "", requested(err)
	}
	var out strings.Builder
	if len(patterns) == 1 && !asJSON && slices.Contains(buildNames(st), patterns[0]) {
		d, err := cl.Detail(ctx, patterns[0])
		if err != nil {
			return "", requested(err)
		}
		show.Long(&out, d, look, time.Now())
		return out.String(), nil
	}
	if len(patterns) > 0 {
		if err := known(patterns, buildNames(st), st.Config.Path); err != nil {
			return "", err
		}
		st.Builds = slices.DeleteFunc(st.Builds, func(b control.BuildStatus) bool { return !matches(patterns, b.Name) })
	}
	if asJSON {
		enc := json.NewEncoder(&out)
		enc.SetIndent("", "  ")
		err := enc.Encode(st)
		return out.String(), err
	}
	show.Table(&out, st, look, time.Now())
	return out.String(), nil
}
