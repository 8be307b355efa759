package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/kubernetes"
)

func exportCommand(file *string, version string) *cobra.Command {
	c := &cobra.Command{
		Use:   "export",
		Short: "Write what runs the builds elsewhere",
		Long: `Write what runs the builds of the file on Kubernetes, or the variables that a
Secret there has to have. Nothing is changed, here or on a cluster.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(errors.New("export needs to know what: `export kubernetes` or `export env NAME`"))
			}
			return usage(fmt.Errorf("export knows kubernetes and env, not %q%s", args[0], config.Near(args[0], []string{"kubernetes", "env"})))
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has returned an error
	}
	c.AddCommand(exportKubernetesCommand(file, version), exportEnvCommand(file))
	return c
}

func exportKubernetesCommand(file *string, version string) *cobra.Command {
	o := kubernetes.Options{Hide: supervisor.Secrets(), Program: programImage(version)}
	var ingress, data, steps, out string
	var containerfile, force bool
	c := &cobra.Command{
		Use:   "kubernetes --image IMAGE:TAG [NAME...]",
		Short: "Print Kubernetes manifests and a Containerfile for builds",
		Long: `Print the manifests that run builds on Kubernetes, those that are named or all:
for each a Job that migrates, a Deployment with a supervisor as the first process
of its pods, a Service, a PodDisruptionBudget, an HTTPRoute with the prefix taken
off, a volume for data, a Deployment for each process and a CronJob for each
schedule. They pass the cluster's level "restricted".

The image holds the sources, a file for each build and the releases, made when it
is: a start of a pod costs gunicorn's boot. --out writes a kustomize base, with
the Containerfile and these files; it replaces only what it has written itself.

No value that may be a secret is written, and a build whose command has one is
refused. Pods take them from a Secret, by name: the command that makes it stands
at the head. What has no counterpart on a cluster stands there too, and goes to
standard error.`,
		Example: `  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --out k8s
  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --replicas 3 production
  medctrl-supervisor export kubernetes --image registry.example/medctrl:r1 --containerfile
  medctrl-supervisor export env production | kubectl -n medctrl create secret generic production-env --from-env-file=/dev/stdin`,
		ValidArgsFunction: completeBuilds(file),
		RunE: func(cmd *cobra.Command, names []string) error {
			switch ingress {
			case "", "nginx":
				o.Ingress = ingress != ""
			default:
				return usage(fmt.Errorf("--ingress %q: want nginx, or leave it out for an HTTPRoute", ingress))
			}
			if o.Data = data; data == "none" {
				o.Data = ""
			}
			o.StepsIn = kubernetes.StepsIn(steps)
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			made, err := kubernetes.New(cfg, names, o)
			if err != nil {
				return err
			}
			for _, said := range made.Said {
				fmt.Fprintln(cmd.ErrOrStderr(), said)
			}
			switch {
			case out != "":
				return writeBase(cmd.OutOrStdout(), out, made.Files, force)
			case containerfile:
				_, err = io.WriteString(cmd.OutOrStdout(), made.Containerfile)
				return err
			}
			text, err := made.YAML()
			if err == nil {
				_, err = io.WriteString(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&o.Image, "image", "", "the `IMAGE` of the builds, with a tag of its own for each release")
	f.StringVar(&o.Release, "release", "", "what the release is called in the names of its Jobs (default: the\nimage's tag)")
	f.StringVarP(&o.Namespace, "namespace", "n", "medctrl", "the `NAMESPACE` of all objects")
	f.IntVar(&o.Replicas, "replicas", 2, "`PODS` of each build")
	f.BoolVar(&o.Plain, "plain", false, "gunicorn alone in the pods, without a supervisor")
	f.StringVar(&ingress, "ingress", "", "an Ingress for the controller `nginx` in place of an HTTPRoute")
	f.StringVar(&o.Gateway, "gateway", "gateway/web", "the Gateway of HTTPRoutes, [`NAMESPACE/]NAME`")
	f.StringArrayVar(&o.Hosts, "host", nil, "the `HOST` of routes; may be repeated (default: any)")
	f.StringVar(&data, "data", "1Gi", "the `SIZE` of each build's volume of data, or none")
	f.StringVar(&steps, "steps", string(kubernetes.StepsInJob), "where [build.steps] run: `job` or image")
	f.StringVar(&out, "out", "", "write a kustomize base, with all that the image is made of, to `DIR`")
	f.BoolVar(&force, "force", false, "with --out: replace files that are not from here, too")
	f.BoolVar(&containerfile, "containerfile", false, "print the Containerfile")
	must(c.MarkFlagDirname("out"))
	c.MarkFlagsMutuallyExclusive("out", "containerfile")
	completeValues(c, "ingress", "nginx")
	completeValues(c, "steps", "job", "image")
	for _, name := range []string{"image", "release", "namespace", "gateway", "host", "data", "replicas"} {
		completeValues(c, name)
	}
	return c
}

func exportEnvCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "env NAME",
		Short: "Print the variables of a build that a Secret has to have",
		Long: `Print the variables of a build that "export kubernetes" does not write: those of
env_file, those of pass_env as far as they are in this environment, and those of
env that look like secrets. Each is a line NAME=VALUE without quotes, as kubectl
reads it. The values are secrets: send them on, and keep them in no file.`,
		Example:           `  medctrl-supervisor export env production | kubectl -n medctrl create secret generic production-env --from-env-file=/dev/stdin`,
		ValidArgsFunction: completeBuilds(file),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(errors.New("export env needs the name of one build: `export env NAME`"))
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
			text, missing, err := kubernetes.Secret(entry, os.Environ(), supervisor.Secrets())
			if err != nil {
				return err
			}
			if len(missing) > 0 { // before anything is written, which would make half a Secret
				return fmt.Errorf("build %s: variables of pass_env are not in this environment: %s", entry.Name, strings.Join(missing, ", "))
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
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
