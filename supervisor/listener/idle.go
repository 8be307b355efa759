package listener

import (
	"context"
	"fmt"
	"os"
)

// idlePause is the longest pause between two looks at the open connections: a look goes through all
// unix sockets of the machine.
const idlePause = 20 * tick

// Idle returns when no connection that was accepted from the socket is open any more, seen three times
// 5 ms apart. It is for the time after Drained: who has been accepted has had the whole response then,
// so that a server which drops what it holds at SIGTERM may be told to end. A client that keeps its
// connection open keeps it waiting. The error wraps ctx's when that ended first, and
// errors.ErrUnsupported where the kernel has no unix_diag.
func (l *Listener) Idle(ctx context.Context) error {
	if err := l.idle(ctx); err != nil {
		return fmt.Errorf("wait for the open connections of %s: %w", l.Path(), err)
	}
	return nil
}

func (l *Listener) idle(ctx context.Context) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return os.ErrClosed
	}
	file, err := l.boundFile()
	if err != nil {
		return err
	}
	wait := tick
	for none := 0; ; {
		open, err := connections(file)
		if err != nil {
			return err
		}
		if open > 0 {
			none, wait = 0, min(2*wait, idlePause)
		} else if none, wait = none+1, tick; none == emptyLooks {
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// connections is how many accepted connections are open: accept(2) gives them the file of their
// listener (net/unix/af_unix.c, unix_stream_connect). Those that still wait in the queue have no inode
// and are not among them.
func connections(file diagFile) (n int, err error) {
	err = everyFile(func(state byte, _ uint32, of diagFile) {
		if state == tcpEstablished && of == file {
			n++
		}
	})
	return n, err
}
