package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// house is where commands run: it outlives the supervisors that start them.
type house struct {
	t     *testing.T
	mu    sync.Mutex
	tasks map[string]*guest
	asked []control.RunRequest
	lost  bool // the next supervisor knows none of them
}

type guest struct {
	control.TaskStatus
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	left  chan struct{} // closed when its caller has gone
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, tasks: map[string]*guest{}}
	t.Cleanup(func() {
		h.mu.Lock()
		tasks := maps.Clone(h.tasks)
		h.mu.Unlock()
		for _, g := range tasks {
			syscall.Kill(-g.Pid, syscall.SIGKILL) // it may have ended
			<-g.ended
		}
	})
	return h
}

func (h *house) run(name string, r control.RunRequest) (control.TaskStatus, error) {
	defer func() {
		for _, f := range r.Streams {
			f.Close()
		}
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	if name != "development" {
		return control.TaskStatus{}, fmt.Errorf("%w: %q", control.ErrNoBuild, name)
	}
	h.asked = append(h.asked, r)
	cmd := exec.Command(r.Argv[0], r.Argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r.Streams[0], r.Streams[1], r.Streams[2]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: r.Terminal}
	if err := cmd.Start(); err != nil {
		return control.TaskStatus{}, err
	}
	g := &guest{
		TaskStatus: control.TaskStatus{ID: r.ID, Kind: "run", Name: r.Argv[0], Pid: cmd.Process.Pid, Started: time.Now()},
		t:          h.t, cmd: cmd, ended: make(chan struct{}), left: make(chan struct{}),
	}
	h.tasks[r.ID] = g
	running := g.TaskStatus
	go func() {
		cmd.Wait() // ProcessState says how it ended
		h.mu.Lock()
		defer h.mu.Unlock()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		g.Ended, g.Exit, g.Code = time.Now(), cmd.ProcessState.String(), status.ExitStatus()
		if status.Signaled() {
			g.Signal = int(status.Signal())
		}
		close(g.ended)
	}()
	return running, nil
}

// guest is the only command that is running.
func (h *house) guest(t *testing.T) (g *guest) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		h.mu.Lock()
		for _, one := range h.tasks {
			if one.Ended.IsZero() {
				g = one
			}
		}
		h.mu.Unlock()
		if g != nil {
			return g
		}
		if time.Now().After(deadline) {
			t.Fatal("no command is run")
		}
		<-time.After(time.Millisecond)
	}
}

// awaitState waits until ps would show the command in that state: T is stopped, S waits for something.
func (g *guest) awaitState(want string) {
	g.t.Helper()
	state := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		text, _ := os.ReadFile("/proc/" + strconv.Itoa(g.Pid) + "/stat") // it may have ended
		_, after, _ := strings.Cut(string(text), ") ")
		if state, _, _ = strings.Cut(after, " "); state == want {
			return
		}
	}
	g.t.Fatalf("the command is in state %q, want %s", state, want)
}

func (f *fake) Run(_ context.Context, name string, r control.RunRequest) (control.TaskStatus, error) {
	return f.house.run(name, r)
}

func (f *fake) Attend(ctx context.Context, _, id string) (control.TaskStatus, error) {
	f.house.mu.Lock()
	g := f.house.tasks[id]
	if f.house.lost {
		g = nil
	}
	f.house.mu.Unlock()
	if g == nil {
		return control.TaskStatus{}, control.ErrNoTask
	}
	select {
	case <-g.ended:
		return g.TaskStatus, nil
	case <-ctx.Done():
		f.house.mu.Lock()
		defer f.house.mu.Unlock()
		select {
		case <-g.left:
		default:
			close(g.left)
		}
		return control.TaskStatus{}, ctx.Err()
	}
}

func (f *fake) SignalTask(_ context.Context, _, id string, sig syscall.Signal) error {
	f.house.mu.Lock()
	defer f.house.mu.Unlock()
	return syscall.Kill(-f.house.tasks[id].Pid, sig)
}

// lodge is a desk with a supervisor that runs commands.
func lodge(t *testing.T) (*desk, *house, func()) {
	t.Helper()
	d, h := newDesk(t), newHouse(t)
	return d, h, d.serve(&fake{house: h})
}

