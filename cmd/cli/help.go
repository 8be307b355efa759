package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

// Item is a line of a list in `help` and in the manual pages.
type Item struct{ Name, Text string }

// ExitCodes returns what every command's exit code means.
func ExitCodes() []Item {
	return []Item{
		{fmt.Sprint(exitDone), "done"},
		{fmt.Sprint(exitFailed), "the request failed; standard error says why"},
		{fmt.Sprint(exitUsage), "no such command, flag or argument"},
		{fmt.Sprint(exitNoSupervisor), "no supervisor is running"},
		{fmt.Sprint(exitSignaled + 2), "interrupted by Ctrl-C, and 128 + N by another signal N; \"run\" has the exit code of its command"},
	}
}

// Environment returns the variables that every command reads.
func Environment() []Item {
	return []Item{
		{"MEDCTRL_CONFIG", "the file that lists the builds, where -c names none"},
		{config.HostEnv, "the name of this host for once_on, where that of the system does not do (supervisor and check)"},
		{"NO_COLOR", "set to any value: no colours, not even in a terminal"},
	}
}

// Files returns the files that every command may read or connect to.
func Files() []Item {
	return []Item{
		{defaultConfig, "the file that lists the builds, where neither -c nor MEDCTRL_CONFIG names one"},
		{supervisor.ControlSocket("root"), "the control socket, below the root of that file"},
		{"root/.supervisor/logs/NAME.log", "what the server of a build prints, unless log_dir says otherwise"},
	}
}

// explain adds what all commands share to their help.
func explain(root *cobra.Command) {
	standard := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		standard(cmd, args)
		if !cmd.HasParent() {
			list(cmd.OutOrStdout(), "Exit codes", ExitCodes())
			list(cmd.OutOrStdout(), "Environment", Environment())
		}
	})
	for _, c := range root.Commands() {
		if c.ValidArgsFunction == nil && c.ValidArgs == nil {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

func list(out io.Writer, title string, items []Item) {
	fmt.Fprintf(out, "\n%s:\n", title)
	width := 0
	for _, i := range items {
		width = max(width, len(i.Name))
	}
	for _, i := range items {
		fmt.Fprintf(out, "  %-*s  %s\n", width, i.Name, i.Text)
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command, or list all",
		Long: `Explain a command, with examples, or without one list all. The manual pages have
the same text: "man medctrl-supervisor-status", for example.`,
		Example: `  medctrl-supervisor help
  medctrl-supervisor help rollback`,
		ValidArgsFunction: func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var all []cobra.Completion
			for _, c := range cmd.Root().Commands() {
				if len(given) == 0 && !c.Hidden {
					all = append(all, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return all, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about := cmd.Root()
			for _, name := range args {
				found, _, err := about.Find([]string{name})
				if err != nil || found == about {
					return unknownCommand(about, name)
				}
				about = found
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
