package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// interpreters remembers what interpreters said of themselves.
type interpreters struct {
	mu   sync.Mutex
	said map[string]interpreter // by path, size and time
}

// interpreter is a Python and the pip that can install for it.
type interpreter struct {
	path    string   // what it calls itself: behind a shim of pyenv, the real one
	version string   // sys.version, with the build's date
	pip     []string // what stands before "install"; {venv} is filled in; nil: none
	sites   []string // where packages are that system_site_packages lets be seen
}

// askPython prints what an interpreter is and how pip can be had: its own (22.3 or
// later) by the script that pip's --python runs in the other environment, which
// saves starting pip twice, or by that option; or the wheel that venv would unpack
// (Debian keeps it apart from ensurepip).
const askPython = `
import glob, json, os, site, sys
pip = ""
try:
    import pip as own
    if tuple(int(x) for x in own.__version__.split(".")[:2]) >= (22, 3):
        runner = os.path.join(os.path.dirname(own.__file__), "__pip-runner__.py")
        pip = runner if os.path.isfile(runner) else "own"
except Exception:
    pass
if not pip:
    wheels = glob.glob("/usr/share/python-wheels/pip-*.whl")
    try:
        import ensurepip
        wheels += glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
    except ImportError:
        pass
    pip = max(wheels) if wheels else ""
print(json.dumps({"path": sys.executable, "version": sys.version.replace("\n", " "), "pip": pip, "sites": site.getsitepackages()}))
`

// askLimit is how long an interpreter may take to answer.
const askLimit = 30 * time.Second

// look answers what is known of the interpreter that a build names.
func (p *interpreters) look(ctx context.Context, name string, env []string, as config.Identity) (interpreter, error) {
	path, err := lookPath(name, env)
	if err != nil {
		return interpreter{}, fmt.Errorf("find interpreter %q: %w; install it (apt install python3) or set python", name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return interpreter{}, fmt.Errorf("look at interpreter: %w", err)
	}
	key := fmt.Sprintf("%s %d %d %d", path, info.Size(), info.ModTime().UnixNano(), as.UID)
	p.mu.Lock()
	known, ok := p.said[key]
	p.mu.Unlock()
	if ok {
		return known, nil
	}
	known, err = ask(ctx, path, env, as) // unlocked: one that hangs holds up no other build
	if err != nil {
		return interpreter{}, fmt.Errorf("ask interpreter %s for its version: %w", path, err)
	}
	if !isScript(path) { // a shim, which may lead to another one tomorrow
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.said == nil {
			p.said = map[string]interpreter{}
		}
		p.said[key] = known
	}
	return known, nil
}

// ask runs the interpreter, as the build's user: it may be one of theirs.
func ask(ctx context.Context, path string, env []string, as config.Identity) (interpreter, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askLimit, fmt.Errorf("no answer after %v", askLimit))
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-c", askPython)
	cmd.Dir, cmd.Env = "/", env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential(as)}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // not yet waited for
	cmd.WaitDelay = time.Second                                                          // a grandchild may hold the pipes
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return interpreter{}, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := bytes.Split(bytes.TrimSpace(exit.Stderr), []byte("\n"))
		return interpreter{}, fmt.Errorf("%w: %s", err, printable(string(lines[len(lines)-1])))
	}
	if err != nil {
		return interpreter{}, err
	}
	var said struct {
		Path, Version, Pip string
		Sites              []string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return interpreter{}, fmt.Errorf("it answered %.100q: %w", out, err)
	}
	known := interpreter{path: said.Path, version: said.Version, sites: said.Sites}
	if known.path == "" {
		known.path = path
	}
	switch {
	case said.Pip == "own":
		known.pip = []string{known.path, "-m", "pip", "--python", "{venv}/bin/python"}
	case strings.HasSuffix(said.Pip, ".py"):
		known.pip = []string{"{venv}/bin/python", said.Pip}
	case said.Pip != "":
		known.pip = []string{"{venv}/bin/python", said.Pip + "/pip"}
	}
	return known, nil
}

// installed answers the names and versions of the packages that the interpreter
// has itself, as the names of their metadata say: cheap enough for each look.
func (p interpreter) installed() []string {
	var all []string
	for _, dir := range p.sites {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // there is none
		}
		for _, e := range entries {
			if ext := filepath.Ext(e.Name()); ext == ".dist-info" || ext == ".egg-info" {
				all = append(all, e.Name())
			}
		}
	}
	slices.Sort(all)
	return all
}

func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, 2)
	n, _ := f.Read(start) // less is no script
	return string(start[:n]) == "#!"
}

// lookPath finds a program on the PATH of an environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	path := envValue(env, "PATH")
	for _, dir := range filepath.SplitList(path) {
		if full, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(full) {
			return full, nil
		}
	}
	return "", exec.ErrNotFound
}

func envValue(env []string, name string) string {
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
