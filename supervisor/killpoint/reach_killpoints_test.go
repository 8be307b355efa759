//go:build killpoints

package killpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asked is in the environment of this test as a program that goes through its moments.
const asked = "MEDCTRL_TEST_PROGRAM"

type drain struct{}

func TestMain(m *testing.M) {
	if os.Getenv(asked) == "" {
		os.Exit(m.Run())
	}
	Reach("before", drain{})
	Reach("before", &drain{})
	Reach("before", "the state is written")
	Reach("after", "the state is written")
	Reach("before", "the state is written")
}

const all = `before drain#1
before drain#2
before the state is written#1
after the state is written#1
before the state is written#2
`

// program is this test as a program that is to die at a moment.
func program(t *testing.T, dieAt string) (cmd *exec.Cmd, moments func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "moments")
	cmd = exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asked+"=1", momentsKey+"="+path, dieAtKey+"="+dieAt)
	return cmd, func() string {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestMomentsAreWrittenDownInOrder(t *testing.T) {
	t.Parallel()
	for _, dieAt := range []string{"", "before something else#1", "before drain#3"} {
		cmd, moments := program(t, dieAt)
		if out, err := cmd.CombinedOutput(); err != nil || moments() != all {
			t.Errorf("dying at %q: %v, %s, moments\n%s", dieAt, err, out, moments())
		}
	}
}

func TestProgramDiesAtEachMoment(t *testing.T) {
	t.Parallel()
	before := ""
	for line := range strings.Lines(all) {
		before += line
		cmd, moments := program(t, strings.TrimSuffix(line, "\n"))
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("at %q it ended with %v", line, err)
		}
		if got := moments(); got != before {
			t.Errorf("at %q it had come to\n%s", line, got)
		}
	}
}

func TestProgramStopsAtEachMoment(t *testing.T) {
	t.Parallel()
	cmd, moments := program(t, "never")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stops := 0
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
			t.Fatal(err)
		}
		if !status.Stopped() {
			if status.ExitStatus() != 0 {
				t.Errorf("it ended with %v", status)
			}
			break
		}
		stops++
		if got := strings.Count(moments(), "\n"); got != stops {
			t.Errorf("at stop %d it had come to %d moments", stops, got)
		}
		if err := syscall.Kill(cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	if want := strings.Count(all, "\n"); stops != want {
		t.Errorf("it stopped %d times, want %d", stops, want)
	}
}

func TestMomentThatCannotBeWrittenDownEndsTheProgram(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/dev/full"} {
		cmd, _ := program(t, "")
		cmd.Env = append(cmd.Env, momentsKey+"="+path)
		cmd.WaitDelay = 10 * time.Second
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "panic") {
			t.Errorf("moments to %q: %v, %s", path, err, out)
		}
	}
}
