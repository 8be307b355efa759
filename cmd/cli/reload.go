package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func reloadCommand(file *string) *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Apply the file and the builds' inputs as they are now",
		Long: `Have the supervisor read the file and look at the builds' sources, requirements
and settings again, as SIGHUP does, and print what changes in the file. A file
with a mistake changes nothing: the mistakes are printed, and the exit code is 1.

The command returns when the file is applied and does not wait for the rebuilds
and restarts that follow: see "status", or "events -f".`,
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
