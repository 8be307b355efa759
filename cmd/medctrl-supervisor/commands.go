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
rebuilds what is edited.

Without a command it runs in the foreground until it is told to stop. SIGHUP
reloads the file, SIGTERM and SIGINT stop everything gracefully (a second one at
once), SIGUSR2 upgrades in place.

The commands that look and those that change ask the one that runs, over its
control socket, which they find by the same file.`,
		Example: `  medctrl-supervisor -c builds.toml
  medctrl-supervisor -c builds.toml status
  medctrl-supervisor restart development`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return supervise(cmd.Context(), file)
		},
	}
	root.PersistentFlags().StringVarP(&file, "config", "c", configFile(), "the `FILE` that lists the builds; without it\n$MEDCTRL_CONFIG, or else "+defaultConfig)
	root.PersistentFlags().Lookup("config").DefValue = "" // its usage says it, and not what one environment makes of it
	must(root.MarkPersistentFlagFilename("config", "toml"))
	root.SetFlagErrorFunc(badFlag)

	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("look", "Look:", statusCommand(&file), logsCommand(&file), eventsCommand(&file))
	group("change", "Change:", append(actionCommands(&file), reloadCommand(&file))...)
	group("setup", "Set up:", checkCommand(&file), newCommand(&file), nginxCommand(&file))
	group("itself", "Of itself:", upgradeCommand(&file), versionCommand(), completionCommand())
	root.SetHelpCommand(helpCommand())
	root.SetHelpCommandGroupID("itself")
	root.InitDefaultHelpCmd()                       // adds it
	root.CompletionOptions.DisableDefaultCmd = true // ours has examples, and the shells that are promised
	root.AddCommand(acceptCommand(&file), pagesCommand())
	explain(root)
	return root
}

// configFile is the list of builds where -c does not say otherwise.
func configFile() string {
	if file := os.Getenv("MEDCTRL_CONFIG"); file != "" {
		return file
	}
	return defaultConfig
}

// must is for errors that only a mistake in this package can make.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		return usage(fmt.Errorf("%s takes no argument, got %q", cmd.Name(), args[0]))
	}
	return unknownCommand(cmd, args[0])
}

// unknownCommand is the error of a root that has no command of that name.
func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return usage(fmt.Errorf("unknown command %q%s", name, config.Near(name, names)))
}

func checkCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the file and everything it names",
		Long: `Read the file as the supervisor would, and look for everything it names. No
supervisor needs to run, and nothing is changed.

Every mistake is a line of its own, FILE:LINE:COLUMN: MESSAGE. The exit code is 0
where there is none, and 1 otherwise.`,
		Example: `  medctrl-supervisor check
  medctrl-supervisor -c builds.toml check`,
		Args: noArguments,
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
		Long: `Print the Nginx configuration that passes the location of each build to its
socket, ready to be included in a server block. Only the file is read: no
supervisor needs to run. The sockets' paths never change, so once is enough for
a build and its location.`,
		Example: `  medctrl-supervisor nginx > /etc/nginx/medctrl.conf
  medctrl-supervisor nginx --upstreams > /etc/nginx/conf.d/medctrl-upstreams.conf
  medctrl-supervisor nginx --locations > /etc/nginx/medctrl-locations.conf`,
		Args: noArguments,
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
		Short: "Replace the running supervisor by the program at its path",
		Long: `Replace the running supervisor by the program that is at its path now, with the
same process number, without touching a build: install the new binary over the
old one first (mv or install, not cp onto the running file). The new one is asked
first whether it accepts the file and the state; where it does not, nothing
changes.

It waits for a migration that is under way, shows what it waits for, and returns
when the new program answers. The exit code is 1, with the reason, where the old
one goes on.`,
		Example: `  install -m 0755 bin/medctrl-supervisor /usr/local/bin/medctrl-supervisor
  medctrl-supervisor upgrade`,
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
		Long: `Print the version of this program. That of the one that runs is in
"status --json".`,
		Example: "  medctrl-supervisor version",
		Args:    noArguments,
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
	return control.Client{Socket: socket, File: file}, nil
}

// answered gives the error of a request the exit code it has.
func answered(err error) error {
	if errors.Is(err, control.ErrNoSupervisor) {
		return exitError{exitNoSupervisor, err}
	}
	return err
}
