package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// StepError says which step of a build failed and why.
type StepError struct {
	Build string
	Step  string
	Err   error
	Tail  []string // last lines of the step's output
	Log   string   // where all of it is
}

// Error is what failed, why, and where to read more.
func (e *StepError) Error() string {
	text := fmt.Sprintf("build step %s: %v", e.Step, e.Err)
	if len(e.Tail) > 0 {
		text += "; last output: " + strings.Join(e.Tail, " | ")
	}
	return text + " (" + e.Log + ")"
}

func (e *StepError) Unwrap() error { return e.Err }

// tailLines is how much of a step's output goes with its error.
const tailLines = 6

// tail answers the last lines of f from offset on.
func tail(f *os.File, offset int64) []string {
	const most = 16 << 10
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end <= offset {
		return nil
	}
	from := max(offset, end-most)
	text := make([]byte, end-from)
	n, _ := f.ReadAt(text, from) // what could be read is shown
	var lines []string
	for line := range bytes.Lines(text[:n]) {
		if s := strings.TrimSpace(strings.ToValidUTF8(string(line), "?")); s != "" {
			lines = append(lines, s)
		}
	}
	return lines[max(len(lines)-tailLines, 0):]
}

// command is one process of a build.
type command struct {
	argv  []string
	dir   string
	env   []string
	extra *os.File // becomes descriptor 3
	as    config.Identity
	umask fs.FileMode
}

// afterTerm is how long a cancelled process may take to clean up.
const afterTerm = 2 * time.Second

// run runs c with its output in log, until it ends, limit has passed or ctx
// ends; then its whole tree is ended. mark is an entry of its environment by
// which processes that left its group are found.
func (c command) run(ctx context.Context, log *os.File, limit time.Duration, mark string) error {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The shell sets the umask, which Go cannot do for one child, and is gone.
	argv := append([]string{"-c", `umask "$1"; shift; exec "$@"`, "sh", fmt.Sprintf("%04o", uint32(c.umask))}, c.argv...)
	cmd := exec.Command("/bin/sh", argv...)
	cmd.Dir, cmd.Env = c.dir, append(c.env, mark)
	cmd.Stdout, cmd.Stderr = log, log // files: a grandchild that lives on holds up nobody
	if c.extra != nil {
		cmd.ExtraFiles = []*os.File{c.extra}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential(c.as)}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.argv[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-timed.Done():
		tell(cmd.Process.Pid, mark, syscall.SIGTERM)
		timer := time.NewTimer(afterTerm)
		select {
		case <-done:
		case <-timer.C:
			tell(cmd.Process.Pid, mark, syscall.SIGKILL)
			<-done
		}
		timer.Stop()
		err = ctx.Err()
		if err == nil {
			err = fmt.Errorf("ended after step_timeout (%v)", limit)
		}
	}
	tell(cmd.Process.Pid, mark, syscall.SIGKILL) // what it left behind
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New(exitWords(exit))
	}
	return err
}

func exitWords(e *exec.ExitError) string {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("killed by %v", status.Signal())
	}
	return fmt.Sprintf("exit code %d", e.ExitCode())
}

func credential(id config.Identity) *syscall.Credential {
	if id.Own() {
		return nil
	}
	c := &syscall.Credential{Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid()), Groups: id.Groups}
	if id.UID >= 0 {
		c.Uid = uint32(id.UID)
	}
	if id.GID >= 0 {
		c.Gid = uint32(id.GID)
	}
	return c
}

// tell sends a signal to the process group of a step, and to whoever else
// carries its mark. The group's number cannot have been taken by another: it
// is the one of a session whose leader we waited for just now.
func tell(group int, mark string, sig syscall.Signal) {
	_ = syscall.Kill(-group, sig) // ESRCH: nobody is left
	found, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return // the pattern is good
	}
	entry := []byte("\x00" + mark + "\x00")
	for _, path := range found {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), entry) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(pid, sig) // it may have ended meanwhile
		}
	}
}
