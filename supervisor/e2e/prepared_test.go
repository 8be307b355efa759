package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// environments are those of the tiny project, made once by the binary itself: pip takes longer than
// all the rest of a first build, and tests of what it does make their own.
var (
	emptyEnvironment = sync.OnceValues(func() (string, error) { return environmentOf("") })
	ownEnvironment   = sync.OnceValues(func() (string, error) { return environmentOf(ownRequirements()) })
	ownRequirements  = sync.OnceValue(func() string { return readAll("testdata/project/requirements.txt") })
)

// environmentOf returns the folder of the environments of a build that has these requirements.
func environmentOf(requirements string) (string, error) {
	program, err := build()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(binDir, "")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "app"), os.DirFS("testdata/project")); err != nil {
		return "", err
	}
	text := fmt.Sprintf("root = \"root\"\n[defaults]\nsource = \"app\"\npython = %q\nsystem_site_packages = true\ncheck = false\nmigrate = false\n%s",
		python, One(`command = ["{python}", "-I", "-S", "tiny_server.py"]`))
	for name, text := range map[string]string{"builds.toml": text, "app/requirements.txt": requirements} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	cmd := exec.Command(program, "-c", "builds.toml")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	log := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := StartBound(cmd); err != nil {
		return "", err
	}
	made := false
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for limit := time.Now().Add(4 * time.Minute); !made && time.Now().Before(limit); <-again.C {
		_, err := os.Stat(filepath.Join(dir, "root", "one", "current"))
		made = err == nil
	}
	err = cmd.Process.Signal(syscall.SIGTERM)
	if wrong := cmd.Wait(); err != nil || wrong != nil || !made {
		return "", fmt.Errorf("make an environment for the tests: %v, %v: %s", err, wrong, log)
	}
	venvs := filepath.Join(dir, "root", "one", "venvs")
	return venvs, quickMaster(venvs)
}

// quickPkgResources is pkg_resources once something of it is used.
const quickPkgResources = `import os, sys

def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    here = os.path.dirname(__file__)
    sys.path.remove(here)
    del sys.modules[__name__]
    import pkg_resources
    sys.path.append(here)
    return getattr(pkg_resources, name)
`

// quickMaster spares the masters of gunicorn 20 most of their start: it imports pkg_resources, for
// servers that are named by an egg, which looks at every package of this machine.
func quickMaster(venvs string) error {
	sites, err := filepath.Glob(filepath.Join(venvs, "*", "lib", "python3*", "site-packages"))
	for _, dir := range sites {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "pkg_resources.py"), []byte(quickPkgResources), 0o644)
		}
	}
	return err
}

var buildName = regexp.MustCompile(`(?m)^name = "(.*)"$`)

// prepare gives the builds of a world their environment, unless one is there already, or has to be
// made because the test is about that, or because it belongs to another user.
func (w *World) prepare() {
	w.t.Helper()
	if !w.Prepared || strings.Contains(w.Config(), "user =") {
		return
	}
	environment := emptyEnvironment
	switch readAll(filepath.Join(w.Source, "requirements.txt")) {
	case "":
	case ownRequirements():
		environment = ownEnvironment
	default:
		return
	}
	from, err := environment()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, found := range buildName.FindAllStringSubmatch(w.Builds, -1) {
		to := filepath.Join(w.Root, found[1], "venvs")
		if _, err := os.Lstat(filepath.Join(w.Root, found[1])); err == nil {
			continue
		}
		err := os.MkdirAll(to, 0o755)
		if err == nil {
			err = os.CopyFS(to, os.DirFS(from))
		}
		if err == nil {
			err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.Type() == fs.ModeSymlink {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				return os.Chmod(filepath.Join(to, strings.TrimPrefix(path, from)), info.Mode().Perm())
			})
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}
