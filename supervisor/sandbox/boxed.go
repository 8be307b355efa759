package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Boxed says whether a process is in a box, by what it cannot shed: no_new_privs, and a seccomp filter
// more than we have ourselves. A container's filter alone is no box.
func Boxed(pid int) (bool, error) {
	theirs, err := confinementOf(strconv.Itoa(pid))
	if err != nil {
		return false, err
	}
	ours, err := confinementOf("thread-self")
	return theirs.noNewPrivs && theirs.filters > ours.filters, err
}

// confinement is what proc_pid_status(5) says of a process, or of the main thread of one.
type confinement struct {
	noNewPrivs bool
	filters    int // of seccomp(2)
}

func confinementOf(pid string) (c confinement, err error) {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return c, fmt.Errorf("look for a sandbox: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "NoNewPrivs":
			c.noNewPrivs = value != "0"
		case "Seccomp_filters": // since Linux 5.9; none before it had boxes
			if c.filters, err = strconv.Atoi(value); err != nil {
				return c, fmt.Errorf("look for a sandbox: %w", err)
			}
		}
	}
	return c, nil
}
