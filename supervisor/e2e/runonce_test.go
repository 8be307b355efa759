package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// once is a command that is run for a build, with its input and output.
type once struct {
	*exec.Cmd
	t        *testing.T
	out, err screen
	keys     io.Writer // its input, or the keyboard of its terminal
	ended    chan struct{}
}

// screen keeps what is written to it.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// RunOnce begins to run a command for a build; its input is a pipe.
func (w *World) RunOnce(t *testing.T, args ...string) *once {
	t.Helper()
	o := &once{t: t, Cmd: exec.Command(Binary(t), append([]string{"-c", w.File, "run"}, args...)...), ended: make(chan struct{})}
	o.Dir, o.Stdout, o.Stderr = w.Dir, &o.out, &o.err
	keys, err := o.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	o.keys = keys
	o.begin()
	return o
}

// RunOnceAtTerminal does so at a terminal of 33 lines and 99 columns.
func (w *World) RunOnceAtTerminal(t *testing.T, args ...string) *once {
	t.Helper()
	person, program := openTerminal(t)
	defer program.Close()
	o := &once{t: t, Cmd: exec.Command(Binary(t), append([]string{"-c", w.File, "run"}, args...)...), ended: make(chan struct{}), keys: person}
	o.Dir, o.Env = w.Dir, append(os.Environ(), "TERM=vt100")
	o.Stdin, o.Stdout, o.Stderr = program, program, program
	o.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	o.begin()
	go io.Copy(&o.out, person) // ends with an error when nobody has the other side any more
	return o
}

// openTerminal returns the sides of a terminal of 33 lines and 99 columns. The caller closes program's.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	raw, err := person.SyscallConn() // Fd would have a Close wait for who reads
	if err != nil {
		t.Fatal(err)
	}
	n, failed := 0, error(nil)
	err = raw.Control(func(desc uintptr) {
		fd := int(desc)
		n, failed = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		failed = errors.Join(failed, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0),
			unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 33, Col: 99}))
	})
	if err = errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	if program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return person, program
}

func (o *once) begin() {
	o.t.Helper()
	if err := o.Start(); err != nil {
		o.t.Fatal(err)
	}
	go func() {
		o.Wait() // ProcessState says how it ended
		close(o.ended)
	}()
	o.t.Cleanup(func() {
		o.Process.Kill() // it may have ended
		<-o.ended
	})
}

// Says waits until the command has written something.
func (o *once) Says(text string) {
	o.t.Helper()
	Eventually(o.t, 20*time.Second, fmt.Sprintf("%q", text), func() (bool, string) {
		got := o.out.String()
		return strings.Contains(got, text), got + o.err.String()
	})
}

func (o *once) Types(text string) {
	o.t.Helper()
	if _, err := io.WriteString(o.keys, text); err != nil {
		o.t.Fatal(err)
	}
}

// Ends waits for its end with that exit code.
func (o *once) Ends(code int) {
	o.t.Helper()
	select {
	case <-o.ended:
	case <-time.After(30 * time.Second):
		o.t.Fatalf("it does not end: %q, %q", o.out.String(), o.err.String())
	}
	if got := o.ProcessState.ExitCode(); got != code {
		o.t.Errorf("exit code %d, want %d: %q, %q", got, code, o.out.String(), o.err.String())
	}
}

func TestACommandRunsInThePlaceOfItsCaller(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon, `env = {SECRET = "s3cret"}`))
	b := w.Serve("one")
	run := func(code int, args ...string) (out, errOut string) {
		t.Helper()
		out, errOut, got := w.CLI(append([]string{"run", "one"}, args...)...)
		if got != code {
			t.Errorf("%q: exit code %d, want %d: %q %q", args, got, code, out, errOut)
		}
		return out, errOut
	}
	run(0, "true")
	run(7, "sh", "-c", "exit 7")
	run(128+15, "sh", "-c", "kill $$")
	if out, errOut := run(0, "sh", "-c", "echo out; echo err >&2"); out != "out\n" || errOut != "err\n" {
		t.Errorf("%q, %q", out, errOut)
	}
	out, _ := run(0, "env")
	for _, want := range []string{"SECRET=s3cret\n", "MEDCTRL_RELEASE=" + b.Release + "\n", "DJANGO_SETTINGS_MODULE=", "MEDCTRL_DATA=" + w.Data("one", "") + "\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("environment without %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "TERM=") {
		t.Errorf("it has a TERM:\n%s", out)
	}
	if out, _ := run(0, "python", "-c", "import sys, os; print(sys.executable, os.getcwd())"); !strings.HasPrefix(out, filepath.Join(w.Root, "one", "venvs")) ||
		!strings.HasSuffix(out, " "+filepath.Join(w.Root, "one", "releases", b.Release, "API")+"\n") {
		t.Errorf("%q", out)
	}
	if out, _ := run(0, "manage.py", "diffsettings"); !strings.Contains(out, "SECRET_KEY") {
		t.Errorf("%q", out)
	}
	o := w.RunOnce(t, "one", "--", "cat", "--", "-")
	o.Types("typed\n")
	o.Says("typed\n")
	o.keys.(io.Closer).Close()
	o.Ends(0)
	o = w.RunOnce(t, "one", "sleep", "60")
	pid := w.taskPid("one")
	o.Process.Signal(syscall.SIGINT)
	o.Ends(128 + 2)
	if isAlive(pid) {
		t.Error("it goes on")
	}

	if _, errOut := run(1, "no-such-command"); !strings.Contains(errOut, "no-such-command") {
		t.Errorf("%q", errOut)
	}
	if _, errOut, code := w.CLI("run", "two", "true"); code != 1 || !strings.Contains(errOut, `"two"`) {
		t.Errorf("of no build: exit code %d, %q", code, errOut)
	}
	w.MustCLI("stop", "one")
	if _, errOut := run(1, "true"); !strings.Contains(errOut, "no release of one serves") {
		t.Errorf("of a build that is stopped: %q", errOut)
	}
	run(0, "--release", b.Release[:len(b.Release)-2], "true")
	events := w.MustCLI("events")
	for _, want := range []string{"manage.py diffsettings", "run sh: exit code 7", "run cat"} {
		if !strings.Contains(events, want) {
			t.Errorf("events without %q:\n%s", want, events)
		}
	}
	if strings.Contains(events, "import sys") || strings.Contains(w.Log(), "import sys") {
		t.Error("arguments are told")
	}
}

