package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// The exit codes of every command.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNoSupervisor = 3
)

// exitError ends the program with a code of its own. A nil err prints nothing:
// everything was said.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func usage(err error) error { return exitError{exitUsage, err} }

// defaultConfig is read where neither -c nor $MEDCTRL_CONFIG says otherwise.
const defaultConfig = "/etc/medctrl/builds.toml"

func rootCommand() *cobra.Command {
	var file string
	root := &cobra.Command{
		Use:   "medctrl-supervisor",
		Short: "Build and serve Django backends, without losing a request",
		Long: `medctrl-supervisor reads a list of builds (builds.toml), builds each, runs a
gunicorn for each on its own unix socket, restarts what crashes or hangs, and
rebuilds what is edited. Without a command it runs in the foreground:
SIGHUP reloads the file, SIGTERM stops everything gracefully.`,
		Example: `  medctrl-supervisor -c builds.toml
  medctrl-supervisor -c builds.toml status`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return supervise(cmd.Context(), file)
		},
	}
	root.SuggestionsMinimumDistance = 2
	fromEnv := os.Getenv("MEDCTRL_CONFIG")
	if fromEnv == "" {
		fromEnv = defaultConfig
	}
	root.PersistentFlags().StringVarP(&file, "config", "c", fromEnv, "the list of builds; $MEDCTRL_CONFIG")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.AddCommand(checkCommand(&file), statusCommand(&file), logsCommand(&file), eventsCommand(&file), reloadCommand(&file), nginxCommand(&file), newCommand(&file), upgradeCommand(&file), acceptCommand(&file), versionCommand())
	for _, c := range actionCommands(&file) {
		root.AddCommand(c)
	}
	return root
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if cmd.HasParent() {
		text = fmt.Sprintf("%s takes no argument, got %q", cmd.Name(), args[0])
	} else if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usage(errors.New(text + " (see: medctrl-supervisor help)"))
}

func checkCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the file and everything it names",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Check(*file)
			var wrong config.Errors
			if err != nil && !errors.As(err, &wrong) {
				return err
			}
			for _, e := range wrong {
				fmt.Fprintln(cmd.OutOrStdout(), e.Error())
			}
			if len(wrong) > 0 {
				return exitError{code: exitFailed}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d builds, no errors\n", *file, len(cfg.Builds))
			return nil
		},
	}
}

func nginxCommand(file *string) *cobra.Command {
	o := supervisor.NginxOptions{}
	c := &cobra.Command{
		Use:   "nginx",
		Short: "Print the Nginx location blocks of all builds",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Plain && (o.Upstreams || o.Locations) || o.Upstreams && o.Locations {
				return usage(errors.New("--plain, --upstreams and --locations exclude each other"))
			}
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			return supervisor.Nginx(cmd.OutOrStdout(), cfg, o)
		},
	}
	c.Flags().BoolVar(&o.Plain, "plain", false, "without a second try of requests that were killed half-way")
	c.Flags().BoolVar(&o.Upstreams, "upstreams", false, "only the upstream blocks, for http { }")
	c.Flags().BoolVar(&o.Locations, "locations", false, "only the location blocks that go with --upstreams, for server { }")
	return c
}

func upgradeCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "upgrade",
		Short: "Replace the running supervisor by the program that is at its path now",
		Long: `Replace the running supervisor by the program that is at its path now, with the
same process number, without touching a build: install the new binary over the
old one first (mv or install, not cp onto the running file). The new one is asked
first whether it accepts the file and the state; where it does not, nothing
changes.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := client(*file)
			if err != nil {
				return err
			}
			before, err := cl.Status(cmd.Context())
			if err != nil {
				return answered(err)
			}
			now, err := cl.Upgrade(cmd.Context(), func(line string) { fmt.Fprintln(cmd.OutOrStdout(), line) })
			if err != nil {
				return answered(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "upgraded from %s to %s, pid %d\n", before.Version, now.Version, now.Pid)
			return nil
		},
	}
}

// acceptCommand is how a running supervisor asks the binary that is to take over.
func acceptCommand(file *string) *cobra.Command {
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
			word, err := supervisor.Accept(cfg, version)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(word)
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(cmd.OutOrStdout(), "medctrl-supervisor", version)
			return nil
		},
	}
}

// client finds the supervisor of a file. Its root is read even from a file
// that is otherwise bad, so that a bad edit can be looked into.
func client(file string) (control.Client, error) {
	root, err := config.RootOf(file)
	if err != nil {
		return control.Client{}, err
	}
	socket, err := filepath.Abs(supervisor.ControlSocket(root))
	if err != nil {
		return control.Client{}, fmt.Errorf("find control socket: %w", err)
	}
	return control.Client{Socket: socket}, nil
}

// answered gives the error of a request the exit code it has.
func answered(err error) error {
	if errors.Is(err, control.ErrNoSupervisor) {
		return exitError{exitNoSupervisor, err}
	}
	return err
}
