package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// output is what a running command has printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Follow runs a subcommand concurrently with the test, until the test ends.
func (w *World) Follow(args ...string) *output {
	w.t.Helper()
	o := &output{}
	cmd := exec.Command(Binary(w.t), append([]string{"-c", w.File}, args...)...)
	cmd.Stdout, cmd.Stderr = o, o
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := StartBound(cmd); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cmd.Process.Kill() // it may have ended
		cmd.Wait()
	})
	return o
}

func (o *output) WaitFor(t testing.TB, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	Eventually(t, patience, "a follower to print "+pattern, func() (bool, string) { return re.MatchString(o.String()), o.String() })
}

func TestLogsAndEventsAreShownAndFollowed(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"), tinyEntry("two"))
	w.Serve("one", "two")
	if out := w.MustCLI("logs", "one"); !strings.Contains(out, "Booting worker") {
		t.Errorf("logs: %q", out)
	}
	if out := w.MustCLI("logs", "one", "-n", "1"); strings.Count(out, "\n") != 1 {
		t.Errorf("logs -n 1: %q", out)
	}
	if out := w.MustCLI("logs", "--build", "one"); !strings.Contains(out, "== install") {
		t.Errorf("logs --build: %q", out)
	}
	logs, events := w.Follow("logs", "-f"), w.Follow("events", "-f", "--json")
	events.WaitFor(t, "took_over")
	old := w.KillMaster("one", syscall.SIGKILL)
	w.WaitPid("one", old)
	logs.WaitFor(t, `(?m)^one \| .*Booting worker`)
	events.WaitFor(t, `"event":"exited".*"reason":"killed by SIGKILL"`)
	var e struct {
		Time                          time.Time
		Build, Event, Release, Reason string
		Pid                           int
	}
	line, _, _ := strings.Cut(events.String(), "\n")
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Build == "" || e.Event == "" || e.Time.IsZero() {
		t.Errorf("events --json: %q, %v", line, err)
	}
	w.Stop()
	w.Start()
	w.WaitState("one", "running")
	if out := w.MustCLI("events", "o*"); !strings.Contains(out, "killed by SIGKILL") || strings.Contains(out, " two: ") {
		t.Errorf("events of an earlier run: %q", out)
	}
}

func TestCommandsTakePatternsOrAll(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.SetBuilds(tiny(), tinyEntry("two"))
	one := w.Serve("one", "two")
	two := w.WaitState("two", "running")
	w.MustCLI("restart", "t*")
	if b := w.WaitPid("two", two.Pid); b.State != "running" {
		t.Errorf("%+v", b)
	}
	if b := w.WaitState("one", "running"); b.Pid != one.Pid {
		t.Error("build one was restarted, too")
	}
	out, _, code := w.CLI("stop")
	if code != 0 || !strings.Contains(out, "one: stop done") || !strings.Contains(out, "two: stop done") {
		t.Errorf("stop of all: exit %d, %q", code, out)
	}
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(patience)
	w.Start()
	for _, name := range []string{"one", "two"} {
		if b := w.WaitState(name, "stopped"); !strings.Contains(b.Reason, "start") {
			t.Errorf("a stop does not outlive the supervisor, or does not say so: %+v", b)
		}
	}
	w.MustCLI("start")
	w.WaitState("one", "running")
	w.WaitState("two", "running")
	if _, errOut, code := w.CLI("restart", "on"); code != 1 || !strings.Contains(errOut, `no build "on" in `+w.File+`; did you mean "one"?`) {
		t.Errorf("an unknown name: exit %d, %q", code, errOut)
	}
	if out := w.MustCLI("__complete", "restart", ""); !strings.HasPrefix(out, "one\ntwo\n") {
		t.Errorf("completion of names: %q", out)
	}
}