// taskPid waits for a command of a build and returns its pid.
func (w *World) taskPid(name string) (pid int) {
	w.t.Helper()
	Eventually(w.t, 20*time.Second, "a command", func() (bool, string) {
		s, err := w.Status()
		b := s.Build(name)
		if err == nil && len(b.Tasks) > 0 {
			pid = b.Tasks[0].Pid
		}
		return pid != 0, fmt.Sprintf("%+v", b)
	})
	return pid
}

func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestACommandHasATerminalOfItsOwn(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon))
	w.Serve("one")
	o := w.RunOnceAtTerminal(t, "one", "sh", "-c", `trap 'stty size; exit 4' WINCH; stty size; tty; echo $TERM; ps -o stat= -p $$; echo ready; while :; do sleep 0.05; done`)
	o.Says("ready\r\n")
	said := strings.Fields(o.out.String())
	if said[0] != "33" || said[1] != "99" || !strings.HasPrefix(said[2], "/dev/pts/") || said[3] != "vt100" || !strings.Contains(said[4], "s") {
		t.Errorf("%q", said)
	}
	fd := int(o.keys.(*os.File).Fd())
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: 70}); err != nil {
		t.Fatal(err)
	}
	o.Says("20 70\r\n")
	o.Ends(4)
	if attr, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil || attr.Lflag&unix.ICANON == 0 || attr.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal is left as %+v, %v", attr, err)
	}

	o = w.RunOnceAtTerminal(t, "one", "sh", "-c", "echo ready; exec sleep 60") // a child that is forked at this moment may miss the signal
	o.Says("ready")
	o.Types("\x03")
	o.Ends(128 + 2)

	o = w.RunOnceAtTerminal(t, "one", "python", "-c", "import getpass; print('got', getpass.getpass()); open('/dev/tty', 'w').write('done\\n')")
	o.Says("Password:")
	o.Types("s3cret\r")
	o.Says("got s3cret")
	o.Ends(0)
	if strings.Count(o.out.String(), "s3cret") != 1 || !strings.Contains(o.out.String(), "done") {
		t.Errorf("%q", o.out.String())
	}

	// The terminal is closed: it gets SIGHUP.
	o = w.RunOnceAtTerminal(t, "one", "sh", "-c", `trap 'echo hung up > $MEDCTRL_DATA/hup; exit' HUP; echo ready; while :; do sleep 0.05; done`)
	o.Says("ready")
	pid := w.taskPid("one")
	o.Process.Signal(syscall.SIGKILL)
	Eventually(t, 20*time.Second, "its end", func() (bool, string) {
		return !isAlive(pid) && strings.Contains(readAll(w.Data("one", "hup")), "hung up"), ""
	})
}

func TestACommandOutlivesItsSupervisor(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon))
	w.Serve("one")
	o := w.RunOnceAtTerminal(t, "one", "sh", "-c", "echo ready; read line; echo got $line; read line; exit 6")
	o.Says("ready")
	piped := w.RunOnce(t, "one", "sh", "-c", "read line; exit 5")
	pid := w.taskPid("one")
	w.Upgrade()
	o.Types("first\r")
	o.Says("got first")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(20 * time.Second)
	if !isAlive(pid) {
		t.Fatal("it ended with its supervisor")
	}
	w.Start()
	if tasks := w.WaitState("one", "running").Tasks; len(tasks) != 2 || tasks[0].Pid != pid {
		t.Errorf("%+v", tasks)
	}
	o.Types("second\r")
	o.Ends(6)
	piped.Types("x\n")
	piped.Ends(5)

	// It ends while there is no supervisor.
	o = w.RunOnce(t, "one", "sh", "-c", "read line; exit 5")
	w.taskPid("one")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(20 * time.Second)
	o.Types("x\n")
	w.Start()
	o.Ends(1)
	if !strings.Contains(o.err.String(), "its exit code is not known") {
		t.Errorf("%q", o.err.String())
	}
	w.WaitState("one", "running")

	o = w.RunOnce(t, "one", "sh", "-c", "sleep 60 & echo ready; setsid sleep 61")
	o.Says("ready")
	w.MustCLI("stop", "one")
	o.Ends(128 + 15)
	if !strings.Contains(o.err.String(), "the build was stopped") {
		t.Errorf("%q", o.err.String())
	}
}

// How much longer a command takes by `run` than by itself, at best: others use the machine too.
func BenchmarkRunTrue(b *testing.B) {
	w := NewWorld(b, One(stableSoon))
	w.Serve("one")
	best := func(before time.Duration, argv ...string) time.Duration {
		begun := time.Now()
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			b.Fatal(err, string(out))
		}
		return min(before, time.Since(begun))
	}
	alone, run := time.Hour, time.Hour
	for b.Loop() {
		alone = best(alone, "true")
		run = best(run, Binary(b), "-c", w.File, "run", "one", "true")
	}
	b.ReportMetric(float64((run-alone).Microseconds())/1000, "ms-more")
}
