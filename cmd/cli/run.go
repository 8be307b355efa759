package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/medctrl/medctrl-supervisor/cmd/cli/show"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/logsink"
)

// The exit codes of every command.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNoSupervisor = 3
	exitSignaled     = 128 // and the signal's number
)

// Run carries out a command line, given without the program's name, and returns its exit code.
// version is that of the program.
func Run(ctx context.Context, version string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := Root(version)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	code := exitFailed
	if e, ok := err.(exitError); ok {
		code, err = e.code, e.err
	}
	if err == nil {
		return code
	}
	hint := ""
	switch {
	case code == exitUsage && cmd.HasParent():
		hint = fmt.Sprintf(" (see: medctrl-supervisor help %s)", cmd.Name())
	case code == exitUsage:
		hint = " (see: medctrl-supervisor help)"
	default:
		hint = advice(err, root.Flag("config").Value.String())
	}
	// It may be a child's own words.
	said := show.Escape(stderr, fmt.Sprintf("medctrl-supervisor: %v%s", err, hint))
	if stderr == io.Writer(os.Stderr) {
		stderr = leveled(stderr, logsink.IsJournal(os.Environ(), os.Stderr.Fd())) // why a start or a reload failed
	}
	fmt.Fprintln(stderr, said)
	return code
}

// exitError ends the program with a code of its own. With a nil err nothing is printed: everything
// was said before.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func usage(err error) error { return exitError{exitUsage, err} }

// requested gives the error of a request to the supervisor its exit code.
func requested(err error) error {
	if errors.Is(err, control.ErrNoSupervisor) {
		return exitError{exitNoSupervisor, err}
	}
	return err
}

// advice returns what to do about an error that comes from reading the list of builds, "" for any
// other error.
func advice(err error, file string) string {
	var path *os.PathError
	if !errors.As(err, &path) || path.Path != file {
		return ""
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return ": name the right file with -c FILE, or in $MEDCTRL_CONFIG"
	case errors.Is(err, os.ErrPermission):
		return ": run the command as root, or as a user who may read that file"
	}
	return ""
}
