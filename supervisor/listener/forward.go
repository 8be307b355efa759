package listener

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// Forward takes the clients that wait in the queue and passes each, both ways, to the socket at
// path to: for the queue of a generation that hangs or is dead, after another took its name. It
// returns once the queue was empty three times 5 ms apart and every client passed is finished, with
// the number of those. A server that still accepts from the same queue does not disturb it.
//
// No client is lost: one that was taken is passed on or answered. While to cannot be connected the
// client waits and it is tried again, for 10 s or until ctx ends; then the answer is 503. A client
// that was passed and has got no answer when ctx ends is answered 504. Those not taken by then stay
// in the queue, and the error wraps ctx's. The last answers may take 2 s beyond its end.
func (l *Listener) Forward(ctx context.Context, to string) (n int, err error) {
	n, err = l.forward(ctx, to)
	if err != nil {
		err = fmt.Errorf("forward the queue of %s to %s: %w", l.Path(), to, err)
	}
	return n, err
}

func (l *Listener) forward(ctx context.Context, to string) (int, error) {
	fd, err := l.dup()
	if err != nil {
		return 0, err
	}
	a := &acceptor{listener: l, fd: fd, release: func() {}} // looks each tick, so it needs no epoll
	defer a.close()
	p := passage{to: to, build: filepath.Base(filepath.Dir(to)), connect: 10 * time.Second, linger: time.Second}
	const most = 256 // at a time; the others wait in the queue
	var under, passed atomic.Int64
	var wg sync.WaitGroup
	for empty := 0; empty < emptyLooks || under.Load() > 0; {
		var c *client
		if ctx.Err() == nil && under.Load() < most {
			c, err = a.accept()
			if errors.Is(err, unix.EINVAL) && isShut(fd) {
				err = nil // nobody waits, and nobody will come
			}
			if err != nil && !errors.Is(err, errShort) {
				break
			}
		}
		if c != nil {
			empty = 0
			under.Add(1)
			wg.Go(func() {
				defer under.Add(-1)
				if p.pass(ctx, c) {
					passed.Add(1)
				}
			})
			continue
		}
		if err == nil && under.Load() < most {
			empty++
		}
		if err = pause(ctx, tick); err != nil {
			break
		}
	}
	wg.Wait()
	return int(passed.Load()), err
}

// copyBytes is the size of a buffer; there are two a client.
const copyBytes = 8 << 10

// passage carries clients to one socket.
type passage struct {
	to      string
	build   string        // as named to a client that cannot be passed
	connect time.Duration // how long to try
	linger  time.Duration // how long a client may take to finish once it has its response
}

// pass carries one client and closes it. It reports whether the client was carried to the end.
func (p passage) pass(ctx context.Context, c *client) bool {
	defer c.Close()
	server, err := p.dial(ctx)
	if err != nil {
		// Not ctx: that may have ended, and the client still gets its response.
		unavailable(p.build, time.Second).give(context.WithoutCancel(ctx), c, limits{head: p.linger, linger: p.linger})
		return false
	}
	defer server.Close()
	release := atEnd(ctx, func() {
		c.SetDeadline(past)
		server.SetDeadline(past)
	})
	answered := p.carry(c, server)
	release()
	if ctx.Err() != nil && answered == 0 {
		cutShort(p.build).write(c, false, p.linger)
		return false
	}
	return true
}

// carry copies both ways until the server has said all, and returns how many bytes the client got.
func (p passage) carry(c *client, server *net.UnixConn) (answered int64) {
	var request sync.WaitGroup
	request.Go(func() {
		io.CopyBuffer(server, struct{ io.Reader }{c}, make([]byte, copyBytes)) // an error is the end of either side, which the other copy tells apart
		server.CloseWrite()
		// The server may have answered without reading it all: take the rest, so that the client
		// comes to read.
		io.Copy(io.Discard, c)
	})
	answered, err := io.CopyBuffer(c, struct{ io.Reader }{server}, make([]byte, copyBytes))
	if !errors.Is(err, os.ErrDeadlineExceeded) { // after that, the end of ctx, there may be a response of ours
		c.CloseWrite() // also where the server broke off: the client sees the end that it would have seen there
	}
	c.SetReadDeadline(time.Now().Add(p.linger))
	request.Wait()
	return answered
}

// dial connects to the server, again and again while it does not listen or its queue is full.
func (p passage) dial(ctx context.Context) (*net.UnixConn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.connect)
	defer cancel()
	for wait := tick; ; wait = min(2*wait, 10*tick) {
		c, err := sockaddr.Dial(ctx, p.to)
		if err == nil {
			return c.(*net.UnixConn), nil
		}
		if pause(ctx, wait) != nil {
			return nil, err
		}
	}
}
