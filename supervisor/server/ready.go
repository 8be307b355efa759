package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Words is where a server's workers say that they are ready, one word at a time.
type Words interface {
	// Next returns the next word. It fails when ctx ends, or when no more can come.
	Next(ctx context.Context) ([]byte, error)
	Close() error
}

// Await waits for the word of as many living workers as there are to be. alive reports whether the
// process with a pid is still there. The error says how many have loaded the application when ctx
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
		if _, err := fmt.Sscanf(string(word), "%d %d", &pid, &want); err != nil {
			continue // not our hook's word: the application may write what it likes
		}
		said[pid] = true
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

// Pair makes the two ends over which workers say that they are ready: ours, and the descriptor that
// the server inherits as MEDCTRL_READY_FD. Datagrams, so that no word of one worker mixes with
// another's.
func Pair() (ours Words, servers *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make readiness socket: %w", err)
	}
	return datagrams{os.NewFile(uintptr(fds[0]), "ready")}, os.NewFile(uintptr(fds[1]), "ready of the server"), nil
}

// datagrams is our end of a Pair.
type datagrams struct{ *os.File }

// Next returns the next word.
func (d datagrams) Next(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		// A deadline in the past makes Read return; the only error is that the file is closed, which
		// does so too.
		_ = d.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	word := make([]byte, 64)
	n, err := d.Read(word)
	return word[:n], err
}
