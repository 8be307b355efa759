package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// EndFound ends processes that are nobody's child of ours: SIGTERM with SIGCONT to all,
// SIGKILL to those that are still there after grace, and a second look at the end. It
// signals by pidfd after comparing start times, so that a recycled pid is never
// hit. An error names a process that did not end.
func EndFound(ctx context.Context, found []Found, grace time.Duration) error {
	open := map[Found]int{}
	defer func() {
		for _, fd := range open {
			unix.Close(fd) // nothing was written through it
		}
	}()
	var errs []error
	for _, f := range found {
		fd, err := f.open()
		if err != nil {
			errs = append(errs, err)
		} else if fd >= 0 {
			open[f] = fd
		}
	}
	tell := func(sig unix.Signal) {
		for f, fd := range open {
			if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, fmt.Errorf("signal process %d: %w", f.Pid, err))
			}
		}
	}
	tell(unix.SIGTERM)
	tell(unix.SIGCONT)
	if !awaitEnd(ctx, open, grace) {
		tell(unix.SIGKILL)
		if !awaitEnd(ctx, open, afterKill) {
			errs = append(errs, fmt.Errorf("%d processes do not end", len(open)))
		}
	}
	return errors.Join(errs...)
}

// afterKill is how long the kernel may take to end what was killed.
const afterKill = 5 * time.Second

// open returns a pidfd of the process, or -1 where it has ended.
func (f Found) open() (int, error) {
	fd, err := unix.PidfdOpen(f.Pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.PidfdOpen(f.Pid, 0) // before Linux 5.10
	}
	if errors.Is(err, unix.ESRCH) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", f.Pid, err)
	}
	if start, err := StartTime(f.Pid); err != nil || start != f.StartTime {
		unix.Close(fd) // somebody else's by now
		return -1, nil
	}
	return fd, nil
}

// awaitEnd waits until all have ended, and forgets them as they do.
func awaitEnd(ctx context.Context, open map[Found]int, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		for f, fd := range open {
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(poll, 0); err == nil && n == 1 {
				unix.Close(fd) // nothing was written through it
				delete(open, f)
			}
		}
		if len(open) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}
