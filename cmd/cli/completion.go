package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func completionCommand() *cobra.Command {
	shells := []cobra.Completion{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that lets a shell complete names and flags",
		Long: `Print a script that lets the shell complete commands, flags, and the names of
builds and releases of the running supervisor. "make install" puts it where
each of the shells looks for it; bash needs the package bash-completion.`,
		Example: `  medctrl-supervisor completion bash > /etc/bash_completion.d/medctrl-supervisor
  medctrl-supervisor completion zsh > /usr/local/share/zsh/site-functions/_medctrl-supervisor
  medctrl-supervisor completion fish > ~/.config/fish/completions/medctrl-supervisor.fish`,
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			if len(args) > 1 {
				return usage(fmt.Errorf("completion takes one shell, got %d", len(args)))
			}
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return usage(fmt.Errorf("no completion for %q: want %s", args[0], strings.Join(shells, ", ")))
		},
	}
}
