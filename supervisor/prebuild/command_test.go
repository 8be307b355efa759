package prebuild

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// TestMain has the test's own program run a command of a release, as the program does: that changes its
// umask and limits, and takes its place.
func TestMain(m *testing.M) {
	if how := os.Getenv("PREBUILD_HOW"); how != "" {
		code, err := helper(how, os.Args[1], os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func helper(how, root string, argv []string) (code int, err error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)
	entry := entryOf(root)
	if how == "limited" {
		entry.Limits.Nofile = 1 << 30 // more than a kernel has
	}
	c, err := NewCommand(root, entry, argv, os.Environ())
	switch {
	case err != nil:
		return 0, err
	case how == "attend":
		return c.Attend(signals, syscall.SIGINT)
	}
	return 0, c.Exec()
}

const releaseID = "20261127T090001-1a2b3c"

func entryOf(root string) config.Build {
	return config.Build{
		Name: "one", Source: filepath.Join(root, "src"), AppDir: "API", SettingsDir: "api_settings/settings", WorkingDir: config.InApp, Umask: 0o027, NoNewPrivs: true,
		PassEnv: []string{"PASSED"}, Limits: config.Limits{Nofile: 64},
	}
}

// newRoot is a folder with a release of the build one, whose python prints what it is given.
func newRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "one")
	for name, text := range map[string]string{
		"releases/" + releaseID + "/release.json":  `{"id": "` + releaseID + `", "hash": "x", "venv": "0123456789abcdef"}`,
		"releases/" + releaseID + "/API/manage.py": "", "releases/" + releaseID + "/API/broken": "#!/nowhere/interpreter\n",
		"venvs/0123456789abcdef/.medctrl-complete": "gunicorn\n",
		"venvs/0123456789abcdef/bin/python":        "#!/bin/sh\necho python \"$@\" \"$PASSED\" \"$OTHER\" \"$MEDCTRL_RELEASE\"\n",
		"venvs/0123456789abcdef/bin/tool":          "#!/bin/sh\necho tool in $(basename $PWD), $(umask), $(ulimit -n), $(ulimit -c)\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("releases/"+releaseID, filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestACommandRunsAsAServerOfTheReleaseWould(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(root, "one", "releases", releaseID, "API")
	for _, c := range []struct {
		how  string
		argv []string
		code int
		want string
	}{
		{"exec", []string{"manage.py", "migrate"}, 0, "python " + app + "/manage.py migrate p  " + releaseID},
		{"exec", []string{"{python}", "{app}"}, 0, "python " + app + " p  " + releaseID},
		{"exec", []string{"tool"}, 0, "tool in API, 0027, 64, 0"},
		{"exec", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"exec", []string{"sh", "-c", "kill -TERM $$"}, -1, ""},
		{"exec", []string{"./broken"}, 1, "execute " + app + "/broken: no such file or directory"},
		{"exec", []string{"no-such-program"}, 1, `no-such-program`},
		{"limited", []string{"tool"}, 1, "set limits.nofile: "},
		{"attend", []string{"tool"}, 0, "tool in API, 0027, 64, 0"},
		{"attend", []string{"sh", "-c", "exit 7"}, 7, ""},
		{"attend", []string{"sh", "-c", "kill -KILL $$"}, 128 + 9, ""},
		{"attend", []string{"./broken"}, 1, "start " + app + "/broken: no such file or directory"},
		{"attend", []string{"sh", "-c", `trap 'echo INT; exit 3' INT; trap 'echo USR1; kill -TERM $PPID' USR1; kill -USR1 $PPID; while :; do sleep 0.01; done`}, 3, "USR1\nINT"},
	} {
		cmd := exec.Command(self, append([]string{root}, c.argv...)...)
		cmd.Env = append(os.Environ(), "PREBUILD_HOW="+c.how, "PASSED=p", "OTHER=o")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // its exit code says so
		got := strings.TrimSpace(out.String())
		if code := cmd.ProcessState.ExitCode(); code != c.code || got != c.want && !(c.code == 1 && strings.Contains(got, c.want)) {
			t.Errorf("%s %q: exit %d, %q, want %d, %q", c.how, c.argv, code, got, c.code, c.want)
		}
	}
}

func TestWhatNeedsASupervisorIsRefused(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	for want, change := range map[string]func(*config.Build){
		"has a sandbox, which only a supervisor makes": func(b *config.Build) { b.Sandbox.Enabled = true },
		"look up user": func(b *config.Build) { b.User = "no such user" },
		"which `medctrl-supervisor build two --root " + root + "` makes": func(b *config.Build) { b.Name = "two" },
		"env_file": func(b *config.Build) { b.EnvFile = filepath.Join(root, "nowhere") },
	} {
		b := entryOf(root)
		change(&b)
		if c, err := NewCommand(root, b, []string{"tool"}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v, want %q", c, err, want)
		}
	}
	if os.Geteuid() == 0 {
		b := entryOf(root)
		b.User = "nobody"
		if _, err := NewCommand(root, b, []string{"tool"}, nil); err == nil || !strings.Contains(err.Error(), "runs as user nobody: without a supervisor nothing changes to it") {
			t.Errorf("%v", err)
		}
	}
	if err := os.Remove(filepath.Join(root, "one", "releases", releaseID, "release.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewCommand(root, entryOf(root), []string{"tool"}, nil); err == nil || !strings.Contains(err.Error(), "read release "+releaseID) {
		t.Errorf("%v", err)
	}
}
