package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const programName = "medctrl-supervisor"

// TestMain makes the test's own program the one that is tested, under its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == programName {
		main()
	}
	os.Exit(m.Run())
}

func TestTheProgramIsACommandLineOrTheExecStepOfAChild(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), programName)
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, int) {
		cmd := exec.Command(program, args...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run("version"); out != "medctrl-supervisor dev\n" || code != 0 {
		t.Errorf("version: exit %d, %q", code, out)
	}
	if out, code := run("no-such"); code != 2 {
		t.Errorf("no command: exit %d, %q", code, out)
	}
	if out, code := run("exec-step"); code == 0 || code == 2 {
		t.Errorf("an exec step without a child: exit %d, %q", code, out)
	}
}
