package front

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bodyError is an error in reading the client's body, not a fault of the build.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the client's body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// errStalled says that a client stopped sending its body.
var errStalled = errors.New("client sent nothing for " + StallTimeout.String())

// limitStalls returns a w and an r whose body fail if the client does not send or accept anything
// for StallTimeout, with no limit on the total time. done is to be called when the request has been
// answered.
func limitStalls(w http.ResponseWriter, r *http.Request) (_ http.ResponseWriter, _ *http.Request, done func()) {
	// Dropped errors in this file: a writer that has no deadlines or duplex (a test's recorder)
	// works without them.
	c := http.NewResponseController(w)
	done = func() { c.SetWriteDeadline(time.Time{}) }
	w = &steadyWriter{ResponseWriter: w, conn: c}
	if r.Body == nil || r.Body == http.NoBody {
		return w, r, done
	}
	c.EnableFullDuplex() // the response may begin while the body is still coming
	body := &steadyBody{ReadCloser: r.Body, conn: c, client: clientOf(r.Context())}
	// A copy: net/http looks at its own request's body to see whether the connection can be used
	// again.
	r = r.WithContext(r.Context())
	r.Body = body
	return w, r, func() {
		body.Close()
		c.SetWriteDeadline(time.Time{})
	}
}

// steadyBody is a request's body whose every Read has a deadline. Between Reads there is none: the
// server goes on reading from the connection to notice a client that leaves, and would take a late
// deadline for that.
type steadyBody struct {
	io.ReadCloser
	conn   *http.ResponseController
	client *clientConn

	mu      sync.Mutex // not held while reading
	ended   bool       // read to its end
	stalled bool
	closed  bool
}

func (b *steadyBody) Read(p []byte) (int, error) {
	if !b.deadline(time.Now().Add(StallTimeout)) {
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
		err = errStalled
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

// unread reports whether the client has sent something that was not read yet: on a busy machine it
// can stay in the kernel for a while.
func (c *clientConn) unread() bool {
	sock, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return false // closed already
	}
	n := 0
	if err := raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }); err != nil {
		return false
	}
	return n > 0
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
	conn *http.ResponseController
}

func (w *steadyWriter) Write(p []byte) (int, error) {
	w.conn.SetWriteDeadline(time.Now().Add(StallTimeout))
	return w.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController what it needs to flush and to hijack.
func (w *steadyWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
