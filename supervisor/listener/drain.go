package listener

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Drained returns when the accept queue was seen empty three times 5 ms apart: after the name was
// taken away, no client waits here any more and none will come, and the generation behind it may be
// told to end. It takes no client. The error wraps ctx's when that ended first.
func (l *Listener) Drained(ctx context.Context) error {
	if err := l.drained(ctx); err != nil {
		return fmt.Errorf("drain %s: %w", l.Path(), err)
	}
	return nil
}

func (l *Listener) drained(ctx context.Context) error {
	fd, err := l.dup()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for empty := 0; ; {
		waiting, err := queued(fd)
		if err != nil {
			return err
		}
		if waiting && isShut(fd) { // then poll(2) says so for ever
			n, err := l.queueLen()
			waiting = err == nil && n > 0
		}
		if empty++; waiting {
			empty = 0
		}
		if empty == emptyLooks {
			return nil
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

// queued reports whether a client waits in the accept queue (poll(2): a listening socket is
// readable then).
func queued(fd int) (bool, error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	_, err := unix.Poll(fds, 0)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return false, os.NewSyscallError("poll", err)
	}
	return err == nil && fds[0].Revents != 0, nil
}

// isShut reports whether a listening socket was shut down by somebody who holds it.
func isShut(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd)}}
	_, err := unix.Poll(fds, 0)
	return err == nil && fds[0].Revents&unix.POLLHUP != 0
}

// pause waits for d, or for the end of ctx, whose error it then returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
