package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// third is build "three": a source that an attacker may write, built as the user of build one.
type third struct {
	*arena
	source string
}

func (a *arena) third() third {
	a.t.Helper()
	s := third{a, filepath.Join(a.Dir, "app3")}
	if _, err := os.Lstat(s.source); err == nil {
		return s
	}
	err := errors.Join(
		os.CopyFS(s.source, os.DirFS("testdata/project")),
		os.Rename(s.path("API/api_settings/settings/deploy_two.py"), s.path("API/api_settings/settings/deploy_three.py")),
		os.WriteFile(s.path("API/api_settings/settings/deploy_neighbour.py"), []byte("PASSWORD = 1\n"), 0o644),
	)
	if err != nil {
		a.t.Fatal(err)
	}
	a.adds(Entry("three", `source = "app3"`, `user = "medctrl-one"`, `group = "medctrl-one"`, `socket_group = "medctrl-web"`,
		`pip_args = ["--no-index", "--no-build-isolation"]`, `step_timeout = "60s"`))
	a.WaitState("three", "running")
	return s
}

func (s third) path(name string) string { return filepath.Join(s.source, name) }

// rebuilt builds it and returns what is said of that, with what the build printed.
func (s third) rebuilt() string {
	begun := time.Now()
	out, said, code := s.CLI("rebuild", "three")
	printed, _, _ := s.CLI("logs", "--build", "three")
	if took := time.Since(begun); took > 90*time.Second {
		return fmt.Sprintf("it took %v", took)
	}
	return fmt.Sprintf("exit code %d\n%s%s%s", code, out, said, printed)
}

// with builds it while a path of the source is as make leaves it, then puts that back.
func (s third) with(name string, make func(path string) error) string {
	path := s.path(name)
	text, before := os.ReadFile(path)
	if before == nil {
		if err := os.Remove(path); err != nil {
			return err.Error()
		}
	}
	if err := make(path); err != nil {
		return err.Error()
	}
	said := s.rebuilt()
	if err := os.RemoveAll(path); err != nil {
		return err.Error()
	}
	if before == nil {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err.Error()
		}
	}
	if name != "requirements.txt" {
		if err := os.WriteFile(s.path("requirements.txt"), []byte(ownRequirements()), 0o644); err != nil {
			return err.Error()
		}
	}
	return said
}

// released returns the path of a file in the release that serves.
func (s third) released(name string) string { return filepath.Join(s.Root, "three/current", name) }

