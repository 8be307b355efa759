package build

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// project is a source that needs no Django: its manage.py appends what it is asked to do to
// data/did, after what the test put in front.
type project struct {
	config.Build
	root string
	m    *Maker
}

const plainManage = `
import os, subprocess, sys, time
def did(what):
    with open(os.path.join(os.environ["MEDCTRL_DATA"], "did"), "a") as f:
        f.write(what + "\n")
def on(command):
    return sys.argv[1] == command
`

// newProject makes a project and an environment for it, without pip, for which another test waits.
func newProject(t testing.TB, manage string) *project {
	t.Helper()
	p := bareProject(t, manage)
	p.environment(t)
	return p
}

// bareProject makes a project without an environment, for what only looks at it.
func bareProject(t testing.TB, manage string) *project {
	t.Helper()
	dir := t.TempDir()
	p := &project{
		Build: config.Build{
			Name: "one", Source: filepath.Join(dir, "source"), AppDir: "API", Requirements: "requirements.txt",
			SettingsDir: "api_settings/settings", Python: distribution, Command: []string{"{python}"},
			Migrate: true, Check: true, Umask: 0o027, KeepReleases: 3, StepTimeout: time.Minute,
		},
		root: filepath.Join(dir, "root"),
		m:    New(Options{Runner: newRunner(t), Environ: os.Environ(), Parallel: 2, Known: prepared(t).known}),
	}
	p.write(t, "requirements.txt", "")
	p.write(t, "API/manage.py", plainManage+manage+"\ndid(' '.join(sys.argv[1:]))\n")
	p.write(t, "API/app/views.py", "def where():\n    return where.__code__.co_filename\n")
	p.write(t, "API/app/__init__.py", "")
	p.write(t, "API/api_settings/settings/deploy_one.py", "SECRET_KEY = 'x'\n")
	return p
}

// compiles gives the project the interpreter itself, which compiles, and which other Makers find too.
func (p *project) compiles(t testing.TB) {
	t.Helper()
	p.m.interpreters.said = maps.Clone(prepared(t).compiles)
	p.environment(t)
}

