package supervisor

import (
	"fmt"
	"os"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// TestMain lets the test binary be the other programs of a site as well: the step between us and a
// child, the builds' servers, and a supervisor in a process of its own.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch rest := os.Args[2:]; os.Args[1] {
		case "exec-step":
			os.Exit(process.ExecStep(rest))
		case "serve":
			os.Exit(exitCode(serve(false)))
		case "work":
			os.Exit(exitCode(work()))
		case "-m": // gunicorn, of the interpreter in a made environment
			os.Exit(exitCode(serve(true)))
		case "-c":
			os.Exit(exitCode(supervise(rest)))
		}
	}
	os.Exit(runAll(m))
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// runAll runs the tests with a folder of their own for what supervisors remember of a user's files.
func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "supervisor-state-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("XDG_STATE_HOME", dir)
	}
	if err != nil {
		return exitCode(err)
	}
	return m.Run()
}
