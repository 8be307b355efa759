package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
)

func reloadCommand(file *string) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Apply the file and the builds' inputs as they are now",
		Long: `Have the supervisor read the file and look at the builds' sources, requirements
and settings again, as SIGHUP does. Print what changes, and what that costs: each
key with the value before and now, each input that has changed of a build that is
made anew. Values that look like a secret are not shown. A file with a mistake
changes nothing: the mistakes are printed, and the exit code is 1.

The command returns when the file is applied and does not wait for the rebuilds
and restarts that follow: see "status", or "events -f"; "deploy" waits.`,
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
				return requested(err)
			}
			for _, line := range changes {
				show.Line(cmd.OutOrStdout(), line)
			}
			if len(changes) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing changed, in the file or in what the builds are made of")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only print what would change")
	return c
}
