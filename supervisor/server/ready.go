package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Words is where a server's workers report that they are ready, one message at a time.
type Words interface {
	// Next returns the next message. It fails when ctx ends, or when no more can come.
	Next(ctx context.Context) ([]byte, error)
	Close() error
}

// Await waits until as many living workers as there should be have reported. alive reports whether
// the process with a pid still exists. The error says how many had loaded the application when ctx
// ended.
func Await(ctx context.Context, words Words, alive func(pid int) bool) error {
	said, want := map[int]bool{}, 0
	for {
		word, err := words.Next(ctx)
		if err != nil {
			if want == 0 {
				return errors.New("no worker has loaded the application")
			}
			return fmt.Errorf("%d of %d workers have loaded the application", len(said), want)
		}
		var pid int
		var of int
		if _, err := fmt.Sscanf(string(word), "%d %d", &pid, &of); err != nil || pid <= 1 || of < 1 {
			continue // not from our hook: the application may write what it likes
		}
		want, said[pid] = of, true
		for pid := range said {
			if !alive(pid) {
				delete(said, pid)
			}
		}
		if len(said) >= want {
			return nil
		}
	}
}

// Pair makes the two ends over which workers report that they are ready: ours, and the descriptor
// that the server inherits as MEDCTRL_READY_FD. They are datagram sockets, so that the messages of
// two workers never mix.
func Pair() (ours Words, servers *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make readiness socket: %w", err)
	}
	return datagrams{os.NewFile(uintptr(fds[0]), "ready")}, os.NewFile(uintptr(fds[1]), "ready of the server"), nil
}

// datagrams is our end of a Pair.
type datagrams struct{ *os.File }

// Next returns the next message.
func (d datagrams) Next(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		// A deadline in the past makes Read return; the only possible error is that the file is
		// closed, which does the same.
		_ = d.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	word := make([]byte, 64)
	n, err := d.Read(word)
	return word[:n], err
}
