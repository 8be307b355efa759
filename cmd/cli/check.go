package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
)

func checkCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the file and everything it names",
		Long: `Read the file as the supervisor would, and check that everything it names is
there and can be used: what "doctor" tries by starting it, this tells from the
files alone. It needs no running supervisor and changes nothing. Run it as the
supervisor's own user: what somebody else could write is a mistake as well.

Every mistake is a line of its own, FILE:LINE:COLUMN: MESSAGE. What may pass by
itself, such as a port in use, is printed to standard error after
"warning: ". The exit code is 0 where there is no mistake, and 1 otherwise.

Where once_on names one of several hosts, it says which host this is, and on
which one the migrations and schedules of each build run.`,
		Example: `  medctrl-supervisor check
  medctrl-supervisor -c builds.toml check`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Check(*file)
			var mistakes config.Errors
			if err != nil && !errors.As(err, &mistakes) {
				return err
			}
			var warnings config.Errors
			if cfg != nil {
				var more config.Errors
				more, warnings = doctor.Look(cmd.Context(), cfg, os.Environ())
				self, err := os.Executable()
				if err == nil {
					warning, wrong := cfg.ExposedProgram(self)
					if wrong != nil {
						more = append(more, config.Error{File: *file, Msg: wrong.Error()})
					}
					if warning != "" {
						warnings = append(warnings, config.Error{File: *file, Msg: warning})
					}
				}
				mistakes = append(mistakes, more...).Sorted()
			}
			for _, m := range mistakes { // which quote what others wrote: links, settings
				show.Line(cmd.OutOrStdout(), m.Error())
			}
			for _, w := range warnings {
				show.Line(cmd.ErrOrStderr(), "warning: "+w.Error())
			}
			if len(mistakes) > 0 {
				return exitError{code: exitFailed}
			}
			builds := "1 build"
			if n := len(cfg.Builds); n != 1 {
				builds = fmt.Sprint(n, " builds")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, no errors\n", *file, builds)
			return sayWhere(cmd.OutOrStdout(), cfg)
		},
	}
}

// sayWhere says on which host runs what once_on leaves to one.
func sayWhere(w io.Writer, cfg *config.Config) error {
	var hosts []string
	of := map[string][]string{}
	for _, b := range cfg.Builds {
		if b.OnceOn == "" {
			continue
		}
		if !slices.Contains(hosts, b.OnceOn) {
			hosts = append(hosts, b.OnceOn)
		}
		of[b.OnceOn] = append(of[b.OnceOn], b.Name)
	}
	if len(hosts) == 0 {
		return nil
	}
	here, err := config.HostName(os.Environ())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "this host is %s\n", here)
	for _, host := range hosts {
		where := host
		if b, _ := cfg.Build(of[host][0]); b.Here(here) {
			where = "this host"
		}
		fmt.Fprintf(w, "migrations and schedules of %s run on %s\n", strings.Join(of[host], ", "), where)
	}
	return nil
}