// environment makes the project's environment, as one that was installed.
func (p *project) environment(t testing.TB) {
	t.Helper()
	j, err := p.m.prepare(t.Context(), p.request())
	if err == nil {
		err = j.folders()
	}
	if err == nil && usable(j.venv) {
		return
	}
	if err == nil {
		if p.SystemSitePackages {
			err = exec.Command(distribution, "-m", "venv", "--without-pip", "--system-site-packages", j.venv).Run()
		} else {
			err = os.CopyFS(j.venv, os.DirFS(prepared(t).venv))
		}
	}
	if err == nil {
		err = seal(j.venv, j.as.GID, j.as.UID)
	}
	if err == nil {
		err = writeEnvironmentRecord(j.venv, environmentRecord{Complete: true, Gunicorn: true})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// once is what the tests of a run share: an empty environment, which is copied, because to make one
// takes as long as all the rest of an attempt does, and what the interpreter says of itself.
type once struct {
	venv     string
	compiles Interpreters
	known    Interpreters // the same, of one that compiles nothing: that takes longer than the other steps
	err      error
}

// preparedIn is the folder in which TestMain lets the first test that needs it prepare once.
var preparedIn string

var prepareOnce = sync.OnceValue(func() (o once) {
	o.venv = filepath.Join(preparedIn, "venv")
	if o.err = exec.Command(distribution, "-m", "venv", "--without-pip", o.venv).Run(); o.err != nil {
		return o
	}
	activates, err := filepath.Glob(filepath.Join(o.venv, "bin", "[aA]ctivate*"))
	for _, path := range activates { // nobody does, and each copy has them
		err = errors.Join(err, os.Remove(path))
	}
	quick := filepath.Join(preparedIn, "python3")
	err = errors.Join(err, writeWhole(quick, "#!/bin/sh\ncase \"$*\" in *\"-m compileall\"*) exit ;; esac\nexec "+distribution+" \"$@\"\n", 0o755))
	if o.err = err; err != nil {
		return o
	}
	table, err := process.NewTable("", nil)
	if err != nil {
		o.err = err
		return o
	}
	defer table.Close()
	m := New(Options{Runner: tableRunner{table}})
	_, o.err = m.interpreters.look(context.Background(), distribution, os.Environ(), config.Identity{UID: -1, GID: -1})
	o.compiles, o.known = m.Interpreters(), m.Interpreters()
	for key, python := range o.known {
		python.Path = quick
		o.known[key] = python
	}
	return o
})

// prepared skips where there is no Python.
func prepared(t testing.TB) once {
	t.Helper()
	if _, err := os.Stat(distribution); err != nil {
		t.Skipf("%s is not there: apt install python3", distribution)
	}
	o := prepareOnce()
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o
}

// fakePython is an interpreter with a pip that writes what it is asked to $PIPS and does what
// $ON_PIP says. Its environments are copies, and it compiles nothing.
const fakePython = `#!/bin/sh
case "$*" in
*getsitepackages*) printf '{"path": "%s", "version": "3", "pip": "own"}' "$0"; exit ;;
*"-m pip"*) echo "$@" >>"$PIPS"; eval "$ON_PIP"; exit ;;
*"-m compileall"*) exit ;;
"-m venv --without-pip /"*) exec cp -R "$EMPTY_VENV/." "$4" ;;
esac
exec ` + distribution + ` "$@"
`

// fakePip gives the project a fakePython. pip is what its pip does.
func (p *project) fakePip(t testing.TB, pip string) {
	t.Helper()
	p.Python = filepath.Join(p.Source, "python")
	p.write(t, "python", fakePython)
	if err := os.Chmod(p.Python, 0o755); err != nil {
		t.Fatal(err)
	}
	p.Env = map[string]string{"PIPS": filepath.Join(filepath.Dir(p.root), "pips"), "ON_PIP": pip, "EMPTY_VENV": prepared(t).venv}
}

// pips returns how pip was called.
func (p *project) pips(t testing.TB) []string {
	t.Helper()
	return strings.Fields(strings.ReplaceAll(read(t, p.Env["PIPS"]), " ", "\x00"))
}

// second is another build of the same source and root.
func (p *project) second(t testing.TB) *project {
	t.Helper()
	other := *p
	other.Name, other.Env = "two", maps.Clone(p.Env)
	p.write(t, "API/api_settings/settings/deploy_two.py", "SECRET_KEY = 'y'\n")
	other.environment(t)
	p.environment(t) // the settings next to its own may count
	return &other
}

func (p *project) request() Request { return Request{Root: p.root, Build: p.Build} }

func (p *project) write(t testing.TB, rel, text string) {
	t.Helper()
	path := filepath.Join(p.Source, rel)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = writeWhole(path, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeWhole writes a file that may be a program: no process that another test starts meanwhile has
// it open for writing, which would be ETXTBSY (execve(2)).
func writeWhole(path, text string, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), mode)
}

// whileCopying is a request during whose first copy something is done.
func (p *project) whileCopying(do func()) Request {
	r, once := p.request(), sync.OnceFunc(do)
	r.Progress = func(now Progress) {
		if now.Step == "copy" {
			once()
		}
	}
	return r
}

// made makes a release that must be made.
func (p *project) made(t testing.TB) Release {
	t.Helper()
	rel, fresh, err := p.m.Make(t.Context(), p.request())
	if err != nil || !fresh {
		t.Fatalf("fresh %v, error %v", fresh, err)
	}
	return rel
}

// failed makes a release that must fail in a step.
func (p *project) failed(t testing.TB) *StepError {
	t.Helper()
	_, fresh, err := p.m.Make(t.Context(), p.request())
	var step *StepError
	if !errors.As(err, &step) || fresh {
		t.Fatalf("fresh %v, error %v: want a *StepError", fresh, err)
	}
	return step
}

func (p *project) data() string { return filepath.Join(p.root, p.Name, "data") }

func (p *project) did(t testing.TB) string {
	t.Helper()
	return read(t, filepath.Join(p.data(), "did"))
}

// background is a Make that the test waits for.
type background struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start makes a release in the background.
func (p *project) start(t testing.TB) *background {
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(b.done)
		_, _, b.err = p.m.Make(ctx, p.request())
	}()
	t.Cleanup(func() { cancel(); <-b.done })
	return b
}

func (b *background) wait() error { <-b.done; return b.err }

func (b *background) ended() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// read returns what a file holds, "" where there is none.
func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// must is for what a test needs and does not try.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clean asserts that nothing unfinished is left.
func (p *project) clean(t testing.TB) {
	t.Helper()
	left, err := leftovers(folderOf(p.root, p.Name))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	if marks, err := p.m.Runner.Running(filepath.Join(p.root, p.Name, "releases")+"/", os.Geteuid()); err != nil || len(marks) > 0 {
		t.Errorf("processes are left of %q, error %v", marks, err)
	}
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatal("waited in vain: ", what)
		case <-tick.C:
		}
	}
}

func contains(t testing.TB, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q\nis missing in\n%s", want, text)
		}
	}
}

// edit appends to a file.
func edit(t testing.TB, path, more string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Join([][]byte{text, []byte(more)}, nil), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
