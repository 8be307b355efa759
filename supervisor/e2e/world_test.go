package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// python sees the distribution's Django and gunicorn, whatever else is first on PATH.
const python = "/usr/bin/python3"

// World is the surroundings of one supervisor: a short temporary folder with builds.toml, the
// source of its builds, and its root. Change the exported fields before Start, or call WriteConfig
// after.
type World struct {
	t      testing.TB
	Dir    string
	File   string // builds.toml
	Source string // a copy of testdata/project, with settings for builds "one" and "two"
	Root   string
	Front  string // host:port, free, on a loopback address of this world's own

	Supervisor []string            // lines of [supervisor], in addition to front
	Defaults   []string            // lines of [defaults], in addition to source and python
	Builds     string              // the [[build]] entries
	Env        []string            // added to our environment for the supervisor
	Program    string              // the binary to start; Binary if empty
	StartArgs  []string            // arguments of the supervisor after its file
	Wrap       []string            // a command that executes the binary in its own place
	Without    []oldkernel.Feature // features that the kernel is to lack
	Prepared   bool                // builds have their environment, which is copied, before the first start

	cmd    *exec.Cmd
	ended  chan struct{} // closed when the supervisor that Start started has ended
	endErr error         // readable once ended is closed
}

// light has builds serve testdata/project without Django.
const light = `wsgi = "api_settings.light:application"`

// WithDjango has builds serve testdata/project with Django, as a build is that says nothing.
func (w *World) WithDjango() {
	w.t.Helper()
	w.Defaults = slices.DeleteFunc(w.Defaults, func(line string) bool { return line == light })
	w.WriteConfig()
}

// One is the usual entry of build "one" at /one; lines are added to it.
func One(lines ...string) string { return Entry("one", lines...) }

// Entry is the [[build]] entry of a build served at /NAME.
func Entry(name string, lines ...string) string {
	return fmt.Sprintf("[[build]]\nname = %q\nlocation = %q\n%s\n", name, "/"+name, strings.Join(lines, "\n"))
}

// NewWorld makes a world whose builds.toml has these entries. Nothing is running yet.
func NewWorld(t testing.TB, entries ...string) *World {
	t.Helper()
	w := emptyWorld(t)
	w.Source = filepath.Join(w.Dir, "app")
	w.Root = filepath.Join(w.Dir, "root")
	// check, migrate and Django itself cost half a second each: a test that is about them turns them on.
	w.Defaults = []string{"check = false", "migrate = false", light}
	w.Builds = strings.Join(entries, "\n")
	w.Prepared = true
	if err := os.CopyFS(w.Source, os.DirFS("testdata/project")); err != nil {
		t.Fatal(err)
	}
	w.WriteConfig()
	return w
}

func emptyWorld(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, Dir: ShortDir(t)}
	w.File = filepath.Join(w.Dir, "builds.toml")
	w.Front = FreeAddr(t)
	t.Cleanup(w.end)
	return w
}

// Config is the builds.toml that WriteConfig writes.
func (w *World) Config() string {
	return fmt.Sprintf("root = %q\n\n[supervisor]\nfront = %q\n%s\n\n[defaults]\nsource = \"app\"\npython = %q\nsystem_site_packages = true\n%s\n\n%s",
		"root", w.Front, strings.Join(w.Supervisor, "\n"), python, strings.Join(w.Defaults, "\n"), w.Builds)
}

