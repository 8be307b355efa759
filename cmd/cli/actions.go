package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// actionCommands returns the commands that do something to builds.
func actionCommands(file *string) []*cobra.Command {
	return []*cobra.Command{
		actionCommand(file, "start", "Start builds that are stopped", `A build that has no release yet is built first. The result holds when the build
is serving and has passed its health check.`, `  medctrl-supervisor start development
  medctrl-supervisor start`),
		actionCommand(file, "stop", "Let builds finish their requests and stop them", `They accept no new clients and get their graceful_timeout to answer those they
have. The result holds when nothing of the build is running any more. It stays
stopped until "start", even when the supervisor is restarted.`, `  medctrl-supervisor stop development
  medctrl-supervisor stop 'test*'`),
		actionCommand(file, "restart", "Replace builds' processes, without losing a request", `A new server on the same release is started next to the old one. The result holds
when it has passed its health check and taken over; where it does not, the old one
keeps serving, and the exit code is 1.`, `  medctrl-supervisor restart development
  medctrl-supervisor restart --no-wait`),
		actionCommand(file, "rebuild", "Make new releases, even of unchanged inputs", `A new release is built while the current one is serving. The result holds when it
has passed its health check and taken over; where it does not, the old one keeps
serving, and the exit code is 1, with the reason.`, `  medctrl-supervisor rebuild development
  medctrl-supervisor rebuild 'test*' production
  medctrl-supervisor rebuild development --fresh`),
		actionCommand(file, "rollback", "Go back to the previous release", `The release before the current one, or the one that --to names, is started next to
the current one. The result holds when it has passed its health check and taken
over. It serves until the build's inputs change, or "rebuild". "status NAME" lists
the releases that are kept; the beginning of a name is enough where only one
begins so.`, `  medctrl-supervisor rollback development
  medctrl-supervisor rollback development --to 20261123T101502
  medctrl-supervisor rollback --all`),
	}
}

func actionCommand(file *string, action, short, long, example string) *cobra.Command {
	args := map[string]string{}
	var noWait, fresh, all bool
	var to string
	use, without := action+" [NAME...]", "without one it is all builds."
	if action == "rollback" {
		use, without = "rollback (NAME... | --all)", "--all is all builds."
	}
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + ".\n\n" + long + `

NAME may be a pattern ("dev*"); ` + without + ` The command shows
progress and waits until the result holds; the exit code is 0 only where it does
for every build. Ctrl-C and --no-wait end only the waiting, not the action.`,
		Example:           example,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			switch {
			case action != "rollback":
			case all && len(patterns) > 0:
				return usage(fmt.Errorf("--all is every build: leave out %s, or --all", strings.Join(patterns, " ")))
			case !all && len(patterns) == 0:
				return usage(errors.New("rollback needs the builds to roll back: `rollback NAME`, or `rollback --all` for every build"))
			}
			if noWait {
				args["wait"] = "no"
			}
			if fresh {
				args["fresh"] = "yes"
			}
			if to != "" {
				args["to"] = to
			}
			cl, err := client(*file)
			if err != nil {
				return err
			}
			names, err := matching(cmd.Context(), cl, patterns)
			if err != nil {
				return err
			}
			if action == "stop" && len(patterns) == 0 && !confirmed(cmd, names) {
				return exitError{code: exitFailed, err: errors.New("nothing was stopped")}
			}
			return act(cmd, cl, action, names, args)
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the result")
	if action == "rebuild" {
		c.Flags().BoolVar(&fresh, "fresh", false, "make a new environment too: install everything again")
	}
	if action == "rollback" {
		c.Flags().StringVar(&to, "to", "", "the `RELEASE` to go back to, or the beginning of its name")
		c.Flags().BoolVar(&all, "all", false, "roll back every build")
		must(c.RegisterFlagCompletionFunc("to", completeReleases(file)))
	}
	return c
}

// confirmed asks before all builds are stopped, where there is a person to ask.
func confirmed(cmd *cobra.Command, names []string) bool {
	if !show.IsTerminal(cmd.OutOrStdout()) || !show.IsTerminal(cmd.InOrStdin()) {
		return true
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Stop %s? [y/N] ", strings.Join(names, ", "))
	reply, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	return err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(reply)), "y")
}

// atOnce returns on how many builds an action is carried out concurrently. It is limited where the
// action starts servers next to those that are serving; otherwise the builds wait in the
// supervisor, or cost nothing.
func atOnce(action string, builds int) int {
	if action == "restart" || action == "rollback" {
		return min(builds, 2*runtime.NumCPU())
	}
	return builds
}

// act carries out an action on each named build and goes on where one fails.
func act(cmd *cobra.Command, cl control.Client, action string, names []string, args map[string]string) error {
	out := cmd.OutOrStdout()
	progress := show.NewProgress(out, names)
	defer progress.Close()
	return onEach(cmd, cl, action, names, func(ctx context.Context, name string) error {
		o, err := cl.Act(ctx, name, action, args, func(line string) { progress.Step(name, line) })
		if err != nil {
			return err
		}
		progress.End(name, out, show.Done(name, action, args["wait"] == "no", o, time.Now()))
		return nil
	}, func(name string, err error) {
		progress.End(name, cmd.ErrOrStderr(), fmt.Sprintf("%s: %s failed: %v", name, action, err))
	})
}

// onEach does something for each named build, and goes on where it fails for one, which failed is told.
func onEach(cmd *cobra.Command, cl control.Client, action string, names []string, do func(ctx context.Context, name string) error, failed func(name string, err error)) error {
	ctx, stop := untilInterrupted(cmd.Context())
	defer stop()
	var mu sync.Mutex
	var lost, waiting, unasked []string // lost: it failed; waiting: when the command was interrupted
	var fatal error                     // not the fault of any build
	one := func(name string) {
		if ctx.Err() != nil {
			mu.Lock()
			defer mu.Unlock()
			unasked = append(unasked, name)
			return
		}
		err := do(ctx, name)
		if err == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case ctx.Err() != nil:
			waiting = append(waiting, name)
		case errors.Is(err, control.ErrNoSupervisor):
			fatal = requested(err)
		default:
			lost = append(lost, name)
			failed(name, err)
		}
	}
	var all sync.WaitGroup
	queue := make(chan string)
	for range atOnce(action, len(names)) {
		all.Go(func() {
			for name := range queue {
				one(name)
			}
		})
	}
	for _, name := range names {
		queue <- name
	}
	close(queue)
	all.Wait()
	switch {
	case len(waiting)+len(unasked) > 0:
		slices.Sort(waiting)
		slices.Sort(unasked)
		return stopped(ctx, interrupted(cl, action, waiting, unasked))
	case fatal != nil:
		return fatal
	case len(lost) > 0 && len(names) > 1:
		return exitError{exitFailed, fmt.Errorf("%s failed for %d of %d builds: %s", action, len(lost), len(names), strings.Join(lost, ", "))}
	case len(lost) > 0:
		return exitError{code: exitFailed}
	}
	return nil
}
