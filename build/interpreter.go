package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// Interpreters is what interpreters said of themselves, by what they were asked and their program's
// path, size and time. A Maker of the same machine may begin with what another one has found out.
type Interpreters map[string]Interpreter

// Interpreter is a Python and the pip that can install for it.
type Interpreter struct {
	Path    string   // what it calls itself: behind a shim of pyenv, the real one
	Version string   // sys.version, with the build's date
	Pip     []string // what stands before "install"; {venv} is filled in; nil: none
	Sites   []string // where packages are that system_site_packages lets be seen
	Folders []string // where it lies, with its library
}

// interpreters remembers what interpreters said.
type interpreters struct {
	runner Runner
	mu     sync.Mutex
	said   Interpreters
	asking map[string]*answer
}

// answer is what an interpreter is being asked for: a thousand builds that start together ask their
// one Python once.
type answer struct {
	done  chan struct{} // closed when the rest is there
	known Interpreter
	err   error
}

// Interpreters returns what is known of interpreters so far.
func (m *Maker) Interpreters() Interpreters {
	m.interpreters.mu.Lock()
	defer m.interpreters.mu.Unlock()
	return maps.Clone(m.interpreters.said)
}

// askPython prints what an interpreter is and how pip can be had: its own (22.3 or later) by the
// script that pip's --python runs in the other environment, which saves starting pip twice, or by
// that option; or the wheel that venv would unpack (Debian keeps it apart from ensurepip).
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
folders = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))}
folders |= {os.path.realpath(folder) for folder in folders}
print(json.dumps({"path": sys.executable, "version": sys.version.replace("\n", " "), "pip": pip, "sites": site.getsitepackages(), "folders": sorted(folders)}))
`

// askLimit is how long an interpreter may take to answer.
const askLimit = 30 * time.Second

// look returns what is known of the interpreter that a build names.
func (p *interpreters) look(ctx context.Context, name string, env []string, as config.Identity) (Interpreter, error) {
	path, err := lookPath(name, env)
	if err != nil {
		return Interpreter{}, fmt.Errorf("find interpreter %q: %w; install it (apt install python3) or set python", name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Interpreter{}, fmt.Errorf("look at interpreter: %w", err)
	}
	key := fmt.Sprintf("%08x %s %d %d %d", question(), path, info.Size(), info.ModTime().UnixNano(), as.UID)
	for {
		p.mu.Lock()
		if known, ok := p.said[key]; ok && known.lasts() {
			p.mu.Unlock()
			return known, nil
		}
		a, awaited := p.asking[key]
		if !awaited {
			a = &answer{done: make(chan struct{})}
			if p.asking == nil {
				p.asking = map[string]*answer{}
			}
			p.asking[key] = a
		}
		p.mu.Unlock()
		if !awaited { // unlocked: one that hangs holds up no build that names another
			a.known, a.err = p.ask(ctx, path, env, as)
			p.answered(key, path, a)
		}
		select {
		case <-a.done:
		case <-ctx.Done():
			return Interpreter{}, context.Cause(ctx)
		}
		switch {
		case awaited && (errors.Is(a.err, context.Canceled) || errors.Is(a.err, context.DeadlineExceeded)):
			continue // whose build has been given up
		case a.err != nil && MayNotExecute(path, as) != nil:
			return Interpreter{}, MayNotExecute(path, as)
		case a.err != nil:
			return Interpreter{}, fmt.Errorf("ask interpreter %s for its version: %w", path, a.err)
		}
		return a.known, nil
	}
}

// answered passes an answer on to everybody who waits for it.
func (p *interpreters) answered(key, path string, a *answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a.err == nil && a.known.lasts() && !isScript(path) { // a shim may lead to another one tomorrow
		if p.said == nil {
			p.said = Interpreters{}
		}
		p.said[key] = a.known
	}
	delete(p.asking, key)
	close(a.done)
}

// question tells askPython apart from what other versions of this program ask.
var question = sync.OnceValue(func() uint32 { return crc32.ChecksumIEEE([]byte(askPython)) })

// lasts says whether what is known holds on: a pip that was missing may be installed at any time,
// and one that was there be removed.
func (p Interpreter) lasts() bool {
	if len(p.Pip) < 2 {
		return false
	}
	file, _, inWheel := strings.Cut(p.Pip[1], ".whl/")
	if inWheel {
		file += ".whl"
	}
	if !filepath.IsAbs(file) { // "-m"
		return true
	}
	_, err := os.Stat(file)
	return err == nil
}

// ask runs the interpreter, as the build's user: it may be one of theirs. It is in no sandbox, which
// can only be made once it is known where the interpreter lies; nothing of the build runs here.
func (p *interpreters) ask(ctx context.Context, path string, env []string, as config.Identity) (Interpreter, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askLimit, fmt.Errorf("no answer after %v", askLimit))
	defer cancel()
	out, err := memoryFile("interpreter's answer")
	if err != nil {
		return Interpreter{}, err
	}
	defer out.Close() // it is in memory: nothing is lost
	complaint, err := memoryFile("interpreter's complaint")
	if err != nil {
		return Interpreter{}, err
	}
	defer complaint.Close()
	// Without a mark: no Tidy would look for it.
	asked, err := p.runner.Start(Command{
		Argv: []string{path, "-I", "-c", askPython}, Dir: "/", Env: env, User: credential(as), Umask: 0o022, Capable: as.Capable,
		Stdout: out, Stderr: complaint,
	})
	if err != nil {
		return Interpreter{}, err
	}
	if err := asked.Wait(ctx, 0); err != nil {
		if lines := tail(complaint, 0); len(lines) > 0 && ctx.Err() == nil {
			err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
		}
		return Interpreter{}, err
	}
	var said struct {
		Path, Version, Pip string
		Sites, Folders     []string
	}
	const most = 1 << 20
	text, err := io.ReadAll(io.NewSectionReader(out, 0, most))
	if err != nil {
		return Interpreter{}, err
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return Interpreter{}, fmt.Errorf("it printed %.100q: %w", text, err)
	}
	known := Interpreter{Path: said.Path, Version: said.Version, Sites: said.Sites, Folders: said.Folders}
	if known.Path == "" {
		known.Path = path
	}
	switch {
	case said.Pip == "own":
		known.Pip = []string{known.Path, "-m", "pip", "--python", "{venv}/bin/python"}
	case strings.HasSuffix(said.Pip, ".py"):
		known.Pip = []string{"{venv}/bin/python", said.Pip}
	case said.Pip != "":
		known.Pip = []string{"{venv}/bin/python", said.Pip + "/pip"}
	}
	return known, nil
}

// memoryFile makes a file without a name that is gone when it is closed.
func memoryFile(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", os.NewSyscallError("memfd_create", err))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// installed returns the names and versions of the packages that the interpreter has itself, as the
// names of their metadata say: cheap enough for each look.
func (p Interpreter) installed() []string {
	var all []string
	for _, dir := range p.Sites {
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
	f, err := untrusted.Open(path)
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
	path := inputs.EnvValue(env, "PATH")
	for _, dir := range filepath.SplitList(path) {
		if full, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(full) {
			return full, nil
		}
	}
	return "", exec.ErrNotFound
}
