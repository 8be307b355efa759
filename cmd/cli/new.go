package cli

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
)

// settingsTemplate is the settings file of a new build.
const settingsTemplate = `"""The %[1]s build."""
import os

from %[2]s.common import *  # noqa: F401,F403

SECRET_KEY = "%[3]s"
DEBUG = False
ALLOWED_HOSTS = ["localhost"]  # and the name that its users ask for

# The build's location in builds.toml, so that links and redirects lead back to it.
FORCE_SCRIPT_NAME = "%[4]s"
STATIC_URL = FORCE_SCRIPT_NAME + "/static/"
SESSION_COOKIE_PATH = FORCE_SCRIPT_NAME
CSRF_COOKIE_PATH = FORCE_SCRIPT_NAME

# A database of its own, with the password out of this file (env_file in builds.toml):
# DATABASES = {
#     "default": {
#         "ENGINE": "django.db.backends.mysql",
#         "NAME": "medctrl_%[1]s",
#         "USER": "medctrl",
#         "PASSWORD": os.environ["MEDCTRL_DB_PASSWORD"],
#         "HOST": "localhost",
#     }
# }
`

// newBuild is what the command line says about a new build.
type newBuild struct {
	name, location, source string

	add bool // the entry is added to the file
}

func newCommand(file *string) *cobra.Command {
	var n newBuild
	var add bool
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the settings file of a new build",
		Long: `Write the settings file of a new build, deploy_NAME.py, with a secret key of its
own, and print the entry to add to builds.toml. With --add the entry is added at
the end of the file, and a running supervisor builds and serves it; the rest of
the file stays as it is, with its comments, and nothing is changed where it would
not be valid. A settings file that is there is never written over: with --add it
is used as it is, as after "new NAME" without it.

The command returns at once and needs no running supervisor. The exit code is 0
where the settings file is there and, with --add, the entry was added.`,
		Example: `  medctrl-supervisor new staging
  medctrl-supervisor new staging --add
  medctrl-supervisor new preview --location /preview --add`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(errors.New("new takes one argument, the name of the new build"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n.name = args[0]
			n.add = add
			path, entry, kept, err := n.write(*file)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if kept {
				fmt.Fprintf(out, "%s is there and is kept\n", path)
			} else {
				fmt.Fprintf(out, "wrote %s\n", path)
			}
			if !add {
				fmt.Fprintf(out, "add to %s:\n\n%s", *file, entry)
				return nil
			}
			if err := addEntry(*file, entry); err != nil {
				return err
			}
			fmt.Fprintf(out, "added build %s to %s\n", n.name, *file)
			return nil
		},
	}
	c.Flags().StringVar(&n.location, "location", "", "its URL `PREFIX` (default: /NAME)")
	completeValues(c, "location")
	c.Flags().StringVar(&n.source, "source", "", "the `FOLDER` it is built from (default: that of the last build)")
	must(c.MarkFlagDirname("source"))
	c.Flags().BoolVar(&add, "add", false, "add the entry to builds.toml")
	return c
}

var newName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,31}$`)

// write writes the settings file and returns its path and the entry. A file that is there is kept, where the entry
// is to be added.
func (n *newBuild) write(file string) (path, entry string, kept bool, err error) {
	if !newName.MatchString(n.name) {
		return "", "", false, usage(fmt.Errorf("name %q: want at most 32 lower-case letters, digits and _, the first no _", n.name))
	}
	cfg, err := config.Load(file)
	if err != nil {
		return "", "", false, err
	}
	if _, taken := cfg.Build(n.name); taken {
		return "", "", false, fmt.Errorf("%s already has a build %q", file, n.name)
	}
	if n.location == "" {
		n.location = "/" + n.name
	}
	b := config.Build{AppDir: "API", SettingsDir: "api_settings/settings"}
	entry = fmt.Sprintf("[[build]]\nname = %q\nlocation = %q\n", n.name, n.location)
	if len(cfg.Builds) > 0 {
		b = cfg.Builds[len(cfg.Builds)-1]
	}
	if n.source != "" {
		entry += fmt.Sprintf("source = %q\n", n.source)
		if b.Source, err = filepath.Abs(n.source); err != nil {
			return "", "", false, fmt.Errorf("find source: %w", err)
		}
	}
	if b.Source == "" {
		return "", "", false, usage(errors.New("the file has no build yet whose source could be used: name a folder with --source"))
	}
	b.Name = n.name
	path = b.SettingsFile()
	module := strings.TrimSuffix(b.SettingsModule(), ".deploy_"+n.name)
	text := fmt.Sprintf(settingsTemplate, n.name, module, rand.Text()+rand.Text(), n.location)
	// The folder may be somebody else's, who may exchange it: all is done in the one that was opened.
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return "", "", false, fmt.Errorf("write settings: %w", err)
	}
	defer dir.Close() // has no error that matters
	f, err := dir.OpenFile(filepath.Base(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if errors.Is(err, fs.ErrExist) {
		info, err := dir.Lstat(filepath.Base(path))
		if err == nil && info.Mode().IsRegular() && n.add {
			return path, entry, true, nil
		}
		return "", "", false, fmt.Errorf("%s exists and is left alone: `medctrl-supervisor new %s --add` adds the entry to %s, or choose another name", path, n.name, file)
	}
	if err != nil {
		return "", "", false, fmt.Errorf("write settings: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o640), giveToBuild(dir, f, b), f.Close()); err != nil {
		dir.Remove(filepath.Base(path)) // half of it
		return "", "", false, fmt.Errorf("write settings: %w", err)
	}
	return path, entry, false, nil
}

// giveToBuild has the user of a build read a file that is written by root, and whoever owns the folder
// edit it.
func giveToBuild(dir *os.Root, f *os.File, b config.Build) error {
	if os.Geteuid() != 0 {
		return nil
	}
	as, err := config.IdentityOf(b)
	if err != nil {
		return err
	}
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	owner := -1
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(stat.Uid)
	}
	return f.Chown(owner, as.GID)
}

// addEntry adds an entry at the end of a file, all or nothing. The rest of the file stays as it is,
// with its comments.
func addEntry(file, entry string) error {
	target, err := filepath.EvalSymlinks(file)
	if err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	text = append(bytes.TrimRight(text, "\n"), "\n\n"+entry...)
	if _, err := config.Try(file, text); err != nil {
		return fmt.Errorf("the file would not be valid with the new build and was not changed: %w", err)
	}
	draft, err := os.CreateTemp(filepath.Dir(target), ".builds-*.toml") // in the same folder: it is renamed
	if err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	defer os.Remove(draft.Name()) // after a rename there is nothing to remove
	_, err = draft.Write(text)
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = errors.Join(err, draft.Chown(int(stat.Uid), int(stat.Gid))) // whose it is may go on editing it
	}
	if err = errors.Join(err, draft.Chmod(info.Mode().Perm()), draft.Sync(), draft.Close()); err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	if err := os.Rename(draft.Name(), target); err != nil {
		return fmt.Errorf("add build: %w", err)
	}
	return nil
}
