package handover

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain is the test, or one of its programs where the last argument names it.
func TestMain(m *testing.M) {
	run := map[string]func() error{"give": give, "take": take}[os.Args[len(os.Args)-1]]
	if run == nil {
		os.Exit(m.Run())
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func asProgram(t *testing.T, name string) (out string, err error) {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), os.Args[0], name).CombinedOutput()
	return string(text), err
}

// lsof prints which of the files that were handed over a program has that is started now.
func lsof(environ []string) error {
	cmd := exec.Command("ls", "-l", "/proc/self/fd")
	cmd.Env = environ
	text, err := cmd.Output()
	if err != nil {
		return err
	}
	var left []string
	for line := range strings.Lines(string(text)) {
		for _, what := range []string{"lock", "memfd", "inotify", key} {
			if strings.Contains(line, what) {
				left = append(left, strings.TrimSpace(line))
			}
		}
	}
	fmt.Printf("left for others: %s\n", strings.Join(left, ", "))
	return nil
}