func attemptsOfSuppliers() []attempt {
	has := func(what, name string, make func(a *arena) func(string) error, refused string) attempt {
		return attempt{by: supplier, what: what, refused: refused, try: func(a *arena) string { return a.third().with(name, make(a)) }}
	}
	plain := func(make func(string) error) func(*arena) func(string) error {
		return func(*arena) func(string) error { return make }
	}
	endless := func(path string) error {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(4<<40), f.Close())
	}
	const failed = `^exit code 1\n(?s).*`
	const settings = "API/api_settings/settings/deploy_three.py"
	return []attempt{
		has("writes settings without end", settings, plain(endless), failed+`at most`),
		has("writes requirements without end", "requirements.txt", plain(endless), failed+`at most`),
		has("has a FIFO in the place of settings", settings, plain(func(path string) error { return syscall.Mkfifo(path, 0o644) }), failed+`deploy_three\.py is a named pipe`),
		has("has a FIFO in the place of requirements", "requirements.txt", plain(func(path string) error { return syscall.Mkfifo(path, 0o644) }), failed+`not a regular file`),
		has("has a device in the application", "API/device", plain(func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o666, 1<<8|3) }), failed+`API/device`),
		has("links to a file of root from the application", "API/shadow", plain(func(path string) error { return os.Symlink("/etc/shadow", path) }), `not in the release, because user 65101.* may not read it in the source: shadow`),
		has("links to a file of root from the settings", settings, plain(func(path string) error { return os.Symlink("/etc/shadow", path) }), failed+`deploy_three\.py`),
		{by: supplier, what: "has a secret printed as a requirement", refused: `^exit code 1\n`, try: func(a *arena) string {
			said := a.third().with("requirements.txt", func(path string) error { return os.Symlink(filepath.Join(a.Dir, "two.env"), path) })
			if strings.Contains(said, a.secret) {
				return "the secret is told: " + said
			}
			return said
		}},
		has("names a package without end", "requirements.txt", func(a *arena) func(string) error {
			return func(path string) error {
				return errors.Join(endless(filepath.Join(filepath.Dir(path), "huge-1.0-py3-none-any.whl")), os.WriteFile(path, []byte("./huge-1.0-py3-none-any.whl\n"), 0o644))
			}
		}, failed+`huge-1\.0-py3-none-any\.whl`),
		{by: supplier, what: "has a file of root's copied for others to read", refused: `^(is not in the release|exit code 1)`, try: func(a *arena) string {
			s := a.third()
			said := s.with("API/root_only", func(path string) error { return os.WriteFile(path, []byte(a.secret), 0o600) })
			if strings.HasPrefix(said, "exit code 1") {
				return said
			}
			if _, err := os.Lstat(s.released("API/root_only")); errors.Is(err, fs.ErrNotExist) {
				return "is not in the release"
			}
			return asUser(a.one, "/usr/bin/cat", s.released("API/root_only"))
		}},
		{by: supplier, what: "has other builds' settings in its release", refused: nothing, try: func(a *arena) string {
			s := a.third()
			if said := s.rebuilt(); !strings.HasPrefix(said, "exit code 0") {
				return said
			}
			if _, err := os.Lstat(s.released(settings)); err != nil {
				return err.Error()
			}
			if _, err := os.Lstat(s.released("API/api_settings/settings/deploy_neighbour.py")); !errors.Is(err, fs.ErrNotExist) {
				return "the settings of another build are there"
			}
			return "nothing"
		}},
		{by: supplier, what: "has a set-user-ID program in its release", refused: nothing, try: func(a *arena) string {
			s := a.third()
			said := s.with("API/tool", func(path string) error {
				return errors.Join(os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755), os.Chmod(path, 0o755|os.ModeSetuid|os.ModeSetgid))
			})
			if !strings.HasPrefix(said, "exit code 0") {
				return said
			}
			info, err := os.Lstat(s.released("API/tool"))
			if err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
				return fmt.Sprint(info.Mode(), err)
			}
			return "nothing"
		}},
		{by: supplier, what: "says that a failed environment is complete", refused: `^exit code 1\n`, try: func(a *arena) string {
			s := a.third()
			return s.with("evil", func(path string) error {
				err := errors.Join(os.Mkdir(path, 0o755),
					os.WriteFile(filepath.Join(path, "setup.py"), []byte(`
import os, sys, setuptools
for folder in {sys.prefix, os.environ.get("VIRTUAL_ENV", sys.prefix)}:
    open(os.path.join(folder, ".medctrl-complete"), "w").write("complete")
if "egg_info" not in sys.argv[1:]: sys.exit("evil has failed")
setuptools.setup(name="evil", version="1.0")
`), 0o644),
					os.WriteFile(s.path("requirements.txt"), []byte("./evil\n"), 0o644))
				if err != nil {
					return err
				}
				s.rebuilt() // with, and once more with what it has left
				return nil
			})
		}},
		{by: supplier, what: "leaves a daemon of a package", refused: nothing, try: func(a *arena) string {
			s := a.third()
			s.with("daemon", func(path string) error {
				return errors.Join(os.Mkdir(path, 0o755),
					os.WriteFile(filepath.Join(path, "setup.py"), []byte(`
import subprocess, setuptools
subprocess.Popen(["sleep", "614"], env={}, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
setuptools.setup(name="daemon", version="1.0")
`), 0o644),
					os.WriteFile(s.path("requirements.txt"), []byte("./daemon\n"), 0o644))
			})
			return running("sleep 614")
		}},
		{by: supplier, what: "names a file like an option of what compiles it", refused: nothing, try: func(a *arena) string {
			victim, list := filepath.Join(a.Dir, "victim"), filepath.Join(a.Dir, "list.py")
			err := errors.Join(os.Mkdir(victim, 0o700), os.WriteFile(filepath.Join(victim, "m.py"), []byte("A = 1\n"), 0o600),
				os.WriteFile(list, []byte(filepath.Join(victim, "m.py")+"\n"), 0o644))
			if err != nil {
				return err.Error()
			}
			s := a.third()
			said := s.with("API/-i", func(path string) error { // API/-i/DIR/list.py
				return errors.Join(os.MkdirAll(path+a.Dir, 0o755), os.WriteFile(path+list, []byte("A = 2\n"), 0o644))
			})
			if !strings.HasPrefix(said, "exit code 0") {
				return said
			}
			if _, err := os.Lstat(filepath.Join(victim, "__pycache__")); !errors.Is(err, fs.ErrNotExist) {
				return "a file of root's was compiled"
			}
			return "nothing"
		}},
		{by: supplier, what: "has a file of root's read as requirements", refused: `^exit code 1\n`, try: func(a *arena) string {
			s := a.third()
			said := s.with("beside", func(path string) error {
				return errors.Join(os.Mkdir(path, 0o755), os.WriteFile(filepath.Join(path, "setup.py"), []byte("import setuptools\nsetuptools.setup(name=\"beside\", version=\"1.0\")\n"), 0o644),
					os.WriteFile(s.path("requirements.txt"), []byte("./beside\n-r "+filepath.Join(a.Dir, "two.env")+"\n"), 0o644))
			})
			if strings.Contains(said, a.secret) {
				return "the secret is told: " + said
			}
			return said
		}},
		{by: ownCode, what: "makes its env_file a link to that of another build", refused: `^exit code 1\n`, try: func(a *arena) string {
			s, file := a.third(), filepath.Join(a.Dir, "own", "three.env")
			err := errors.Join(os.Mkdir(filepath.Dir(file), 0o755), os.Chown(filepath.Dir(file), int(a.one.Uid), int(a.one.Gid)),
				os.Symlink(filepath.Join(a.Dir, "two.env"), file))
			if err != nil {
				return err.Error()
			}
			before := a.Config()
			a.SetBuilds(a.Builds, "env_file = \"own/three.env\"\n")
			defer func() {
				if err := os.WriteFile(a.File, []byte(before), 0o644); err != nil {
					a.t.Error(err)
				}
			}()
			_, said, code := s.CLI("reload")
			if environ := readAll(fmt.Sprintf("/proc/%d/environ", a.pid("three"))); strings.Contains(environ, a.secret) {
				return "it has the secret"
			}
			return fmt.Sprintf("exit code %d\n%s", code, said)
		}},
		{by: supplier, what: "has the password of an index told", refused: nothing, try: func(a *arena) string {
			s := a.third()
			said := s.with("requirements.txt", func(path string) error {
				return os.WriteFile(path, []byte("--extra-index-url http://deploy:TOLD-SECRET@127.0.0.1:1/simple\nno-such-package-of-medctrl==1\n"), 0o644)
			})
			status, _, _ := s.CLI("status", "--json")
			if all := said + status + s.Log(); strings.Contains(all, "TOLD-SECRET") || !strings.HasPrefix(said, "exit code 1") {
				return all
			}
			return "nothing"
		}},
	}
}
