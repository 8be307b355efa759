package build

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// Inspection is what an attempt would work with, for who tries beforehand whether it can. It changes
// nothing.
type Inspection struct {
	As       config.Identity
	Env      []string // of the steps, without what belongs to one attempt
	Releases []Release

	job *job
}

// Inspect looks at a build that lives below root. own is our own environment, as os.Environ has it.
func Inspect(root string, b config.Build, own []string) (*Inspection, error) {
	j := &job{b: b, dir: folderOf(root, b.Name)}
	var err error
	if j.as, err = config.IdentityOf(b); err != nil {
		return nil, err
	}
	if j.env, err = environ(b, own, j.as); err != nil {
		return nil, err
	}
	j.reads = inputs.InstallReads(b, j.dir.Data(), j.env)
	if j.all, err = List(root, b.Name); err != nil {
		return nil, err
	}
	if newest := len(j.all) - 1; newest >= 0 {
		j.id, j.temp, j.venv = j.all[newest].ID, j.all[newest].Dir, j.all[newest].Venv
		j.interpreter = j.all[newest].Interpreter
	}
	return &Inspection{As: j.as, Env: j.env, Releases: j.all, job: j}, nil
}

// Gunicorn returns an error where the build needs gunicorn and its requirements do not list it. It is
// not sure where a release shows that another package brings it along. python is the build's
// interpreter, whose own packages count with system_site_packages; without it they are taken to have
// gunicorn.
func (i *Inspection) Gunicorn(python *Interpreter) (missing error, sure bool) {
	installed := []string{"gunicorn"}
	if python != nil {
		installed = python.installed()
	}
	return i.job.gunicornMissing(installed)
}

// Indexes is where an installation looks for packages.
func (i *Inspection) Indexes() inputs.Indexes { return i.job.reads.Indexes() }

// Command is a command that runs as the build's user, in its environment.
func (i *Inspection) Command(argv ...string) Command {
	b := i.job.b
	c := Command{Argv: argv, Env: i.Env, Dir: "/", User: credential(i.As), Umask: b.Umask,
		NewPrivs: !b.NoNewPrivs, Capable: !b.NoNewPrivs || i.As.Capable}
	if c.Box = i.job.box(&Box{Read: i.job.reads.Paths()}); c.Box != nil {
		c.Env = withCache(c.Env, i.job.dir)
	}
	return c
}

// InRelease is Command for what runs the application of the newest release, of which there must be
// one: argv are arguments for its interpreter.
func (i *Inspection) InRelease(argv ...string) Command {
	c := i.Command(append([]string{i.job.venvPython()}, argv...)...)
	c.Env = append(i.job.stepEnv(), i.job.applicationEnv()...)
	if c.Box = i.job.box(nil); c.Box != nil {
		c.Env = withCache(c.Env, i.job.dir)
	}
	c.Dir = i.job.workingDir()
	return c
}

// App is the application in the newest release.
func (i *Inspection) App() string { return i.job.app() }

// SettingsChanged says whether the build's settings file is another one by now than that of the newest
// release, of which there must be one.
func (i *Inspection) SettingsChanged() bool {
	b := i.job.b
	now, err := inputs.ReadText(inputs.Anywhere, b.SettingsFile())
	then, terr := inputs.ReadText(inputs.Anywhere, filepath.Join(i.App(), b.SettingsDir, filepath.Base(b.SettingsFile())))
	return err == nil && terr == nil && !bytes.Equal(now, then)
}

// Conceal takes the passwords out of a text that the build's steps are given.
func (i *Inspection) Conceal(text string) string { return conceal(text, i.job.secrets()) }

// Interpreter asks the build's interpreter what it is, as an attempt does.
func (m *Maker) Interpreter(ctx context.Context, i *Inspection) (Interpreter, error) {
	python, err := m.interpreters.look(ctx, i.job.b.Python, i.Env, i.As)
	if err == nil {
		i.job.interpreter = python.Folders
	}
	return python, err
}

// Program returns where a build finds a program that one of its commands names: by its path, or on the
// PATH of env.
func Program(name string, env []string) (string, error) { return lookPath(name, env) }

// usualSize is what an application and its environment may take, where there is none to measure.
const (
	usualBytes  = 200 << 20
	usualInodes = 10_000
)

// Size is how much room a release takes with its environment.
type Size struct{ Bytes, Inodes uint64 }

// Needs returns what another release in another environment would take: as much as the newest.
func (i *Inspection) Needs(ctx context.Context) Size {
	if len(i.Releases) == 0 {
		return Size{usualBytes, usualInodes}
	}
	var size Size
	for _, dir := range []string{i.job.temp, i.job.venv} {
		// What cannot be looked at is left out of an estimate.
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return fs.SkipAll
			}
			if err != nil {
				return nil
			}
			size.Inodes++
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				size.Bytes += uint64(info.Size())
			}
			return nil
		})
	}
	return size
}

// Room returns how much room there is for root, which need not be there yet.
func Room(root string) (Size, error) {
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err != nil && dir != filepath.Dir(dir) {
			continue
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(dir, &fs); err != nil {
			return Size{}, &os.PathError{Op: "statfs", Path: dir, Err: err}
		}
		if fs.Files == 0 {
			fs.Ffree = 1 << 62 // a file system that makes them as they are needed
		}
		return Size{fs.Bavail * uint64(fs.Bsize), fs.Ffree}, nil
	}
}

// StaticRoot returns the build's STATIC_ROOT where its settings write it out, so that it is known
// without running them; otherwise, or where the build collects no static files, "".
func (i *Inspection) StaticRoot() string {
	if !i.job.b.CollectStatic {
		return ""
	}
	return inputs.WrittenStaticRoot(i.job.b)
}

// Placeholders returns the template's placeholders that the build's settings have from other modules
// of the application. Those in the settings file itself config.CheckSettings finds.
func (i *Inspection) Placeholders() config.Errors { return inputs.Placeholders(i.job.b) }
