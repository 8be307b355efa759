package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

const (
	// fullQueueWait is how long a request waits for room in a full accept queue.
	fullQueueWait = time.Second
	// dialPause is the mean time between two tries to connect.
	dialPause = 20 * time.Millisecond
	// retryPause is the mean time before a broken request is sent again. When a whole tree is being
	// killed, process by process, an immediate second request would be lost with it.
	retryPause = 20 * time.Millisecond
)

// newTransport makes the transport that connects to the socket of the request's target, with a new
// connection for each request.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dial(ctx, targetOf(ctx).Socket)
			if err != nil {
				return nil, err
			}
			return buildConn{conn}, nil
		},
		DisableKeepAlives:  true,
		DisableCompression: true, // pass the client's Accept-Encoding or none
		Protocols:          http1(),
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// buildConn lets only Read report that the build has closed the connection. A build may respond
// without reading the whole body (413) and close: then the next write fails while the response
// waits to be read, and http.Transport would report the write.
type buildConn struct{ net.Conn }

func (c buildConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(p), nil
	}
	return n, err
}

// dialError says that no connection was made, so nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// dial connects to a build. A full accept queue (EAGAIN, unix(7)) is waited
// for; a missing or deaf socket is tried once more, since a name may be
// exchanged between its look-up and the connect.
func dial(ctx context.Context, socket string) (net.Conn, error) {
	deadline := time.Now().Add(fullQueueWait)
	for tries := 1; ; tries++ {
		conn, err := sockaddr.Dial(ctx, socket)
		if err == nil {
			return conn, nil
		}
		full := errors.Is(err, syscall.EAGAIN)
		if ctx.Err() != nil || !full && tries == 2 || !time.Now().Before(deadline) {
			return nil, &dialError{err}
		}
		if err := pause(ctx, dialPause); err != nil {
			return nil, &dialError{err}
		}
	}
}

// pause waits for mean, half more or less, or until ctx ends.
func pause(ctx context.Context, mean time.Duration) error {
	t := time.NewTimer(mean/2 + rand.N(mean)) //nolint:gosec // nobody gains by guessing it
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// twice sends a request a second time if that is safe.
type twice struct {
	once   http.RoundTripper
	counts *counts
}

func (t *twice) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.once.RoundTrip(r)
	if err == nil || !repeatable(r) || !broken(err) || r.Context().Err() != nil {
		return resp, err
	}
	if pause(r.Context(), retryPause) != nil {
		return nil, err
	}
	t.counts.retried.Add(1)
	resp, again := t.once.RoundTrip(r)
	if again != nil {
		return nil, fmt.Errorf("%w (on the second try; the first: %v)", again, err)
	}
	return resp, nil
}

// repeatable reports whether sending r twice has the same effect as once (RFC 9110, 9.2.2) and is
// possible at all: a streamed body is gone after the first time.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	}
	return false
}

// broken reports whether err came after a connection was made and before the head of the response
// was complete. Half a head may look like anything to net/http.
func broken(err error) bool {
	var notServing *dialError // dial has tried again
	var timeout net.Error
	return !errors.As(err, &notServing) && !(errors.As(err, &timeout) && timeout.Timeout())
}

// countedBody counts a response whose body broke off as a lost request.
type countedBody struct {
	io.ReadCloser
	ctx   context.Context
	to    *target
	front *Front
	ended bool
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.ended {
		b.ended = true
		if err != io.EOF && b.ctx.Err() == nil {
			b.to.fail(&b.front.counts.lost)
			if b.to.served != nil {
				b.to.served.cut.Add(1)
			}
			b.front.log.Warn("response broke off", "build", b.to.Build, "error", err)
		}
	}
	return n, err
}
