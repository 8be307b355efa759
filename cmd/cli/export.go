package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
	"github.com/medctrl/medctrl-supervisor/supervisor/kubernetes"
)

func exportCommand(file *string, version string) *cobra.Command {
	o := exportOptions{Options: kubernetes.Options{Program: programImage(version)}}
	c := &cobra.Command{
		Use:   "export kubernetes|env [NAME...]",
		Short: "Print what runs builds on Kubernetes",
		Long: `Print the manifests that run builds on Kubernetes ("export kubernetes"), those
that are named or all: for each a Job that migrates, a Deployment with a
supervisor as the first process of its pods, a Service, a PodDisruptionBudget, an
HTTPRoute with the prefix taken off, a volume for data, a Deployment for each
process and a CronJob for each schedule. They pass the level "restricted".

The image holds the sources, a file for each build and the releases, which are
made with it: a start of a pod costs gunicorn's boot. --out writes a kustomize
base with the Containerfile and these files; it replaces only what was written by
this command.

No value that may be a secret is written, and a build whose command has one is
refused. Pods take them from a Secret, by name: "export env NAME" prints what
that has to have, a line NAME=VALUE each, without quotes, as kubectl reads it:
the variables of env_file, of pass_env (from this environment), and what of env
looks like a secret. Send that on, and keep it in no file.

What has no counterpart on a cluster, or needs a hand, stands at the head of what
is printed, and goes to standard error. Nothing is changed, here or there. The
exit code is 0, and 1 with the reason where a build cannot be exported.`,
		Example: `  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --out k8s
  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --replicas 3 production
  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --containerfile
  medctrl-supervisor export env production`,
		ValidArgsFunction: func(cmd *cobra.Command, given []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(given) == 0 {
				return exportKinds, cobra.ShellCompDirectiveNoFileComp
			}
			return completeBuilds(file)(cmd, given[1:], typed)
		},
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(errors.New("export needs to know what: `export kubernetes` or `export env NAME`"))
			case args[0] == "env" && len(args) != 2:
				return usage(errors.New("export env needs the name of one build: `export env NAME`"))
			case !slices.Contains(exportKinds, args[0]):
				return usage(fmt.Errorf("export knows kubernetes and env, not %q%s", args[0], config.Near(args[0], exportKinds)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "env" {
				return exportEnv(cmd, *file, args[1])
			}
			return o.kubernetes(cmd, *file, args[1:])
		},
	}
	f := c.Flags()
	f.StringVar(&o.Image, "image", "", "the `IMAGE` of the builds, with a tag of its own for each release")
	f.StringVar(&o.Release, "release", "", "the `NAME` of the release, for its Jobs (default: the image's tag)")
	f.StringVar(&o.Namespace, "namespace", "medctrl", "the `NAMESPACE` of all objects")
	f.IntVar(&o.Replicas, "replicas", 2, "how many `PODS` each build has")
	f.BoolVar(&o.Plain, "plain", false, "gunicorn alone in the pods, without a supervisor")
	f.StringVar(&o.ingress, "ingress", "", "an Ingress in place of an HTTPRoute, for the `CONTROLLER` nginx")
	f.StringVar(&o.Gateway, "gateway", "gateway/web", "the `GATEWAY` of routes, [NAMESPACE/]NAME")
	f.StringArrayVar(&o.Hosts, "host", nil, "a `HOST` of the routes; may be repeated (default: any)")
	f.StringVar(&o.data, "data", "1Gi", "the `SIZE` of each build's volume of data, or none")
	f.StringVar(&o.steps, "steps", string(kubernetes.StepsInJob), "`WHERE` [build.steps] run: job or image")
	f.StringVar(&o.out, "out", "", "write a kustomize base, with what the image is made of, to `DIR`")
	f.BoolVar(&o.force, "force", false, "with --out: replace other files, too")
	f.BoolVar(&o.containerfile, "containerfile", false, "print the Containerfile alone")
	must(c.MarkFlagDirname("out"))
	completeValues(c, "ingress", "nginx")
	completeValues(c, "steps", "job", "image")
	for _, name := range []string{"image", "release", "namespace", "gateway", "host", "data", "replicas"} {
		completeValues(c, name)
	}
	return c
}

var exportKinds = []string{"kubernetes", "env"}

// exportOptions are the flags of export.
type exportOptions struct {
	kubernetes.Options
	ingress, data, steps, out string
	containerfile, force      bool
}

func (o exportOptions) kubernetes(cmd *cobra.Command, file string, names []string) error {
	o.Ingress, o.StepsIn = o.ingress != "", kubernetes.StepsIn(o.steps)
	if o.Data = o.data; o.data == "none" {
		o.Data = ""
	}
	switch {
	case o.ingress != "" && o.ingress != "nginx":
		return usage(fmt.Errorf("--ingress %q: want nginx, or leave it out for an HTTPRoute", o.ingress))
	case o.containerfile && o.out != "":
		return usage(errors.New("--out writes the Containerfile too: leave out --containerfile"))
	case o.force && o.out == "":
		return usage(errors.New("--force goes with --out"))
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	made, err := kubernetes.New(cfg, names, o.Options)
	var wrong *kubernetes.OptionError
	if errors.As(err, &wrong) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	for _, said := range made.Said {
		fmt.Fprintln(cmd.ErrOrStderr(), said)
	}
	text := made.Containerfile
	switch {
	case o.out != "":
		return writeBase(cmd.OutOrStdout(), o.out, made.Files, o.force)
	case !o.containerfile:
		if text, err = made.YAML(); err != nil {
			return err
		}
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text)
	return err
}

func exportEnv(cmd *cobra.Command, file, name string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	entry, err := entryOf(cfg, file, name)
	if err != nil {
		return err
	}
	text, missing, err := kubernetes.Secret(entry, os.Environ())
	if err != nil {
		return err
	}
	if len(missing) > 0 { // before anything is written, which would make half a Secret
		return fmt.Errorf("build %s: variables of pass_env are not in this environment: %s", entry.Name, strings.Join(missing, ", "))
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text)
	return err
}

var releaseVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// programImage is the image of this version's release, or of the newest.
func programImage(version string) string {
	if !releaseVersion.MatchString(version) {
		version = "latest"
	}
	return "ghcr.io/medctrl/medctrl-supervisor:" + version
}

// mostFile is how much of a file is looked at for who wrote it.
const mostFile = 4 << 20

// writeBase writes files into a folder, which it makes. Where one is there that was not written by
// us, nothing is written, unless that is forced.
func writeBase(say io.Writer, dir string, files []kubernetes.File, force bool) error {
	var foreign []string
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		switch _, err := os.Lstat(path); {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		if text, err := untrusted.ReadFile(path, mostFile); !force && (err != nil || !strings.HasPrefix(string(text), kubernetes.Marker)) {
			foreign = append(foreign, path)
		}
	}
	if len(foreign) > 0 {
		return fmt.Errorf("nothing was written: there are files that are not from here: %s; move them away, or replace them by --force", strings.Join(foreign, ", "))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // there is no secret in it
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		temp := path + ".new"
		err := os.WriteFile(temp, []byte(f.Text), 0o644) //nolint:gosec // as above
		if err == nil {
			err = os.Rename(temp, path)
		}
		if err != nil {
			return errors.Join(err, os.Remove(temp))
		}
		fmt.Fprintln(say, path)
	}
	return nil
}
