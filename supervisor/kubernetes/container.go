package kubernetes

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// sources are the folders that the builds are made of, in their order, and what each is called as a
// context of the image's build.
func (w *writer) sources() (folders []string, called map[string]string) {
	called = map[string]string{}
	for _, b := range w.builds {
		if called[b.Source] == "" {
			folders = append(folders, b.Source)
			called[b.Source] = "source"
		}
	}
	if len(folders) > 1 {
		for i, folder := range folders {
			called[folder] = fmt.Sprintf("source%d", i+1)
		}
	}
	return folders, called
}

// buildCommand makes the image, from the folder that has the Containerfile.
func (w *writer) buildCommand() string {
	folders, called := w.sources()
	all := []string{"docker", "build", "-f", "Containerfile"}
	for _, folder := range folders {
		all = append(all, "--build-context", shell(called[folder]+"="+folder))
	}
	return strings.Join(append(all, "-t", w.Image, "."), " ")
}

// shell quotes a word for a shell, where that is needed.
func shell(word string) string {
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-") == "" && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// jsonList writes words as an instruction of a Containerfile takes them.
func jsonList(words ...string) string {
	text, err := json.Marshal(words)
	if err != nil {
		panic(fmt.Sprintf("kubernetes: words of a Containerfile: %v", err)) // they are texts
	}
	return string(text)
}

// base is the image that has the builds' interpreter, and what that needs to be installed.
func (w *writer) base() (image, packages string) {
	minor := debianPython(w.builds[0].Python)
	for _, b := range w.builds[1:] {
		if debianPython(b.Python) != minor {
			w.say(b, "python: the image is made for %s of %s: export builds of another interpreter by their names, for an image of their own", w.builds[0].Python, w.builds[0].Name)
		}
	}
	if minor != "" && !strings.Contains(w.builds[0].Python, "/") {
		return "docker.io/library/python:3." + minor + "-slim-bookworm", ""
	}
	if minor != "" && minor != "11" {
		w.say(w.builds[0], "python: Debian 12 has 3.11, and no %s: take another image as BASE", w.builds[0].Python)
	}
	return "docker.io/library/debian:bookworm-slim", "python3 python3-venv "
}

func (w *writer) containerfile() string {
	var t strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&t, format+"\n", args...) }
	folders, called := w.sources()
	base, packages := w.base()
	line("%s: an image with all builds and their releases. Make it in this folder,", Marker)
	line("# with another tag for each release:")
	line("#   %s", oneLine(w.buildCommand()))
	line("# What a .dockerignore in a source names stays out; .git and files with passwords should.")
	line("ARG SUPERVISOR=%s", w.Program)
	line("ARG BASE=%s", base)
	line("FROM ${SUPERVISOR} AS supervisor")
	line("")
	line("FROM ${BASE}")
	line("# PACKAGES are Debian's that the builds need: libraries and compilers for what pip installs, with system_site_packages Django too.")
	line(`ARG PACKAGES=""`)
	line("RUN apt-get update && apt-get install -y --no-install-recommends %sca-certificates ${PACKAGES} && rm -rf /var/lib/apt/lists/*", packages)
	line("COPY --from=supervisor /usr/bin/medctrl-supervisor /usr/local/bin/")
	for _, folder := range folders {
		line("COPY --from=%s --chown=%d:%d %s", called[folder], uid, uid, jsonList(".", folder+"/"))
	}
	var files []string
	for _, b := range w.builds {
		files = append(files, b.Name+".toml")
	}
	line("COPY %s", jsonList(append(files, configDir+"/")...))
	line("# Whoever serves a release has to be able to read it: the pods run as this user. /data is where their volume will be.")
	line("RUN useradd --uid %d --user-group --no-create-home --home-dir /tmp medctrl && install -d -o %d -g %d %s %s", uid, uid, uid, prebuiltDir, dataDir)
	line("USER %d:%d", uid, uid)
	for _, b := range w.builds {
		dir := path.Join(prebuiltDir, b.Name)
		stand := ""
		if b.CollectStatic || w.StepsIn == StepsInImage {
			for _, name := range b.secret {
				stand += name + "=stand-in "
			}
		}
		if stand != "" {
			line("# collectstatic and steps read the settings, and those may want what the Secret has: these stand in for it here.")
		}
		line("RUN install -d %s && ln -s %s %s/data && %smedctrl-supervisor -c %s build %s --root %s", dir, dataDir, dir, stand, b.file(), b.Name, prebuiltDir)
	}
	line(`ENTRYPOINT ["medctrl-supervisor"]`)
	return t.String()
}

// head is what stands before all manifests.
func (w *writer) head(said []string) string {
	var t strings.Builder
	line := func(format string, args ...any) {
		fmt.Fprintf(&t, "%s\n", strings.TrimRight(oneLine(fmt.Sprintf(format, args...)), " "))
	}
	var ids []string
	for _, b := range w.builds {
		ids = append(ids, "deploy/"+b.id)
	}
	line("%s from %s (%d of its builds).", Marker, path.Base(w.config.Path), len(w.builds))
	line("# Image: %s, made by the Containerfile that --out DIR writes too. Each release has a tag of its own (or better a", w.Image)
	line("# digest): an edit without a new name changes nothing that runs, and `rollout undo` needs the old one.")
	line("#   %s", w.buildCommand())
	if slices.ContainsFunc(w.builds, func(b *build) bool { return len(b.secret) > 0 }) {
		line("# Nothing secret is in here. Once, and again when a value changes, for each build that has variables which may be secret:")
		for _, b := range w.builds {
			if len(b.secret) > 0 {
				line("#   medctrl-supervisor -c %s export env %s | kubectl -n %s create secret generic %s --from-env-file=/dev/stdin --dry-run=client -o yaml | kubectl apply -f -", shell(w.config.Path), b.Name, w.Namespace, b.secretName())
				line("#     (%s)", strings.Join(b.secret, ", "))
			}
		}
		line("# Pods take a changed Secret at their next start: kubectl -n %s rollout restart %s", w.Namespace, strings.Join(ids, " "))
	}
	line("# Settings, and env of builds.toml as far as it is not secret, are in the image: they are code, and go with a release.")
	if len(said) > 0 {
		line("#")
		line("# What has no counterpart here, or needs a hand:")
		for _, one := range said {
			line("#   %s", one)
		}
	}
	return t.String()
}

// namespace is that of all objects; nil where it is there anyway.
func (w *writer) namespace() *node {
	if w.Namespace == "default" {
		return nil
	}
	return obj("apiVersion", "v1", "kind", "Namespace", "metadata", obj("name", w.Namespace, "labels",
		note(row("pod-security.kubernetes.io/enforce", "restricted"), "what `user` does on a host; all below passes it")))
}
