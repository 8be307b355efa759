package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

const programName = "medctrl-supervisor"

// TestMain lets the test's own program be the one that it tests, under its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == programName {
		main()
	}
	os.Exit(m.Run())
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
	dir, err := os.MkdirTemp("", "cli-") // a short path: a socket comes into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &desk{t: t, dir: dir, file: filepath.Join(dir, "builds.toml"), bin: filepath.Join(dir, "bin")}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.WriteFile(d.file, []byte("root = \"root\"\n"), 0o644), os.Mkdir(d.bin, 0o755),
		os.Symlink(self, filepath.Join(d.bin, programName)))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) socket() string { return supervisor.ControlSocket(filepath.Join(d.dir, "root")) }

// env has no more than the commands should need, and spares us the second that the
// race detector waits for at the end of a program.
func (d *desk) env() []string {
	return []string{"PATH=" + d.bin + ":" + os.Getenv("PATH"), "HOME=" + d.dir, "LANG=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
}

// run gives a command, with -c before it.
func (d *desk) run(args ...string) (out, errOut string, code int) {
	d.t.Helper()
	return d.give(exec.Command(filepath.Join(d.bin, programName), append([]string{"-c", d.file}, args...)...))
}

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

// serve has a supervisor of two builds answer at the desk, until the test's end.
func (d *desk) serve() {
	d.t.Helper()
	ln, err := control.Listen(d.socket())
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := backend{file: d.file}
	var done sync.WaitGroup
	done.Go(func() { control.Serve(ctx, ln, b, control.NewMetrics("1.0", b), hclog.NewNullLogger()) })
	d.t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// backend is a supervisor in which nothing happens. What is not here no test asks
// for.
type backend struct {
	control.Backend
	file string
}

func (b backend) Status(bool) control.Status {
	return control.Status{Version: "1.0", Pid: 1, Started: time.Now(), Config: control.ConfigStatus{Path: b.file}, Builds: []control.BuildStatus{
		{Name: "development", State: "running", Release: "20260103T000000-cccccc",
			Releases: []string{"20260101T000000-aaaaaa", "20260102T000000-bbbbbb", "20260103T000000-cccccc"}},
		{Name: "testing", State: "running", Release: "20260105T000000-eeeeee", Releases: []string{"20260104T000000-dddddd", "20260105T000000-eeeeee"}},
	}}
}

func (b backend) Detail(name string) (control.BuildDetail, error) {
	for _, s := range b.Status(true).Builds {
		if s.Name == name {
			return control.BuildDetail{Status: s}, nil
		}
	}
	return control.BuildDetail{}, control.ErrNoBuild
}

func (backend) Act(context.Context, string, string, map[string]string, func(string)) error {
	return nil
}

func (backend) Events() *control.Feed {
	f := control.NewFeed(nil)
	for _, build := range []string{"removed", "testing"} {
		f.Add(control.Event{Time: time.Now(), Build: build, Event: "exited"})
	}
	return f
}

func (backend) Usage(context.Context) []control.Usage { return nil }
func (backend) FrontCounts() control.FrontCounts      { return control.FrontCounts{} }

// commands are all that a user is told of.
func commands() []*cobra.Command {
	var all []*cobra.Command
	for _, c := range rootCommand().Commands() {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}
