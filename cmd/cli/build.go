package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/prebuild"
)

func buildCommand(file *string) *cobra.Command {
	var root string
	var migrate bool
	c := &cobra.Command{
		Use:   "build NAME [--root DIR]",
		Short: "Make a release without serving it, for images and CI",
		Long: `Make a release of a build, with its environment, and serve nothing. The steps
are those of the supervisor, with the build's user, environment and limits, and
each is shown as it begins. Where a release of the same inputs is there, nothing
is made. With --root it is made below DIR instead of the file's root. It fails
where a supervisor is running on that.

No database is migrated, as there is none where an image is made: the release is
that of the same entry with "migrate = false". --migrate does as the entry says.
Commands in [build.steps] run, and "check" and "collectstatic", unless the entry
turns them off.

A supervisor with the same entry serves the release as it is, without a build:
where its root is DIR, or with --prebuilt DIR, which may then be read-only. The
path of "source" counts as part of the entry, and DIR has to keep its path,
which the environment's programs know.

The exit code is 0 where the release is there, and 1 otherwise, with the reason.`,
		Example: `  medctrl-supervisor build development --root /opt/medctrl/prebuilt
  medctrl-supervisor -c /etc/medctrl/builds.toml --prebuilt /opt/medctrl/prebuilt`,
		ValidArgsFunction: completeBuilds(file),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(errors.New("build needs the name of one build: `build NAME --root DIR`"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			entry, err := entryOf(cfg, *file, args[0])
			if err != nil {
				return err
			}
			if root == "" {
				root = cfg.Root
			}
			if root, err = filepath.Abs(root); err != nil {
				return fmt.Errorf("find --root: %w", err)
			}
			return makeRelease(cmd, entry, root, migrate)
		},
	}
	c.Flags().StringVar(&root, "root", "", "make it below `DIR` instead of the file's root")
	c.Flags().BoolVar(&migrate, "migrate", false, "migrate databases, if the entry says so")
	must(c.MarkFlagDirname("root"))
	return c
}

// makeRelease makes a release of an entry below root, and shows how that goes.
func makeRelease(cmd *cobra.Command, entry config.Build, root string, migrate bool) error {
	syscall.Umask(0o022) // as the supervisor
	ctx, stop := untilInterrupted(cmd.Context())
	defer stop()
	left := entry.Migrate && !migrate
	if left {
		entry.Migrate, entry.Databases = false, nil
	}
	out, name := cmd.OutOrStdout(), entry.Name
	progress := show.NewProgress(out, []string{name})
	defer progress.Close()
	made, err := prebuild.Build(ctx, prebuild.Options{
		Root: root, Entry: entry,
		Log: hclog.New(&hclog.LoggerOptions{Name: "medctrl-supervisor", Level: hclog.Warn, Output: cmd.ErrOrStderr()}),
		Say: func(line string) { progress.Step(name, name+": "+line) },
	})
	switch {
	case err != nil && ctx.Err() != nil && cmd.Context().Err() == nil:
		return stopped(ctx, fmt.Errorf("%s: interrupted: no release was made", name))
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	result := fmt.Sprintf("built in %v", made.Took.Round(100*time.Millisecond))
	if !made.Fresh {
		result = "is there already"
	}
	progress.End(name, out, fmt.Sprintf("%s: release %s %s: %s", name, made.Release, result, made.Dir))
	if left {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: nothing was migrated. With migrate = true a supervisor makes a release of its own, which migrates: "+
			"have the one that serves this read migrate = false, and run `manage.py migrate` before\n", name)
	}
	return nil
}
