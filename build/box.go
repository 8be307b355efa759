package build

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Box is what a command may reach whose build has a sandbox, in addition to the system. Whoever
// starts the command makes the sandbox.
type Box struct {
	Read, Write   []string
	Private       []string  // is out of reach, unless Read or Write name it; without links on the way
	Connect, Bind *[]uint16 // TCP ports; nil: all
	As            config.Identity
	Run           string // the build's folder for what is made for a start: TMPDIR, if it lies there, may be written
}

// BoxOf returns the box of a build that lives in dir and runs as as; nil where it has no sandbox.
// braces are what its paths may begin with, interpreter the folders of its Python.
func BoxOf(b config.Build, dir layout.Build, as config.Identity, braces config.Braces, interpreter []string) *Box {
	if !b.Sandbox.Enabled {
		return nil
	}
	box := &Box{
		Read: []string{dir.Run()}, Write: []string{dir.Data()}, Private: privateOf(b), As: as, Run: dir.Run(),
		Connect: b.Sandbox.Connect.TCP(), Bind: b.Sandbox.Bind.TCP(),
	}
	for _, path := range []string{braces.Release, braces.Venv} {
		if path != "" {
			box.Read = append(box.Read, path)
		}
	}
	box.Read = append(box.Read, interpreter...)
	for _, path := range filled(braces, b.Sandbox.Read) {
		if !isWritten(path, box.Write) {
			box.Read = append(box.Read, path)
		}
	}
	for _, path := range filled(braces, b.Sandbox.Write) {
		if !isWritten(path, box.Write) {
			box.Write = append(box.Write, path)
		}
	}
	return box
}

// filled fills in the braces of paths, and leaves out those that begin with one that stands for
// nothing here.
func filled(braces config.Braces, paths []string) (all []string) {
	for _, path := range paths {
		first, _, _ := strings.Cut(path, "/")
		if first == "" || braces.Fill(first)[0] != "" {
			all = append(all, braces.Fill(path)...)
		}
	}
	return all
}

// isWritten says whether a path lies in a folder that may be written, and so is within reach already.
// As a path of its own it could be made a link to anywhere by who writes there.
func isWritten(path string, written []string) bool {
	return slices.ContainsFunc(written, func(dir string) bool { return inputs.IsWithin(path, dir) })
}

// privateOf is what no box of the build opens: files of the supervisor and of other builds, and the
// source, which has the settings of all builds.
func privateOf(b config.Build) []string {
	return append(slices.Clip(b.Private), inputs.ResolvedAsFar(b.Source))
}

// withCache is env in a box: pip and uv keep what they have downloaded where they may.
func withCache(env []string, dir layout.Build) []string {
	for _, name := range []string{"PIP_CACHE_DIR", "UV_CACHE_DIR"} {
		if inputs.EnvValue(env, name) == "" {
			env = append(slices.Clip(env), name+"="+dir.Cache())
		}
	}
	return env
}

// makeCache makes the folder for that. It may have been another user's.
func (j *job) makeCache() error {
	if !j.b.Sandbox.Enabled {
		return nil
	}
	if os.Geteuid() == 0 {
		if err := give(context.Background(), j.dir.Cache(), ownerOfAll(j.as)); err != nil {
			return err
		}
	}
	return MakeFolder(j.dir.Cache(), 0o700, j.as.UID, j.as.GID)
}

// interpreterFolders returns where the Python of an environment lies with its library: what it has
// said, but for the root of the file system. Of an environment that was made before it was asked, it
// is what the link to it says.
func interpreterFolders(said []string, venv string) []string {
	if len(said) == 0 && venv != "" {
		program, err := filepath.EvalSymlinks(filepath.Join(venv, "bin", "python"))
		if bin := filepath.Dir(program); err == nil && filepath.Base(bin) == "bin" && strings.HasPrefix(filepath.Base(program), "python") {
			said = []string{filepath.Dir(bin)}
		}
	}
	return slices.DeleteFunc(slices.Clone(said), func(dir string) bool {
		return !filepath.IsAbs(dir) || filepath.Clean(dir) == "/"
	})
}

// ServerBox returns the box of what runs a release; nil where the build has no sandbox.
func (r Release) ServerBox(b config.Build, dir layout.Build, as config.Identity, braces config.Braces) *Box {
	return BoxOf(b, dir, as, braces, interpreterFolders(r.Interpreter, r.Venv))
}

// HookBox returns the box of a hook, which may read every release of its build.
func HookBox(b config.Build, dir layout.Build, as config.Identity) *Box {
	if !b.Sandbox.Enabled {
		return nil
	}
	readable := []string{dir.Releases(), dir.Venvs()}
	if releases, err := List(filepath.Dir(dir.Dir()), b.Name); err == nil { // else there are none
		for _, r := range releases {
			readable = append(readable, interpreterFolders(r.Interpreter, r.Venv)...)
		}
	}
	return BoxOf(b, dir, as, config.Braces{Data: dir.Data()}, readable)
}

// box returns the box of a command of the attempt, and what it may reach besides.
func (j *job) box(more *Box) *Box {
	box := BoxOf(j.b, j.dir, j.as, j.braces(), interpreterFolders(j.interpreter, j.venv))
	if box == nil {
		return nil
	}
	if isUnfinished(j.temp) {
		// Where its user may: what steps compile is part of the release.
		box.Write = append(box.Write, j.app(), layout.Release(j.temp).Static())
	}
	if more != nil {
		box.Read, box.Write = append(box.Read, more.Read...), append(box.Write, more.Write...)
		box.Connect = more.Connect
	}
	return box
}

// makeStaticFolder makes the folder for static files before anything runs in a box: what is made
// later is no part of that.
func (j *job) makeStaticFolder() error {
	if !j.b.Sandbox.Enabled || !j.b.CollectStatic || !isUnfinished(j.temp) {
		return nil
	}
	return MakeFolder(layout.Release(j.temp).Static(), 0o750, j.as.UID, j.as.GID)
}

// isUnfinished says whether a folder is that of an attempt.
func isUnfinished(dir string) bool { return strings.HasPrefix(filepath.Base(dir), tempPrefix) }

// installBox is what an installation reaches besides: what it reads, the environment that it makes
// and the copies of local projects in which it builds, and any index.
func (j *job) installBox() *Box {
	return &Box{
		Read:  append(slices.Clip(j.reads.Paths()), j.reads.Folders...),
		Write: []string{j.venv, filepath.Join(j.temp, copiesFolder), j.dir.Cache()},
	}
}

// compileBox is that of what compiles as ourselves: the code that it reads is the application's.
func (j *job) compileBox() *Box {
	if !j.b.Sandbox.Enabled {
		return nil
	}
	return &Box{
		Read: interpreterFolders(j.interpreter, j.venv), Write: []string{j.app()}, Private: privateOf(j.b),
		Connect: &[]uint16{}, Bind: &[]uint16{}, As: config.Identity{UID: -1, GID: -1},
	}
}

// shared are the folders to which links of the application may lead: what the entry lists, and the build's
// own data, which every release of it has.
func (j *job) shared() []string {
	return append(filled(config.Braces{Data: j.dir.Data()}, j.b.Sandbox.Write), j.dir.Data())
}
