package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

func upgradeCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the running supervisor by the program at its path",
		Long: `Replace the running supervisor by the program that is at its path now, with the
same process number, without touching a build: install the new binary over the
old one first (mv or install, not cp onto the running file). The new binary first
checks that it accepts the file and the state; where it does not, nothing
changes.

The command waits for a running migration, shows what it is waiting for, and
returns when the new program is running; Ctrl-C gives the upgrade up.
The exit code is 1, with the reason, where the old one keeps running.`,
		Example: `  install -m 0755 bin/medctrl-supervisor /usr/local/bin/medctrl-supervisor
  medctrl-supervisor upgrade`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			before, err := cl.Status(ctx)
			if err != nil {
				return requested(err)
			}
			now, err := cl.Upgrade(ctx, func(line string) { show.Line(cmd.OutOrStdout(), line) })
			if ctx.Err() != nil {
				return stopped(ctx, fmt.Errorf("interrupted: the upgrade from %s is given up, unless the new program was just executed: `medctrl-supervisor -c %s status` says which version runs", before.Version, *file))
			}
			if err != nil {
				return requested(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "upgraded from %s to %s, pid %d\n", before.Version, now.Version, now.Pid)
			return nil
		},
	}
}

// acceptCommand is how a running supervisor asks the binary that is to replace it.
func acceptCommand(file *string, version string) *cobra.Command {
	return &cobra.Command{
		Use:    supervisor.AcceptCommand,
		Short:  "Say whether this program could take over from a running one",
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			acceptance, err := supervisor.Accept(cfg, version)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(acceptance)
		},
	}
}

func versionCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version of this program. "status --json" has that of the running
supervisor.`,
		Example: "  medctrl-supervisor version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), "medctrl-supervisor", version)
			return nil
		},
	}
}