func TestACommandGetsOurPipesAndItsExitCodeIsOurs(t *testing.T) {
	t.Parallel()
	d, _, _ := lodge(t)
	for _, c := range []struct {
		args, in, out, errOut string
		code                  int
	}{
		{"run development true", "", "", "", 0},
		{"run development sh -c cat;echo\u00a0broken>&2;exit\u00a07", "typed", "typed", "broken\n", 7},
		{"run development -- sh -c kill\u00a0-TERM\u00a0$$", "", "", "", 128 + 15},
		{"run development sh -c kill\u00a0-KILL\u00a0$$", "", "", "medctrl-supervisor: sh: signal: killed\n", 128 + 9},
		{"run development echo -c x --release r", "", "-c x --release r\n", "", 0},
		{"run --release 2026 development true", "", "", "", 0},
		{"run development --release 2027 true", "", "", "", 0},
		{"run nobody true", "", "", "medctrl-supervisor: no such build: \"nobody\"\n", 1},
		{"run development", "", "", "medctrl-supervisor: run needs a build and a command: `run NAME COMMAND [ARG...]` (see: medctrl-supervisor help run)\n", 2},
		{"run", "", "", "medctrl-supervisor: run needs a build and a command: `run NAME COMMAND [ARG...]` (see: medctrl-supervisor help run)\n", 2},
		{"run development --relese x true", "", "", "medctrl-supervisor: unknown flag --relese; did you mean \"--release\"? (see: medctrl-supervisor help run)\n", 2},
	} {
		cmd := exec.Command(filepath.Join(d.bin, programName), append([]string{"-c", d.file}, words(c.args)...)...)
		cmd.Stdin = strings.NewReader(c.in)
		out, errOut, code := d.give(cmd)
		if code != c.code || out != c.out || errOut != c.errOut {
			t.Errorf("%s: exit %d, %q %q", c.args, code, out, errOut)
		}
	}
}

// words are those of a command line; a space that does not divide two is a no-break one.
func words(line string) []string {
	all := strings.Fields(strings.ReplaceAll(line, "\u00a0", "\x00"))
	for i, word := range all {
		all[i] = strings.ReplaceAll(word, "\x00", " ")
	}
	return all
}

func TestReleaseAndTermAreAskedFor(t *testing.T) {
	t.Parallel()
	d, h, _ := lodge(t)
	term := openTerminal(t)
	cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "run", "development", "--release", "2027", "true")
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(d.env(), "TERM=vt100", "COLUMNS=7"), term.program, term.program, term.program
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.asked[0]; r.Release != "2027" || r.Term != "vt100" || !r.Terminal || !strings.HasPrefix(r.ID, "run.") {
		t.Errorf("%+v", r)
	}
}