// WriteConfig rewrites builds.toml.
func (w *World) WriteConfig() {
	w.t.Helper()
	if err := os.WriteFile(w.File, []byte(w.Config()), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// SetBuilds replaces the [[build]] entries and rewrites builds.toml.
func (w *World) SetBuilds(entries ...string) {
	w.t.Helper()
	w.Builds = strings.Join(entries, "\n")
	w.WriteConfig()
}

// Start starts the supervisor and returns at once: wait with WaitState. It may be started again
// when it has ended.
func (w *World) Start() {
	w.t.Helper()
	w.start(w.command())
}

// command is how the supervisor is started.
func (w *World) command() *exec.Cmd {
	w.t.Helper()
	w.prepare()
	program := w.Program
	if program == "" {
		program = Binary(w.t)
	}
	argv := append(slices.Clone(w.Wrap), program, "-c", w.File)
	argv = append(argv, w.StartArgs...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = w.Dir
	cmd.Env = append(os.Environ(), w.Env...)
	return cmd
}

func (w *World) start(cmd *exec.Cmd) {
	w.t.Helper()
	log, err := os.OpenFile(w.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	if cmd.Stderr == nil {
		cmd.Stdout, cmd.Stderr = log, log
		// A process group of its own: a Ctrl-C for the tests does not reach it. It ends with us, even
		// when we are killed.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	}
	var startErr error
	if len(w.Without) == 0 {
		startErr = StartBound(cmd)
	} else {
		cmd.SysProcAttr.Pdeathsig = 0 // the thread that starts it may end
		startErr = oldkernel.Start(cmd, w.Without...)
	}
	if errors.Is(startErr, errors.ErrUnsupported) {
		w.t.Skip(startErr)
	}
	if startErr != nil {
		w.t.Fatal(startErr)
	}
	w.cmd = cmd
	ended := make(chan struct{})
	w.ended = ended
	go func() {
		w.endErr = cmd.Wait()
		close(ended)
	}()
}

// Pid returns the supervisor's pid.
func (w *World) Pid() int { return w.cmd.Process.Pid }

// Signal sends the supervisor one signal.
func (w *World) Signal(sig syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(sig); err != nil {
		w.t.Errorf("signal the supervisor with %v: %v", sig, err)
	}
}

// WaitEnd waits for the supervisor to end and returns its exit code, -1 if a signal ended it.
func (w *World) WaitEnd(limit time.Duration) int {
	w.t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
		w.t.Fatalf("the supervisor has not ended within %v", limit)
	}
	var exit *exec.ExitError
	switch {
	case w.endErr == nil:
		return 0
	case errors.As(w.endErr, &exit):
		return exit.ExitCode()
	}
	w.t.Fatalf("wait for the supervisor: %v", w.endErr)
	return -1
}

// Stop ends the supervisor as an operator does, and asserts that its exit code is 0.
func (w *World) Stop() {
	w.t.Helper()
	w.Signal(syscall.SIGTERM)
	if code := w.WaitEnd(60 * time.Second); code != 0 {
		w.t.Errorf("the supervisor ended with exit code %d, want 0", code)
	}
}

// Running reports whether a supervisor was started and has not ended.
func (w *World) Running() bool {
	if w.cmd == nil {
		return false
	}
	select {
	case <-w.ended:
		return false
	default:
		return true
	}
}

// CLI runs a subcommand of the real binary on this world's file.
func (w *World) CLI(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(w.t), append([]string{"-c", w.File}, args...)...)
	cmd.Dir = w.Dir
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run %v: %v", args, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// Socket is a build's public socket.
func (w *World) Socket(name string) string { return filepath.Join(w.Root, name, "gunicorn.sock") }

// Data is a path in a build's data folder.
func (w *World) Data(name, file string) string { return filepath.Join(w.Root, name, "data", file) }

// LogFile is the supervisor's own log, of all its lives together.
func (w *World) LogFile() string { return filepath.Join(w.Dir, "supervisor.log") }

// Log is the text of LogFile so far.
func (w *World) Log() string { return readAll(w.LogFile()) }

// WaitLog waits until the supervisor's log has a text. It is written a moment after what status says.
func (w *World) WaitLog(text string) {
	w.t.Helper()
	Eventually(w.t, patience, fmt.Sprintf("%q in the log", text), func() (bool, string) { return strings.Contains(w.Log(), text), "" })
}

// BuildLog is what a build's children wrote.
func (w *World) BuildLog(name string) string {
	return readAll(filepath.Join(w.Root, ".supervisor", "logs", name+".log"))
}

// Load starts a load on a build's public socket.
func (w *World) Load(name string, rate float64) *Traffic {
	w.t.Helper()
	return StartLoad(w.t, Load{Network: "unix", Addr: w.Socket(name), Rate: rate})
}

// FrontLoad starts a load on the embedded front.
func (w *World) FrontLoad(path string, rate float64) *Traffic {
	w.t.Helper()
	return StartLoad(w.t, Load{Network: "tcp", Addr: w.Front, Path: path, Rate: rate})
}

// end stops what is still running, shows what is needed to understand a failure, and fails the test
// if something was left over.
func (w *World) end() {
	if w.t.Failed() {
		w.dumpStatus()
	}
	if w.Running() {
		w.Signal(syscall.SIGTERM)
		timer := time.NewTimer(60 * time.Second)
		defer timer.Stop()
		select {
		case <-w.ended:
			if w.endErr != nil {
				w.t.Errorf("the supervisor ended at SIGTERM with %v, want exit code 0", w.endErr)
			}
		case <-timer.C:
			w.t.Errorf("the supervisor has not ended within a minute of SIGTERM")
			w.Signal(syscall.SIGKILL)
			<-w.ended
		}
	}
	if left := w.Processes(); len(left) > 0 {
		w.t.Errorf("left over when the supervisor had ended: %v", left)
		KillAll(w.t, left, syscall.SIGKILL)
		Eventually(w.t, 10*time.Second, "the end of what was left over", func() (bool, string) {
			left := w.Processes()
			return len(left) == 0, fmt.Sprint(left)
		})
	}
	w.dropCgroups()
	if w.t.Failed() {
		w.dumpLogs()
	}
}

func (w *World) dumpStatus() {
	if !w.Running() {
		return
	}
	if text, err := w.get("/v1/status"); err != nil {
		w.t.Logf("status: %v", err)
	} else {
		w.t.Logf("status: %s", text)
	}
	w.t.Logf("processes: %v", w.Processes())
}

func (w *World) dumpLogs() {
	files := []string{w.File, w.LogFile()}
	for _, pattern := range []string{"*/build*.log", "*/releases/*/build.log", ".supervisor/logs/*.log"} {
		found, err := filepath.Glob(filepath.Join(w.Root, pattern))
		if err != nil {
			w.t.Errorf("glob %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		w.t.Logf("end of %s:\n%s", strings.TrimPrefix(file, w.Dir+"/"), lastLines(readAll(file), 80))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// readAll returns the error in place of the text if the file cannot be read: it is for logs, which
// may not exist yet.
func readAll(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("(%v)\n", err)
	}
	return string(text)
}

// FreeAddr returns host:port on a loopback address of this test's own: outgoing connections come
// from 127.0.0.1 and cannot take the port in the meantime, and two concurrent runs hardly meet on
// one of 16 million addresses.
func FreeAddr(t testing.TB) string {
	t.Helper()
	pid, now := os.Getpid(), time.Now().UnixNano()
	host := fmt.Sprintf("127.%d.%d.%d", 1+now/1000%250, 1+pid%250, 1+now/250000%250)
	ln, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