func TestExitCodesAreThePromisedOnes(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"status"}, 3, "control.sock"},
		{[]string{"restart", "one"}, 3, "control.sock"},
		{[]string{"stauts"}, 2, `did you mean "status"?`},
		{[]string{"status", "--no-such-flag"}, 2, "no-such-flag"},
		{[]string{"completion"}, 0, ""},
		{[]string{"completion", "bash"}, 0, ""},
		{[]string{"completion", "zsh"}, 0, ""},
		{[]string{"completion", "fish"}, 0, ""},
		{[]string{"help"}, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"check"}, 0, ""},
	} {
		if out, errOut, code := w.CLI(c.args...); code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%v: exit %d, %q %q, want %d and %q", c.args, code, out, errOut, c.code, c.want)
		}
	}
	out, _, _ := w.CLI("completion", "bash")
	bash := exec.Command("bash", "-n")
	bash.Stdin = strings.NewReader(out)
	if said, err := bash.CombinedOutput(); err != nil {
		t.Errorf("completion bash: %v: %s", err, said)
	}
	w.Replace(w.File, "command", "comand", Overwrite)
	if out, _, code := w.CLI("check"); code != 1 || !regexp.MustCompile(`(?m)^\S+builds\.toml:\d+:\d+: unknown key comand; did you mean "command"\?$`).MatchString(out) {
		t.Errorf("check of a bad file: exit %d, %q", code, out)
	}
}

// The JSON that scripts rely on, by its text.
func TestStatusIsTheContractsJSON(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Serve("one")
	var got map[string]any
	if err := json.Unmarshal([]byte(w.MustCLI("status", "--json")), &got); err != nil {
		t.Fatal(err)
	}
	builds, _ := got["builds"].([]any)
	if len(builds) != 1 {
		t.Fatalf("%v", got)
	}
	one := builds[0].(map[string]any)
	for _, key := range []string{"version", "pid", "started", "config", "builds"} {
		if _, ok := got[key]; !ok {
			t.Errorf("status has no %s", key)
		}
	}
	for _, key := range []string{"name", "state", "reason", "release", "pid", "since", "restarts", "last_exit", "socket", "location", "healthy", "building", "build_error", "releases"} {
		if _, ok := one[key]; !ok {
			t.Errorf("a build has no %s", key)
		}
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(one["since"])); err != nil || at.Location() != time.UTC {
		t.Errorf("since is %v", one["since"])
	}
	table := w.MustCLI("status")
	for line := range strings.Lines(table) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 || strings.Contains(line, "\x1b") {
			t.Errorf("a line of the table is too wide, or coloured in a pipe: %q", line)
		}
	}
	for path, mode := range map[string]os.FileMode{".supervisor": 0o700, ".supervisor/control.sock": 0o600} {
		if info, err := os.Stat(filepath.Join(w.Root, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %o", path, info, err, mode)
		}
	}
}

// One command makes a new build that serves.
func TestNewBuildIsServedByOneCommand(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Replace(w.File, "[defaults]", "[defaults] # a comment that stays", Overwrite)
	w.Serve("one")
	out := w.MustCLI("new", "fresh", "--add")
	settings := w.Settings("fresh")
	if info, err := os.Stat(settings); err != nil || info.Mode().Perm() != 0o640 || !strings.Contains(out, settings) {
		t.Errorf("%q, %v %v", out, info, err)
	}
	if text := readAll(settings); !regexp.MustCompile(`(?m)^SECRET_KEY = "[A-Z2-7]{52}"$`).MatchString(text) || !strings.Contains(text, `FORCE_SCRIPT_NAME = "/fresh"`) {
		t.Errorf("its settings: %s", text)
	}
	if text := readAll(w.File); !strings.Contains(text, "# a comment that stays") || !strings.HasSuffix(text, "\n[[build]]\nname = \"fresh\"\nlocation = \"/fresh\"\n") {
		t.Errorf("builds.toml: %s", text)
	}
	w.WaitState("fresh", "running")
	for args, want := range map[string]string{"fresh": "has a build", "Bad": "lower-case letters", "../x": "lower-case letters"} {
		if _, errOut, code := w.CLI("new", args, "--add"); code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("new %s: exit %d, %q", args, code, errOut)
		}
	}
}
