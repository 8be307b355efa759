package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
)

func doctorCommand(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor [NAME...]",
		Short: "Try what check cannot see, as the user of each build",
		Long: `Try beforehand what a build and its serving need: the interpreter, the package
index, gunicorn, the databases, STATIC_ROOT, Nginx's right to the socket, free
ports, room on the disk and what the kernel lets us do. Everything is tried as
the user of the build, with its environment, so it needs the same rights as the
supervisor itself. It needs no running supervisor, and changes nothing. NAME may
be a pattern ("dev*"); without one it is all builds.

Every finding is a line that begins with ok, warn or fail, with what to do below
it. The exit code is 1 where something fails, and 0 otherwise.`,
		Example: `  sudo medctrl-supervisor doctor
  medctrl-supervisor doctor development
  medctrl-supervisor doctor --json`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, patterns []string) error {
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			var all, names []string
			for _, b := range cfg.Builds {
				all = append(all, b.Name)
			}
			if len(patterns) > 0 {
				if err := known(patterns, all, *file); err != nil {
					return err
				}
				names = slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !matches(patterns, name) })
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			found, err := supervisor.Doctor(ctx, cfg, names)
			if errors.Is(err, context.Canceled) {
				return stopped(ctx, errors.New("interrupted: nothing was changed"))
			}
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				enc := json.NewEncoder(show.JSON(out))
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(found); err != nil {
					return err
				}
			} else {
				show.Findings(out, found, show.LookOf(out))
			}
			if slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Level == doctor.Fail }) {
				return exitError{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a list of JSON objects")
	return c
}
