package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func deployCommand(file *string) *cobra.Command {
	var noWait, asJSON bool
	c := &cobra.Command{
		Use:   "deploy [NAME...]",
		Short: "Build and serve what is in the source now, and say how it went",
		Long: `Have the supervisor read the file, look at the builds' sources, requirements and
settings now, and build what has changed. The command shows each step and returns
when the new release has passed its check and taken over; where it does not, the
release before keeps serving, and the exit code is 1, with the reason. It is meant
for the end of a CI job.

NAME may be a pattern ("dev*"); without one it is all builds that are not stopped.
A build where nothing has changed is up to date: exit code 0. One that was rolled
back stays so until its inputs change, and one that is stopped until "start": exit
code 1. A newer edit that comes meanwhile is waited for. "no request lost" is said
where that is known: nobody was refused, and the server before has finished all
that it had accepted.

A release that takes over and then keeps dying within stable_after gives way to the
one before by itself: "events -f" and "status" tell. Ctrl-C and --no-wait end only
the waiting, not the deploy. With --json each line is an object: build, and either
progress, or result (done, requested, failed) with deployed or error.`,
		Example: `  git pull && medctrl-supervisor deploy
  medctrl-supervisor deploy development 'test*'
  medctrl-supervisor deploy --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			names, err := deployed(cmd.Context(), cl, patterns)
			if err != nil {
				return err
			}
			if asJSON {
				return deployJSON(cmd, cl, names, !noWait)
			}
			return deploy(cmd, cl, names, !noWait)
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the result")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// deployed returns the builds that match patterns; without patterns those that are not stopped.
func deployed(ctx context.Context, cl control.Client, patterns []string) ([]string, error) {
	if len(patterns) > 0 {
		return matching(ctx, cl, patterns)
	}
	st, err := cl.Status(ctx)
	if err != nil {
		return nil, requested(err)
	}
	var names []string
	for _, b := range st.Builds {
		if b.State != control.StateStopped && b.State != control.StateStopping {
			names = append(names, b.Name)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("nothing was deployed: every build is stopped; `start` builds and serves them")
	}
	return names, nil
}

// deploy deploys each named build, and shows how that goes.
func deploy(cmd *cobra.Command, cl control.Client, names []string, wait bool) error {
	out := cmd.OutOrStdout()
	progress := show.NewProgress(out, names)
	defer progress.Close()
	told := map[string]string{} // reasons, by the first build that has each; failed is called by one at a time
	return onEach(cmd, cl, "deploy", names, func(ctx context.Context, name string) error {
		d, err := cl.Deploy(ctx, name, wait, func(line string) { progress.Step(name, line) })
		switch {
		case err != nil:
			return err
		case !wait:
			progress.End(name, out, name+": deploy requested")
		default:
			progress.End(name, out, show.Deployed(name, d))
		}
		return nil
	}, func(name string, err error) {
		text := err.Error()
		if first, ok := told[text]; ok {
			text = "as of " + first
		} else {
			told[text] = name
		}
		progress.End(name, cmd.ErrOrStderr(), fmt.Sprintf("%s: deploy failed: %s%s", name, text, servesOn(cmd.Context(), cl, name)))
	})
}

// servesOn says which release still serves of a build whose deploy has failed.
func servesOn(ctx context.Context, cl control.Client, name string) string {
	st, err := cl.Status(ctx)
	if err != nil {
		return "" // the reason that was given tells more
	}
	for _, b := range st.Builds {
		if b.Name == name && b.Release != "" {
			return "; release " + b.Release + " keeps serving"
		}
	}
	return ""
}

// deployLine is a line of `deploy --json`.
type deployLine struct {
	Build    string            `json:"build"`
	Progress string            `json:"progress,omitempty"`
	Result   string            `json:"result,omitempty"` // done, requested or failed
	Deployed *control.Deployed `json:"deployed,omitempty"`
	Error    string            `json:"error,omitempty"`
}

// deployJSON is deploy for programs.
func deployJSON(cmd *cobra.Command, cl control.Client, names []string, wait bool) error {
	lines := &lineWriter{out: show.JSON(cmd.OutOrStdout())}
	err := onEach(cmd, cl, "deploy", names, func(ctx context.Context, name string) error {
		d, err := cl.Deploy(ctx, name, wait, func(line string) { lines.write(deployLine{Build: name, Progress: strings.TrimPrefix(line, name+": ")}) })
		switch {
		case err != nil:
			return err
		case !wait:
			lines.write(deployLine{Build: name, Result: "requested"})
		default:
			lines.write(deployLine{Build: name, Result: "done", Deployed: &d})
		}
		return nil
	}, func(name string, err error) {
		lines.write(deployLine{Build: name, Result: "failed", Error: err.Error()})
	})
	if err == nil {
		err = lines.failed
	}
	return err
}

// lineWriter writes whole lines of JSON, of several builds.
type lineWriter struct {
	mu     sync.Mutex
	out    io.Writer
	failed error // the first
}

func (l *lineWriter) write(line deployLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := json.NewEncoder(l.out).Encode(line); l.failed == nil {
		l.failed = err
	}
}
