package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// untilInterrupted returns a context that also ends with Ctrl-C, Ctrl-\, SIGTERM or the terminal, so that
// a command that waits can say what continues without it. A second one ends the program at once, as it
// does by default. The caller calls stop.
func untilInterrupted(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP}
	ends = slices.DeleteFunc(ends, signal.Ignored) // by nohup, or a shell that runs it in the background
	ctx, stop = signal.NotifyContext(ctx, ends...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// untilQuit returns a context that also ends with Ctrl-\, which would have a command that only looks print
// the stacks of its goroutines. Ctrl-C ends it as it does by default. The caller calls stop.
func untilQuit(ctx context.Context) (_ context.Context, stop context.CancelFunc) {
	if signal.Ignored(syscall.SIGQUIT) { // by a shell that runs it in the background
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGQUIT)
}

// interrupted says what becomes of an action whose command was interrupted while it waited: it
// continues on the builds for which it was requested, and was not begun on the others.
func interrupted(cl control.Client, action string, requested, others []string) error {
	const name = "medctrl-supervisor"
	look := name + " -c " + cl.File
	if cl.File == "" {
		look = name
	}
	var said []string
	if len(requested) > 0 {
		said = append(said, fmt.Sprintf("the %s of %s continues: see `%s status`, or `%s events -f`", action, strings.Join(requested, ", "), look, look))
	}
	if len(others) > 0 {
		said = append(said, fmt.Sprintf("the %s of %s was not requested any more", action, strings.Join(others, ", ")))
	}
	return fmt.Errorf("interrupted: %s", strings.Join(said, "; "))
}