func TestNobodyToRunItIsExitCode3(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "run", "development", "true")
	if _, errOut, code := d.give(cmd); code != exitNoSupervisor || !strings.Contains(errOut, "no supervisor is running") {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

// openLodge is a shell in a terminal, at a desk with a supervisor that runs commands.
func openLodge(t *testing.T) (*shell, *house, func()) {
	t.Helper()
	d, h, stop := lodge(t)
	s := openShell(t, d.dir, append(d.env(), "MEDCTRL_CONFIG="+d.file, "PS1=$ ", "TERM=vt100"), "bash", "--norc", "--noprofile", "-i")
	s.ready("bind 'set enable-bracketed-paste off'")
	return s, h, stop
}

func TestACommandHasATerminalAsOurs(t *testing.T) {
	t.Parallel()
	s, _, _ := openLodge(t)
	before := s.mode()
	at := len(s.since(0))
	s.types("medctrl-supervisor run development sh -c 'stty size; read x; echo got:$x; exit 5'; echo code:$?\r")
	s.await(at, "its size", func(got string) bool { return strings.Contains(got, "\r\n200 250\r\n") })
	s.types("word\r")
	s.await(at, "its exit code", func(got string) bool {
		return strings.Contains(got, "got:word\r\n") && strings.Contains(got, "\r\ncode:5\r\n")
	})
	if after := s.mode(); after != before {
		t.Errorf("the terminal is left as %+v, was %+v", after, before)
	}
	at = len(s.since(0))
	s.types("medctrl-supervisor run development sh -c 'echo sleep\"\"s; exec sleep 60'; echo code:$?\r")
	s.await(at, "it sleeps", func(got string) bool { return strings.Contains(got, "\r\nsleeps") })
	s.types("\x03")
	s.await(at, "its exit code", func(got string) bool { return strings.Contains(got, "code:130\r\n") })

	// What goes into a file goes there as it is.
	s.ready("medctrl-supervisor run development sh -c 'test -t 0 && test -t 2 && echo out; tty >&2' > out")
	if got := s.read("out"); got != "out\n" {
		t.Errorf("%q", got)
	}
	s.ready("echo in | medctrl-supervisor run development sh -c 'cat; test -t 1 && echo a terminal' ")
	if got := s.since(0); !strings.Contains(got, "\r\nin\r\na terminal\r\n") {
		t.Errorf("%q", got)
	}
	if after := s.mode(); after != before {
		t.Errorf("the terminal is left as %+v, was %+v", after, before)
	}
}

// mode is how the terminal of a shell treats keys, once the shell waits for some.
func (s *shell) mode() unix.Termios {
	s.t.Helper()
	s.ready(":")
	t, err := unix.IoctlGetTermios(int(s.person.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return *t
}

// read is a file in the folder of the desk, of which the shell is told by $MEDCTRL_CONFIG.
func (s *shell) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func TestCtrlZStopsTheCommandAndUs(t *testing.T) {
	t.Parallel()
	s, h, _ := openLodge(t)
	at := len(s.since(0))
	s.types("medctrl-supervisor run development sh -c 'echo read\"\"y; read x; echo got:$x; exit 5'; echo code:$?\r")
	s.await(at, "it is there", func(got string) bool { return strings.Contains(got, "\r\nready") })
	g := h.guest(t)
	for range 2 {
		s.types("\x1a")
		s.await(at, "the shell is back", func(got string) bool { return strings.Contains(got, "Stopped") })
		g.awaitState("T")
		s.ready("echo the shell goes on")
		at = len(s.since(0))
		s.types("fg\r")
		g.awaitState("S")
	}
	s.types("word\r")
	s.await(at, "its end", func(got string) bool {
		_, after, ended := strings.Cut(got, "got:word\r\n")
		return ended && strings.Contains(after, "$ ") // what is typed before may be for the command
	})

	// Its input is no terminal: we get the signal ourselves.
	at = len(s.since(0))
	s.types("sleep 60 | medctrl-supervisor run development sh -c 'echo read\"\"y; exec cat'\r")
	s.await(at, "it is there", func(got string) bool { return strings.Contains(got, "\r\nready") })
	g = h.guest(t)
	s.types("\x1a")
	s.await(at, "the shell is back", func(got string) bool { return strings.Contains(got, "Stopped") })
	g.awaitState("T")
	s.ready("echo the shell goes on")
	s.types("fg\r")
	g.awaitState("S")
	at = len(s.since(0))
	s.types("\x03")
	s.await(at, "the shell is back", func(got string) bool { return strings.Contains(got, "$ ") })

	// A shell has jobs of its own.
	at = len(s.since(0))
	s.types("medctrl-supervisor run development env 'PS1=% ' bash --norc --noprofile -i\r")
	s.await(at, "a shell", func(got string) bool { return strings.Contains(got, "% ") })
	s.types("sh -c 'echo jo\"\"b; exec sleep 60'\r")
	s.await(at, "its job", func(got string) bool { return strings.Contains(got, "job\r\n") })
	at = len(s.since(0))
	s.types("\x1a")
	s.await(at, "its job stops", func(got string) bool { return strings.Contains(got, "Stopped") && strings.Contains(got, "% ") })
	at = len(s.since(0))
	s.types("exec true\r")
	s.await(at, "our own shell", func(got string) bool { return strings.Contains(got, "$ ") })
	s.ready("echo back")
}

func TestSignalsArePassedOnWithoutATerminal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		d, h, _ := lodge(t)
		cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "run", "development", "sleep", "60")
		cmd.Env = d.env()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		h.guest(t)
		err := errors.Join(cmd.Process.Signal(sig), cmd.Wait())
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 128+int(sig) {
			t.Errorf("%v: %v", sig, err)
		}
	}
}

func TestACommandWhoseCallerGoesIsLeft(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGKILL} {
		d, h, _ := lodge(t)
		cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "run", "development", "sleep", "60")
		cmd.Env = d.env()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		g := h.guest(t)
		_ = errors.Join(cmd.Process.Signal(sig), cmd.Wait())
		select {
		case <-g.left:
		case <-time.After(20 * time.Second):
			t.Errorf("%v: it is not left", sig)
		}
	}
}

func TestACommandIsWaitedForAcrossSupervisors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost bool
		code int
		says string
	}{
		"known": {false, 6, ""},
		"lost":  {true, 1, "how the command ended is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, h, stop := lodge(t)
			in, keys := io.Pipe()
			cmd := exec.Command(filepath.Join(d.bin, programName), "-c", d.file, "run", "development", "sh", "-c", "read x; exit 6")
			cmd.Stdin = in
			type result struct {
				errOut string
				code   int
			}
			ended := make(chan result, 1)
			go func() {
				_, errOut, code := d.give(cmd)
				ended <- result{errOut, code}
			}()
			h.guest(t)
			stop()
			h.mu.Lock()
			h.lost = c.lost
			h.mu.Unlock()
			d.serve(&fake{house: h})
			io.WriteString(keys, "x\n")
			keys.Close()
			if r := <-ended; r.code != c.code || !strings.Contains(r.errOut, c.says) {
				t.Errorf("exit %d, %q", r.code, r.errOut)
			}
		})
	}
}

func TestCtrlZIsForACommandThatDoesNothingAtIt(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]bool{
		"Name:\tsh\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000010002\n": false,
		"SigIgn:\t0000000000080000\nSigCgt:\t0000000000000000\n":            true,
		"SigIgn:\t0000000000000000\nSigCgt:\t0000000000080000\n":            true,
		"SigCgt:\tx\n": true,
	} {
		if handles([]byte(status), syscall.SIGTSTP) != want {
			t.Errorf("%q: %v", status, !want)
		}
	}
}
