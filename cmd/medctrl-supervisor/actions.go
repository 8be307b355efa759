package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func reloadCommand(file *string) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Apply the file and the builds' inputs as they are now",
		Args:  noArguments,
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
	texts := []struct{ name, short string }{
		{"start", "Start builds that are stopped"},
		{"stop", "Let builds finish what they hold and stop them"},
		{"restart", "Replace builds' processes, without losing a request"},
		{"rebuild", "Make new releases, even of unchanged inputs"},
		{"rollback", "Go back to the release before"},
	}
	var all []*cobra.Command
	for _, t := range texts {
		args := map[string]string{}
		var noWait bool
		var to string
		c := &cobra.Command{
			Use:   t.name + " [NAME...]",
			Short: t.short,
			Long: t.short + `.

NAME may be a pattern ("dev*"); without one it is all builds. It waits until the
result holds and shows how far it is; the exit code is 0 only where it does for
every build.`,
			Example:           "  medctrl-supervisor " + t.name + " development",
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
			c.Flags().StringVar(&to, "to", "", "the release to go back to")
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

// act carries out an action on each named build, one after the other, and goes
// on where one fails.
func act(cmd *cobra.Command, cl control.Client, action string, names []string, args map[string]string) error {
	out, failed := cmd.OutOrStdout(), 0
	for _, name := range names {
		err := cl.Act(cmd.Context(), name, action, args, func(line string) { fmt.Fprintln(out, line) })
		switch {
		case err == nil && args["wait"] == "no":
			fmt.Fprintf(out, "%s: %s asked for\n", name, action)
		case err == nil:
			fmt.Fprintf(out, "%s: %s done\n", name, action)
		case answered(err) != err:
			return answered(err)
		default:
			failed++
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s failed: %v\n", name, action, err)
		}
	}
	if failed > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}
