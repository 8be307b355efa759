package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/medctrl/medctrl-supervisor/config"
)

// defaultConfig is read where neither -c nor $MEDCTRL_CONFIG names a file.
const defaultConfig = "/etc/medctrl/builds.toml"

// Root returns the program's command, with all others below it.
func Root(version string) *cobra.Command {
	var file, prebuilt string
	var printLogs bool
	root := &cobra.Command{
		Use:   "medctrl-supervisor",
		Short: "Build and serve Django backends, without losing a request",
		Long: `medctrl-supervisor reads a list of builds (builds.toml), builds each, runs a
gunicorn for each on its own unix socket, restarts what crashes or hangs, and
rebuilds what is edited.

Without a command it runs in the foreground until it is told to stop. SIGHUP
reloads the file, SIGTERM and SIGINT stop everything gracefully (a second one at
once), SIGUSR2 upgrades in place.

The commands that show or change something send requests to the running
supervisor over its control socket, which they find through the same file.`,
		Example: `  medctrl-supervisor -c builds.toml
  medctrl-supervisor -c builds.toml status
  medctrl-supervisor restart development`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return supervise(cmd.Context(), file, prebuilt, printLogs, version)
		},
	}
	root.PersistentFlags().StringVarP(&file, "config", "c", configFile(), "the `FILE` that lists the builds (default\n$MEDCTRL_CONFIG, or else "+defaultConfig+")")
	root.PersistentFlags().Lookup("config").DefValue = "" // its usage has the default, not the value in one environment
	must(root.MarkPersistentFlagFilename("config", "toml"))
	root.PersistentFlags().Bool("utc", false, "show and read times in UTC instead of the local zone; JSON always\nhas UTC")
	root.Flags().StringVar(&prebuilt, "prebuilt", "", "serve the releases that \"build\" made below `DIR`, which may be\nread-only, for builds that have none")
	must(root.MarkFlagDirname("prebuilt"))
	root.Flags().BoolVar(&printLogs, "print-logs", false, "copy what the builds print to standard output, for those who\nread a container's")
	root.SetFlagErrorFunc(badFlag)
	root.Version = version
	root.SetVersionTemplate("medctrl-supervisor {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")

	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("look", "Look:", statusCommand(&file), logsCommand(&file), eventsCommand(&file))
	group("change", "Change:", append(actionCommands(&file), deployCommand(&file), runCommand(&file), reloadCommand(&file))...)
	group("setup", "Set up:", checkCommand(&file), doctorCommand(&file), newCommand(&file), importCommand(&file), nginxCommand(&file),
		buildCommand(&file), exportCommand(&file, version))
	group("itself", "The program itself:", upgradeCommand(&file), versionCommand(version), completionCommand())
	root.SetHelpCommand(helpCommand())
	root.SetHelpCommandGroupID("itself")
	root.InitDefaultHelpCmd()                       // adds it
	root.CompletionOptions.DisableDefaultCmd = true // ours has examples, and only the shells that are promised
	root.AddCommand(acceptCommand(&file, version))
	explain(root)
	return root
}

// zoneOf is the zone of the clock that a command shows and reads times of.
func zoneOf(cmd *cobra.Command) *time.Location {
	if utc, err := cmd.Flags().GetBool("utc"); err == nil && utc {
		return time.UTC
	}
	return time.Local
}

// configFile returns the list of builds where -c does not name one.
func configFile() string {
	if file := os.Getenv("MEDCTRL_CONFIG"); file != "" {
		return file
	}
	return defaultConfig
}

// must is for errors that only a mistake in this package can cause.
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

// unknownCommand returns the error for a name that is no command of root.
func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	near := config.Near(name, names)
	if ours, known := elsewhere[name]; known {
		near = fmt.Sprintf("; here it is %q", ours)
	}
	return usage(fmt.Errorf("unknown command %q%s", name, near))
}

// elsewhere is what other tools call what is done here by another command.
var elsewhere = map[string]string{
	"ps": "status", "ls": "status", "list": "status", "top": "status --watch", "tail": "logs -f", "log": "logs",
	"exec": "run", "shell": "run NAME python manage.py shell", "up": "start", "down": "stop", "reread": "reload --dry-run",
	"update": "deploy", "redeploy": "deploy", "history": "status NAME", "releases": "status NAME", "undo": "rollback NAME",
	"validate": "check", "configtest": "check", "remove": "reload", "add": "new",
}

// badFlag puts the error of a flag into our own words.
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
		case "int", "uint":
			want = "want a whole number"
		case "bool":
			want = "want true or false"
		}
		err = fmt.Errorf("--%s=%s: %s", invalid.GetFlag().Name, invalid.GetValue(), want)
	}
	return usage(err)
}
