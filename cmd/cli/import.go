package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/importer"
	"github.com/medctrl/medctrl-supervisor/supervisor/doctor"
)

func importCommand(file *string) *cobra.Command {
	var o importer.Options
	c := &cobra.Command{
		Use:   "import [FILE...]",
		Short: "Print a builds.toml made from old units and scripts",
		Long: `Print a builds.toml made from what ran the project before: systemd units, with
their drop-ins, sockets and timers, build scripts, Supervisor's ini files,
gunicorn.conf.py, a Procfile, a crontab. FILE may be "-" for standard input.
Without one it is whatever in /etc/systemd/system, /etc/supervisor and
/etc/cron.d serves a Django project.

Nothing on the machine is changed. What has no key stands as a comment with the
reason. An entry that "check" would refuse here, or that would not do what ran
before, is printed as a comment, with what to do about it; then run import again.
Values that may be secret are never printed: they belong into env_file.

Instances of a template, medctrl@.service, are those that have a settings file
deploy_NAME.py, or that systemctl lists. The exit code is 0 where "check" accepts
all that the files describe, and 1 otherwise; standard error says what is left.`,
		Example: `  medctrl-supervisor import /etc/systemd/system/medctrl@.service build.sh > builds.toml
  sudo medctrl-supervisor import > builds.toml
  crontab -l | medctrl-supervisor import /etc/systemd/system/gunicorn.service -`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			files, err := filesToImport(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			if o.File, err = filepath.Abs(*file); err != nil {
				return fmt.Errorf("find %s: %w", *file, err)
			}
			if o.Source != "" {
				if o.Source, err = filepath.Abs(o.Source); err != nil {
					return fmt.Errorf("find source: %w", err)
				}
			}
			if o.Root != "" {
				if o.Root, err = filepath.Abs(o.Root); err != nil {
					return fmt.Errorf("find root: %w", err)
				}
			}
			o.Check = func(text []byte) []importer.Mistake { return mistakesIn(ctx, o.File, text) }
			made := importer.Import(ctx, importer.Here{}, files, o)
			if ctx.Err() != nil {
				return stopped(ctx, errors.New("interrupted: nothing was changed"))
			}
			if _, err := cmd.OutOrStdout().Write(made.TOML); err != nil {
				return err
			}
			for _, lost := range made.Lost {
				show.Line(cmd.ErrOrStderr(), lost)
			}
			for _, name := range made.Refused {
				fmt.Fprintf(cmd.ErrOrStderr(), "build %s stands as a comment: the reason is above it\n", name)
			}
			if len(made.Lost)+len(made.Refused) > 0 {
				return exitError{code: exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&o.Source, "source", "", "the checkout `FOLDER` (default: as the files say)")
	must(c.MarkFlagDirname("source"))
	c.Flags().StringVar(&o.Root, "root", "", "the `FOLDER` of the builds (default: /opt/medctrl/builds)")
	must(c.MarkFlagDirname("root"))
	return c
}

// mostInput is how much standard input may have.
const mostInput = 1 << 20

// filesToImport returns what is named, or what there is on this machine.
func filesToImport(in io.Reader, args []string) ([]importer.File, error) {
	if len(args) == 0 {
		files := importer.Find(importer.Here{})
		if len(files) == 0 {
			return nil, errors.New("nothing in /etc/systemd/system, /etc/supervisor and /etc/cron.d serves a Django project: name the files")
		}
		return files, nil
	}
	var files []importer.File
	seen := false
	for _, arg := range args {
		if arg != "-" {
			files = append(files, importer.File{Path: arg})
			continue
		}
		if seen {
			return nil, usage(errors.New("standard input, -, can be read once"))
		}
		seen = true
		text, err := io.ReadAll(io.LimitReader(in, mostInput+1))
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		if len(text) > mostInput {
			return nil, errors.New("standard input is larger than 1 MiB")
		}
		files = append(files, importer.File{Path: "standard input", Text: text})
	}
	return files, nil
}

// mistakesIn returns what check would say of a text.
func mistakesIn(ctx context.Context, file string, text []byte) []importer.Mistake {
	cfg, err := config.CheckText(file, text)
	var mistakes config.Errors
	if err != nil && !errors.As(err, &mistakes) {
		return []importer.Mistake{{Msg: err.Error()}}
	}
	if cfg != nil {
		wrong, _ := doctor.Look(ctx, cfg, os.Environ())
		mistakes = append(mistakes, wrong...).Sorted()
	}
	var all []importer.Mistake
	for _, m := range mistakes {
		one := importer.Mistake{Msg: m.Msg}
		if m.File == file {
			one.Line = m.Line
		} else if m.Line > 0 {
			one.Msg = fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Msg)
		}
		one.Msg = inBuild.ReplaceAllString(strings.TrimSpace(one.Msg), "")
		all = append(all, one)
	}
	return all
}

// inBuild is what a message says of where it stands in a file that is not there yet.
var inBuild = regexp.MustCompile(` in line \d+`)
