package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
)

// bodyError is an error in reading the client's body, not a fault of the build.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the client's body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// limitStalls returns a w and an r whose body fail if the client does not send or accept anything
// for the time of stall, with no limit on the total time. done is to be called when the request has
// been answered.
func limitStalls(w http.ResponseWriter, r *http.Request, stall time.Duration) (_ http.ResponseWriter, _ *http.Request, done func()) {
	// Dropped errors in this file: a writer that has no deadlines or duplex (a test's recorder)
	// works without them.
	c := http.NewResponseController(w)
	// What is still buffered is written afterwards, to a client that may not take it: the deadline
	// stays until the next request sets its own.
	soon := func() { c.SetWriteDeadline(time.Now().Add(stall)) }
	soon() // for "100 Continue"
	done = soon
	client := clientOf(r.Context())
	w = &steadyWriter{ResponseWriter: w, conn: c, stall: stall, client: client}
	if r.Body == nil || r.Body == http.NoBody {
		return w, r, done
	}
	c.EnableFullDuplex() // the response may begin while the body is still coming
	body := &steadyBody{ReadCloser: r.Body, conn: c, stall: stall, client: client}
	// A copy: net/http looks at its own request's body to see whether the connection can be used
	// again.
	r = r.WithContext(r.Context())
	r.Body = body
	return w, r, func() {
		body.Close()
		soon()
	}
}

// steadyBody is a request's body whose every Read has a deadline. Between Reads there is none: the
// server goes on reading from the connection to notice a client that leaves, and would take a late
// deadline for that.
type steadyBody struct {
	io.ReadCloser
	conn   *http.ResponseController
	stall  time.Duration
	client *clientConn

	mu      sync.Mutex // not held while reading
	ended   bool       // read to its end
	stalled bool
	closed  bool
}

func (b *steadyBody) Read(p []byte) (int, error) {
	if !b.deadline(time.Now().Add(b.stall)) {
		// http.Transport may keep reading after an early response
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	b.deadline(time.Time{})
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == io.EOF {
		b.ended = true
		return n, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !b.closed {
		b.stalled = true
		err = fmt.Errorf("client sent nothing for %v", b.stall)
	}
	return n, &bodyError{err}
}

// deadline sets the connection's read deadline, unless b is closed.
func (b *steadyBody) deadline(t time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.conn.SetReadDeadline(t)
	}
	return !b.closed
}

// lingerTimeout is how long the rest of a body is read and discarded after the response, like
// Nginx's lingering_timeout. Without it, a client that is still sending would see a reset
// connection instead of the response.
const lingerTimeout = 5 * time.Second

// Close ends a Read under way and lets the server read and discard a rest of moderate size. Without
// the deadline, that would wait for the client forever.
func (b *steadyBody) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	switch {
	case b.stalled:
		b.conn.SetReadDeadline(time.Now())
	case !b.ended:
		b.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	}
	b.mu.Unlock()
	err := b.ReadCloser.Close()
	b.conn.SetReadDeadline(time.Time{})
	if err != nil && b.client != nil {
		// Otherwise net/http, in full duplex, would treat the rest as the next request.
		b.client.ended.Store(true)
	}
	return err
}

// clientConn is a client's connection that can be made to end: what its client sends later is not
// read.
type clientConn struct {
	net.Conn
	spoke atomic.Bool // sent anything
	ended atomic.Bool
}

func (c *clientConn) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, io.EOF
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.spoke.Store(true)
	}
	return n, err
}

// unread reports whether the client has sent something that was not read yet.
func (c *clientConn) unread() bool { return bound.Unread(c.Conn) }

// becomes says what the connection is doing. c may be nil.
func (c *clientConn) becomes(state bound.State) {
	if c == nil {
		return
	}
	if b := bound.Of(c.Conn); b != nil {
		b.Becomes(state)
	}
}

// CloseWrite is what net/http looks for to end a connection without a reset.
func (c *clientConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

type clientConns struct {
	net.Listener
	once sync.Once
	err  error
}

// Close closes the listener, once: net/http does so again.
func (l *clientConns) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

func (l *clientConns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: c}, nil
}

type clientKey struct{}

func withClient(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// clientOf returns nil if the request does not come from Serve.
func clientOf(ctx context.Context) *clientConn {
	c, _ := ctx.Value(clientKey{}).(*clientConn)
	return c
}

type steadyWriter struct {
	http.ResponseWriter
	conn   *http.ResponseController
	stall  time.Duration
	client *clientConn
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	defer w.begin()()
	return w.ResponseWriter.Write(p)
}

// WriteHeader sends a head, at once if it is that of an interim response.
func (w *steadyWriter) WriteHeader(status int) {
	defer w.begin()()
	w.ResponseWriter.WriteHeader(status)
}

// FlushError sends what is buffered.
func (w *steadyWriter) FlushError() error {
	defer w.begin()()
	return w.conn.Flush()
}

// begin begins to wait for the client to take something.
func (w *steadyWriter) begin() (end func()) {
	w.client.becomes(bound.Taking)
	w.conn.SetWriteDeadline(time.Now().Add(w.stall)) // dropped: see limitStalls
	return func() { w.client.becomes(bound.Working) }
}

// Unwrap gives http.ResponseController what it needs to flush and to hijack.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
