package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
)

func checkCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the file and everything it names",
		Long: `Read the file as the supervisor would, and check that everything it names is
there. It needs no running supervisor and changes nothing.

Every mistake is a line of its own, FILE:LINE:COLUMN: MESSAGE. The exit code is 0
where there is none, and 1 otherwise.`,
		Example: `  medctrl-supervisor check
  medctrl-supervisor -c builds.toml check`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Check(*file)
			var mistakes config.Errors
			if err != nil && !errors.As(err, &mistakes) {
				return err
			}
			for _, m := range mistakes {
				fmt.Fprintln(cmd.OutOrStdout(), m.Error())
			}
			if len(mistakes) > 0 {
				return exitError{code: exitFailed}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d builds, no errors\n", *file, len(cfg.Builds))
			return nil
		},
	}
}
