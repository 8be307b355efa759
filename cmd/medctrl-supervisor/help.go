package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

// item is a line of a list in `help` and in the manual pages.
type item struct{ name, text string }

// What holds for every command.
var (
	exitCodes = []item{
		{fmt.Sprint(exitDone), "done"},
		{fmt.Sprint(exitFailed), "the request failed; standard error says why"},
		{fmt.Sprint(exitUsage), "no such command, flag or argument"},
		{fmt.Sprint(exitNoSupervisor), "no supervisor answers"},
	}
	environment = []item{
		{"MEDCTRL_CONFIG", "the file that lists the builds, where -c names none"},
		{"NO_COLOR", "any value: no colours, in a terminal either"},
	}
	files = []item{
		{defaultConfig, "the file that lists the builds, where neither -c nor MEDCTRL_CONFIG names one"},
		{supervisor.ControlSocket("root"), "the control socket, below the root of that file"},
		{"root/.supervisor/logs/NAME.log", "what the server of a build prints, where log_dir does not say otherwise"},
	}
)

// explain completes the help of every command by what they share.
func explain(root *cobra.Command) {
	standard := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		standard(cmd, args)
		if !cmd.HasParent() {
			list(cmd.OutOrStdout(), "Exit codes", exitCodes)
			list(cmd.OutOrStdout(), "Environment", environment)
		}
	})
	for _, c := range root.Commands() {
		if c.ValidArgsFunction == nil && c.ValidArgs == nil {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

func list(out io.Writer, title string, items []item) {
	fmt.Fprintf(out, "\n%s:\n", title)
	width := 0
	for _, i := range items {
		width = max(width, len(i.name))
	}
	for _, i := range items {
		fmt.Fprintf(out, "  %-*s  %s\n", width, i.name, i.text)
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command, or list all",
		Long: `Explain a command, with examples, or without one list all. The manual pages say
the same: "man medctrl-supervisor-status", for example.`,
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

var shells = []cobra.Completion{"bash", "zsh", "fish"}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script by which a shell completes names and flags",
		Long: `Print a script that has the shell complete commands, flags, and the names of
builds and releases, of the supervisor that runs. "make install" puts it where
each of the shells looks for it; bash needs the package bash-completion.`,
		Example: `  medctrl-supervisor completion bash > /etc/bash_completion.d/medctrl-supervisor
  medctrl-supervisor completion zsh > /usr/local/share/zsh/site-functions/_medctrl-supervisor
  medctrl-supervisor completion fish > ~/.config/fish/completions/medctrl-supervisor.fish`,
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch len(args) {
			case 0:
				return cmd.Help()
			case 1:
				return writeCompletion(cmd.Root(), cmd.OutOrStdout(), args[0])
			}
			return usage(fmt.Errorf("completion takes one shell, got %d", len(args)))
		},
	}
}

func writeCompletion(root *cobra.Command, out io.Writer, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	}
	return usage(fmt.Errorf("no completion for %q: want %s", shell, strings.Join(shells, ", ")))
}

// badFlag says what is wrong with a flag in our words.
func badFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		name := "--" + unknown.GetSpecifiedName()
		err = fmt.Errorf("unknown flag %s%s", name, config.Near(name, names))
	case errors.As(err, &unknown):
		err = fmt.Errorf("unknown flag -%s", unknown.GetSpecifiedName())
	case errors.As(err, &invalid):
		want := invalid.Unwrap().Error()
		switch invalid.GetFlag().Value.Type() {
		case "int":
			want = "want a whole number"
		case "bool":
			want = "want true or false"
		}
		err = fmt.Errorf("--%s=%s: %s", invalid.GetFlag().Name, invalid.GetValue(), want)
	}
	return usage(err)
}

// advice is what to do about an error of reading the list of builds, "" where it
// is none.
func advice(err error, file string) string {
	var path *os.PathError
	if !errors.As(err, &path) || path.Path != file {
		return ""
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return ": name the file that is meant by -c FILE, or in $MEDCTRL_CONFIG"
	case errors.Is(err, os.ErrPermission):
		return ": do it as root, or as a user who may read that file"
	}
	return ""
}
