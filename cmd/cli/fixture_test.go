package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/supervisor"
)

const programName = "medctrl-supervisor"

// TestMain makes the test's own program the one that is tested, under its name: for shells, other
// users and signals.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == programName {
		os.Exit(Run(context.Background(), "test", os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(runAll(m))
}

// runAll runs the tests with a folder of their own for what supervisors remember.
func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "cli-state-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("XDG_STATE_HOME", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// desk is a folder with a builds.toml and the program, where commands are given.
type desk struct {
	t         *testing.T
	dir, file string
	bin       string // the folder of the program
}

// newDesk has the supervisor's root in its file, and no build.
func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("", "cli-") // a short path: that of a socket begins with it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &desk{t: t, dir: dir, file: filepath.Join(dir, "builds.toml"), bin: filepath.Join(dir, "bin")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d.write("builds.toml", "root = \"root\"\n")
	if err := errors.Join(os.Mkdir(d.bin, 0o755), os.Symlink(self, filepath.Join(d.bin, programName))); err != nil {
		t.Fatal(err)
	}
	return d
}

// newSite is a desk with an application whose settings are those of the build development, which
// the file lists.
func newSite(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	for name, text := range map[string]string{"src/API/manage.py": "", "src/requirements.txt": "gunicorn\n",
		"src/API/api_settings/settings/deploy_development.py": "SECRET_KEY = 'x'\n", "bin/python3": "#!/bin/sh\n"} {
		d.write(name, text)
	}
	if err := os.Chmod(filepath.Join(d.dir, "bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.write("builds.toml", `root = "root"

[defaults] # a comment that stays
source = "src"
python = "bin/python3"

[[build]]
name = "development"
location = "/api"
`)
	return d
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

func (d *desk) socket() string { return supervisor.ControlSocket(filepath.Join(d.dir, "root")) }

// run gives a command, with -c in front.
func (d *desk) run(args ...string) (out, errOut string, code int) {
	d.t.Helper()
	var o, e bytes.Buffer
	code = d.runIn(d.t.Context(), strings.NewReader(""), &o, &e, args...)
	return o.String(), e.String(), code
}

func (d *desk) runIn(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args ...string) int {
	return Run(ctx, "test", append([]string{"-c", d.file}, args...), stdin, stdout, stderr)
}

// start gives a command that goes on until the test is done with it. end ends it and returns its
// exit code, which it also does where the command has ended by itself.
func (d *desk) start(args ...string) (out *transcript, end func() int) {
	ctx, cancel := context.WithCancel(d.t.Context())
	out = newTranscript(d.t)
	code := make(chan int, 1)
	go func() { code <- d.runIn(ctx, strings.NewReader(""), out, out, args...) }()
	return out, func() int {
		cancel()
		return <-code
	}
}

// give runs a program at the desk.
func (d *desk) give(cmd *exec.Cmd) (out, errOut string, code int) {
	d.t.Helper()
	var o, e bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, &o, &e
	if cmd.Env == nil {
		cmd.Env = d.env()
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// env has no more than the commands should need, and saves the second that the race detector waits
// for at the end of a program.
func (d *desk) env() []string {
	return []string{"PATH=" + d.bin + ":" + os.Getenv("PATH"), "HOME=" + d.dir, "XDG_STATE_HOME=" + os.Getenv("XDG_STATE_HOME"), "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0",
		"GOCOVERDIR=" + os.Getenv("GOCOVERDIR")} // where go test measures, a program without it says so
}

// commands returns all that a user is told of.
func commands() []*cobra.Command {
	var all []*cobra.Command
	for _, c := range Root("test").Commands() {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}
