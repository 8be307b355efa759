package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/medctrl/medctrl-supervisor/config"
)

// completeFile is written last into an environment; one without it is half.
const completeFile = ".medctrl-complete"

// withGunicorn is what completeFile holds where gunicorn can be imported.
const withGunicorn = "gunicorn\n"

var venvID = regexp.MustCompile(`^[0-9a-f]{16}$`)

func complete(venv string) bool {
	_, err := os.Stat(filepath.Join(venv, completeFile))
	return err == nil
}

func hasGunicorn(venv string) bool {
	text, err := os.ReadFile(filepath.Join(venv, completeFile))
	return err == nil && string(text) == withGunicorn
}

// interpreters remembers what interpreters said of themselves.
type interpreters struct {
	mu   sync.Mutex
	said map[string]interpreter // by path, size and time
}

// interpreter is a Python and the pip that can install for it.
type interpreter struct {
	path    string
	version string   // sys.version, with the build's date
	pip     []string // what stands before "install"; {venv} is filled in; nil: none
}

// askPython prints the version, then how pip can be had: own (22.3 or later
// can install into another environment, pip's --python), or the wheel that venv
// would unpack (Debian keeps it apart from ensurepip).
const askPython = `
import sys, glob, os
print(sys.version.replace("\n", " "))
try:
    import pip
    major, minor = (int(x) for x in pip.__version__.split(".")[:2])
    if (major, minor) >= (22, 3):
        print("own")
        sys.exit()
except Exception:
    pass
wheels = glob.glob("/usr/share/python-wheels/pip-*.whl")
try:
    import ensurepip
    wheels += glob.glob(os.path.join(os.path.dirname(ensurepip.__file__), "_bundled", "pip-*.whl"))
except ImportError:
    pass
print(sorted(wheels)[-1] if wheels else "none")
`

// look answers what is known of the interpreter that a build names.
func (p *interpreters) look(ctx context.Context, name string, env []string) (interpreter, error) {
	path, err := lookPath(name, env)
	if err != nil {
		return interpreter{}, fmt.Errorf("find interpreter %q: %w; install it (apt install python3) or set python", name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return interpreter{}, fmt.Errorf("look at interpreter: %w", err)
	}
	key := fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.said[key]; ok {
		return known, nil
	}
	cmd := exec.CommandContext(ctx, path, "-I", "-c", askPython)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("ask interpreter %s for its version: %w", path, err)
	}
	version, pip, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	known := interpreter{path: path, version: version}
	switch {
	case pip == "own":
		known.pip = []string{path, "-m", "pip", "--python", "{venv}/bin/python"}
	case strings.HasSuffix(pip, ".whl"):
		known.pip = []string{"{venv}/bin/python", pip + "/pip"}
	}
	if p.said == nil {
		p.said = map[string]interpreter{}
	}
	p.said[key] = known
	return known, nil
}

// lookPath finds a program on the PATH of an environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return exec.LookPath(name)
	}
	for _, entry := range env {
		path, ok := strings.CutPrefix(entry, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			if full, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(full) {
				return full, nil
			}
		}
	}
	return "", exec.ErrNotFound
}

// environmentID stands for an environment: whatever has the same needs no
// other. What the distribution installs meanwhile does not count, also where
// the environment sees it: an upgrade of Debian is not a release of yours.
func environmentID(p interpreter, requirements string, b config.Build) string {
	h := sha256.New()
	fmt.Fprintf(h, "environment 1\n%s\n%s\n%s\n%q\n%v\n", p.path, p.version, requirements, b.PipArgs, b.SystemSitePackages)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// makeEnvironment makes the environment's folder, in its final place: one
// cannot be moved.
func (j *job) makeEnvironment(ctx context.Context) error {
	if err := os.RemoveAll(j.venv); err != nil { // half of one
		return err
	}
	parent := filepath.Dir(j.venv)
	if err := makeFolder(parent, 0o750, -1, j.as.GID); err != nil {
		return err
	}
	if err := makeFolder(j.venv, 0o750, j.as.UID, j.as.GID); err != nil {
		return err
	}
	argv := []string{j.python.path, "-m", "venv", "--without-pip"}
	if j.b.SystemSitePackages {
		argv = append(argv, "--system-site-packages")
	}
	if err := j.exec(ctx, command{argv: append(argv, j.venv), dir: j.venv}); err != nil {
		return fmt.Errorf("%w; where the module venv is missing: apt install python3-venv", err)
	}
	return nil
}

// install installs the requirements and marks the environment complete.
func (j *job) install(ctx context.Context) error {
	if j.python.pip == nil {
		return fmt.Errorf("there is no pip for %s: apt install python3-pip, or python3-venv", j.python.path)
	}
	argv := make([]string, 0, 16)
	for _, arg := range j.python.pip {
		argv = append(argv, strings.ReplaceAll(arg, "{venv}", j.venv))
	}
	argv = append(argv, "install", "--no-input", "--disable-pip-version-check", "--no-warn-script-location",
		"-r", j.b.RequirementsFile())
	argv = append(argv, j.b.PipArgs...)
	if err := j.exec(ctx, command{argv: argv, dir: j.b.Source}); err != nil {
		return err
	}
	mark := ""
	if j.exec(ctx, command{argv: []string{j.venv + "/bin/python", "-c", "import gunicorn"}, dir: j.venv}) == nil {
		mark = withGunicorn
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := seal(j.venv, j.as.GID); err != nil {
		return err
	}
	if err := syncTree(j.venv); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(j.venv, completeFile), []byte(mark), 0o640); err != nil {
		return fmt.Errorf("mark environment complete: %w", err)
	}
	return syncTree(filepath.Dir(j.venv))
}

// needGunicorn refuses an environment in which nothing could serve.
func (j *job) needGunicorn() error {
	if len(j.b.Command) > 0 || hasGunicorn(j.venv) {
		return nil
	}
	return errors.New("gunicorn cannot be imported in the environment: add a line «gunicorn» to " + j.b.RequirementsFile() + ", or set command")
}
