package world

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

// runner starts one-off commands, the steps of builds and hooks, in the same table as the children.
// So they have what children have: a session and a cgroup of their own, no inherited descriptors,
// and an end of everything they started.
type runner struct{ table *process.Table }

var _ build.Runner = runner{}

// newRunner returns the Runner of build.Options. Its method Run is for hooks.
func newRunner(t *process.Table) runner { return runner{t} }

// Start starts a command of a build.
func (r runner) Start(c build.Command) (build.Process, error) { return r.startWithin(c, "") }

// startWithin starts one that counts in the limits of a build; "" is that it has those of its own.
func (r runner) startWithin(c build.Command, name string) (build.Process, error) {
	spec := confined(specOf(c), c.NewPrivs, c.Capable, oomCommand)
	spec.Within = name
	done, err := confine(&spec, c.Box)
	if err != nil {
		return nil, err
	}
	defer done()
	child, err := r.table.Spawn(spec, nil)
	if err != nil {
		return nil, err
	}
	return runningCommand{child}, nil
}

func specOf(c build.Command) process.Spec {
	return process.Spec{
		Argv: c.Argv, Env: c.Env, Dir: c.Dir, User: (*process.Credential)(c.User), Umask: c.Umask,
		Stdout: c.Stdout, Stderr: c.Stderr, Extra: c.Extra, Task: c.Mark,
		Limits: treeLimits(c.Limits), Rlimits: processLimits(c.Limits),
	}
}

// Running returns the marks, beginning with prefix, of commands of which something is still
// running.
func (r runner) Running(prefix string, user int) ([]string, error) {
	return r.table.FindTasks(prefix, user)
}

// Alive reports whether the process with that identity is running.
func (runner) Alive(identity string) bool { return process.Alive(identity) }

// End kills what is left of a command.
func (r runner) End(ctx context.Context, mark string, user int) error {
	return r.table.EndTask(ctx, mark, user, 0)
}

// runningCommand is a command that was started.
type runningCommand struct{ *process.Child }

// Wait waits for its end, and ends what it left behind.
func (c runningCommand) Wait(ctx context.Context, grace time.Duration) error {
	exit, err := c.Child.Wait(ctx, grace)
	if err == nil && !exit.Clean() {
		err = errors.New(exit.String())
		if n := c.OOMKills(); n > 0 {
			words := exit.String()
			if exit.OOM == nil {
				words += "; the kernel killed what it had started: " + c.OutOfMemory().String()
			}
			err = &build.OutOfMemoryError{Kills: n, Words: words}
		}
	}
	return err
}

const (
	// outputKept is how much of a hook's output Run returns.
	outputKept = 1 << 10
	// outputHeld is about how much of it is kept in memory, and trimEvery how often the excess is
	// given back.
	outputHeld = 1 << 20
	trimEvery  = 250 * time.Millisecond
)

// Run runs a command to its end and returns the end of what it printed. When ctx ends
// first, the command is killed with everything it started, and the error is the cause of
// ctx. Otherwise the error is nil for exit code 0, or says how the command ended or why it
// could not be started. What the command leaves behind is killed.
//
// The command's Stdout and Stderr are set by Run, and its Mark where it has none.
func (r runner) Run(ctx context.Context, c build.Command) (output string, err error) {
	return r.runWithin(ctx, c, "")
}

// runWithin runs one that counts in the limits of the build called name.
func (r runner) runWithin(ctx context.Context, c build.Command, name string) (output string, err error) {
	out, err := outputFile()
	if err != nil {
		return "", err
	}
	defer out.Close() // an error loses nothing: the file is in memory
	c.Stdout, c.Stderr = out, nil
	if c.Mark == "" {
		c.Mark = "command/" + rand.Text() // unique, even among those of earlier supervisors
	}
	p, err := r.startWithin(c, name)
	if err != nil {
		return "", err
	}
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for waiting := true; waiting; {
		select {
		case <-p.Done():
			waiting = false
		case <-ctx.Done():
			waiting = false
		case <-trim.C:
			trimOutput(out)
		}
	}
	err = p.Wait(ctx, 0)
	return lastOutput(out), err
}

// outputFile makes an unnamed file for a command's output. It is a file and not a pipe: a pipe
// would be held open by a daemon, and would break when this program ends.
func outputFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file for output: %w", os.NewSyscallError("memfd_create", err))
	}
	return os.NewFile(uintptr(fd), "output"), nil
}

// trimOutput gives back the memory of all but the last outputHeld bytes.
func trimOutput(f *os.File) {
	info, err := f.Stat()
	if err != nil || info.Size() <= outputHeld {
		return // an error only costs memory
	}
	// A failure only costs memory, too.
	_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, info.Size()-outputHeld)
}

// lastOutput returns the last bytes of a command's output, without white space around them.
func lastOutput(f *os.File) string {
	info, err := f.Stat()
	if err != nil {
		return "" // does not happen to an open file
	}
	from := max(0, info.Size()-outputKept)
	text, err := io.ReadAll(io.NewSectionReader(f, from, outputKept))
	if err != nil {
		return "" // does not happen either, and the output is only for people
	}
	return strings.TrimSpace(string(text))
}
