package cli

import (
	"context"
	"errors"
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
	ctx, cancel := context.WithCancelCause(ctx)
	came := make(chan os.Signal, 1)
	signal.Notify(came, ends...)
	go func() {
		defer signal.Stop(came)
		select {
		case sig := <-came:
			cancel(signaled{sig.(syscall.Signal)}) // all that os/signal sends are
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// signaled is the cause of a context that a signal has ended.
type signaled struct{ syscall.Signal }

func (s signaled) Error() string { return s.String() }

// stopped gives the error of a command that was interrupted the exit code that a shell gives to a program which
// the same signal ends: 130 after Ctrl-C.
func stopped(ctx context.Context, err error) error {
	if by := (signaled{}); errors.As(context.Cause(ctx), &by) {
		return exitError{exitSignaled + int(by.Signal), err}
	}
	return err
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
