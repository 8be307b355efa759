package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func reloadCommand(file *string) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Apply the file and the builds' inputs as they are now",
		Long: `Have the supervisor read the file and look at the builds' sources, requirements
and settings again, as SIGHUP does, and print what changes in the file. A file
with a mistake changes nothing: the mistakes are printed, and the exit code is 1.

It returns when the file is taken, and does not wait for what is rebuilt or
restarted then: see "status", or "events -f".`,
		Example: `  medctrl-supervisor reload --dry-run
  medctrl-supervisor reload`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			changes, err := cl.Reload(cmd.Context(), dry)
			if err != nil {
				return answered(err)
			}
			for _, line := range changes {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			if len(changes) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing changed in the file")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only print what would change")
	return c
}

// actionCommands are those that do something to builds.
func actionCommands(file *string) []*cobra.Command {
	texts := []struct{ name, short, long, example string }{
		{"start", "Start builds that are stopped", `A build that has no release yet is built first. The result holds when the build
serves and has answered its probe.`, `  medctrl-supervisor start development
  medctrl-supervisor start`},
		{"stop", "Let builds finish what they hold and stop them", `They take no new clients, and get their graceful_timeout to answer those they
have. The result holds when nothing of the build runs any more. It stays stopped
until "start", also when the supervisor is started anew.`, `  medctrl-supervisor stop development
  medctrl-supervisor stop 'test*'`},
		{"restart", "Replace builds' processes, without losing a request", `A new server on the same release is started beside the old one. The result holds
when it has answered its probe and taken over; where it does not, the old one
serves on, and the exit code is 1.`, `  medctrl-supervisor restart development
  medctrl-supervisor restart --no-wait`},
		{"rebuild", "Make new releases, even of unchanged inputs", `A new release is built beside the one that serves. The result holds when it has
answered its probe and taken over; where it does not, the old one serves on, and
the exit code is 1, with the reason.`, `  medctrl-supervisor rebuild development
  medctrl-supervisor rebuild 'test*' production`},
		{"rollback", "Go back to the release before", `The release before, or the one that --to names, is started beside the one that
serves. The result holds when it has answered its probe and taken over. It serves
until the build's inputs change, or "rebuild". "status NAME" has the releases
that are kept.`, `  medctrl-supervisor rollback development
  medctrl-supervisor rollback development --to 20261123T101502-9f3c2a`},
	}
	var all []*cobra.Command
	for _, t := range texts {
		args := map[string]string{}
		var noWait bool
		var to string
		c := &cobra.Command{
			Use:   t.name + " [NAME...]",
			Short: t.short,
			Long: t.short + ".\n\n" + t.long + `

NAME may be a pattern ("dev*"); without one it is all builds. It waits until the
result holds and shows how far it is; the exit code is 0 only where it does for
every build. Ctrl-C, or --no-wait, ends the waiting and not what goes on.`,
			Example:           t.example,
			ValidArgsFunction: completeBuilds(file),
			RunE: func(cmd *cobra.Command, patterns []string) error {
				if noWait {
					args["wait"] = "no"
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
				if t.name == "stop" && len(patterns) == 0 && !sure(cmd, names) {
					return exitError{code: exitFailed, err: errors.New("nothing was stopped")}
				}
				return act(cmd, cl, t.name, names, args)
			},
		}
		c.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the result")
		if t.name == "rollback" {
			c.Flags().StringVar(&to, "to", "", "the `RELEASE` to go back to")
			must(c.RegisterFlagCompletionFunc("to", completeReleases(file)))
		}
		all = append(all, c)
	}
	return all
}

// sure asks before all builds are stopped, where a person is there to answer.
func sure(cmd *cobra.Command, names []string) bool {
	if !isTerminal(cmd.OutOrStdout()) || !isTerminal(os.Stdin) {
		return true
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Stop %s? [y/N] ", strings.Join(names, ", "))
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	return err == nil && strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// atOnce is how many builds an action is under way for at the same time, where it
// starts servers beside those that serve. The others wait in the supervisor, or
// cost nothing.
func atOnce(action string, builds int) int {
	if action == "restart" || action == "rollback" {
		return min(builds, 2*runtime.NumCPU())
	}
	return builds
}

// act carries out an action on each named build and goes on where one fails.
func act(cmd *cobra.Command, cl control.Client, action string, names []string, args map[string]string) error {
	out, ctx := cmd.OutOrStdout(), cmd.Context()
	show := newProgress(out, names)
	var mu sync.Mutex
	var failed []string
	var fatal error // that is no build's own
	one := func(name string) {
		err := cl.Act(ctx, name, action, args, func(line string) { show.step(name, line) })
		switch {
		case err == nil && args["wait"] == "no":
			show.end(name, out, fmt.Sprintf("%s: %s asked for", name, action))
			return
		case err == nil:
			show.end(name, out, fmt.Sprintf("%s: %s done", name, action))
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case ctx.Err() != nil:
			fatal = fmt.Errorf("interrupted: the %s goes on, `medctrl-supervisor status` shows how far it is", action)
		case answered(err) != err:
			fatal = answered(err)
		default:
			failed = append(failed, name)
			show.end(name, cmd.ErrOrStderr(), fmt.Sprintf("%s: %s failed: %v", name, action, err))
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
	show.close()
	switch {
	case fatal != nil:
		return fatal
	case len(failed) > 0 && len(names) > 1:
		return exitError{exitFailed, fmt.Errorf("%d of %d builds: %s failed: %s", len(failed), len(names), action, strings.Join(failed, ", "))}
	case len(failed) > 0:
		return exitError{code: exitFailed}
	}
	return nil
}
