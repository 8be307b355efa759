package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Boxed says whether a process is in a box, by what it cannot shed: a seccomp filter more than we have
// ourselves.
func Boxed(pid int) (bool, error) {
	theirs, err := filters(strconv.Itoa(pid))
	if err != nil {
		return false, err
	}
	ours, err := filters("thread-self")
	return theirs > ours, err
}

// filters returns how many seccomp filters hold for a process (proc_pid_status(5)).
func filters(pid string) (int, error) {
	path := "/proc/" + pid + "/status"
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("look for a sandbox: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Seccomp_filters:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, nil // before Linux 5.9, which has no boxes
}
