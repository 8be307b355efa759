package front

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
)

// The limits for clients.
const (
	HeaderTimeout  = 10 * time.Second // to send a request's head
	IdleTimeout    = 75 * time.Second // between two requests of a connection
	StallTimeout   = 60 * time.Second // to send, or take, the next piece of a body
	MaxHeaderBytes = 64 << 10         // of a request's head
)

// Server serves HTTP to clients that may be slow, silent, many or hostile: their connections are
// bounded, and none takes longer over anything than the limits say. Make one by [NewServer] or
// [New]. All its methods may be called concurrently.
type Server struct {
	name    string
	log     hclog.Logger
	handler http.Handler
	stall   time.Duration // for a client to send, or take, the next piece of a body
	open    bound.Set
}

// NewServer returns a Server of h, which has a name for logs. The contexts of h's requests end when
// Serve is to end.
func NewServer(name string, log hclog.Logger, h http.Handler) *Server {
	return newServer(name, log, untilEnd{h}, ownStall)
}

func newServer(name string, log hclog.Logger, h http.Handler, stall time.Duration) *Server {
	s := &Server{name: name, log: log, handler: h, stall: stall}
	s.open.Refuse = bound.Unavailable
	return s
}

// ownStall is StallTimeout where responses are small, or streams that nobody has to follow.
const ownStall = 10 * time.Second

// Limit sets how many clients may be connected at once, in all and from one address.
func (s *Server) Limit(l bound.Limits) { s.open.Limit(l) }

// untilEnd is a handler whose requests end when Serve is to end.
type untilEnd struct{ http.Handler }

func (u untilEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if ending, ok := ctx.Value(endingKey{}).(context.Context); ok {
		defer context.AfterFunc(ending, cancel)()
	}
	u.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// serveOne passes one request to the handler.
func (s *Server) serveOne(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// A request may have had a Content-Length as well, which net/http has taken away. A proxy
		// before us that went by that would take what follows for another client's request
		// (RFC 9112, 6.1).
		w.Header().Set("Connection", "close")
	}
	w, r, done := limitStalls(w, r, s.stall)
	defer done()
	s.handler.ServeHTTP(w, r)
}

// Serve serves clients on ln, which it closes, until ctx ends. Then it accepts no more connections,
// gives the requests under way at most drain to finish and cuts off the rest, which is an error.
// All its goroutines have ended when it returns.
func (s *Server) Serve(ctx context.Context, ln net.Listener, drain time.Duration) error {
	base, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	underWay := newUnderWay() // draining does not count upgraded connections
	clients := clients{open: map[*clientConn]clientState{}}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !underWay.begin() {
				panic(http.ErrAbortHandler) // Serve is returning
			}
			defer underWay.end()
			if clients.ending.Load() && r.Header.Get("Upgrade") == "" {
				w.Header().Set("Connection", "close")
			}
			s.serveOne(w, r)
		}),
		BaseContext:       func(net.Listener) context.Context { return context.WithValue(base, endingKey{}, ctx) },
		ConnContext:       withClient,
		ConnState:         clients.changed,
		ReadHeaderTimeout: HeaderTimeout,
		IdleTimeout:       IdleTimeout,
		MaxHeaderBytes:    MaxHeaderBytes,
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	serving := make(chan error, 1)
	conns := &clientConns{Listener: s.open.Listen(ln)}
	go func() { serving <- server.Serve(conns) }()
	select {
	case err := <-serving:
		cutOff()
		server.Close() // its connections; the listener's end is the error to report
		<-underWay.over()
		return fmt.Errorf("serve http on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}

	deadline, cancel := context.WithTimeout(base, drain)
	defer cancel()
	clients.ending.Store(true) // before listening ends, so that clients that come then are told
	conns.Close()              // serving returns its error
	<-serving                  // only then are all accepted clients known
	err := clients.drain(deadline)
	over := underWay.over()
	if err == nil {
		select {
		case <-over:
		case <-deadline.Done():
			err = deadline.Err()
		}
	}
	cutOff()
	server.Close() // nothing is left to be graceful about
	<-over
	if err != nil {
		return fmt.Errorf("drain http on %s: requests cut off after %v: %w", ln.Addr(), drain, err)
	}
	return nil
}

// endingKey is the key under which a request's context has a second context, which ends when Serve
// is told to end. The request's own only ends when it is cut off.
type endingKey struct{}

// clients are the connections of a server. Its Shutdown would drop accepted clients whose request
// was not read yet, without a response (net/http, conn.serve, "if c.server.shuttingDown()", and
// closeIdleConns, which does not ask the kernel what has arrived); drain serves them first.
type clients struct {
	ending atomic.Bool // each response is the last of its connection
	mu     sync.Mutex
	open   map[*clientConn]clientState
}

type clientState struct {
	http.ConnState
	since time.Time
}

func (c *clients) changed(conn net.Conn, state http.ConnState) {
	client, ok := conn.(*clientConn)
	if !ok {
		return // not from Serve's listener
	}
	switch state {
	case http.StateActive, http.StateHijacked:
		client.becomes(bound.Working)
	case http.StateIdle:
		client.becomes(bound.Idle)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(c.open, client)
		return
	}
	c.open[client] = clientState{state, time.Now()}
}

const (
	// silentFor is how long a client that has connected may send nothing while the server drains:
	// browsers connect in advance.
	silentFor = time.Second
	// idleFor is the same between two requests: a busy client gets a response that says it is the
	// last, which is better than a closed connection.
	idleFor = 50 * time.Millisecond
)

// drain waits until every accepted request is answered and its connection closed, or ctx ends. The
// listener is closed already, and ending is true.
func (c *clients) drain(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if c.closeSilent() == 0 {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// closeSilent closes connections that have sent nothing, and returns how many are left.
func (c *clients) closeSilent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for client, state := range c.open {
		silent := time.Since(state.since)
		switch {
		case state.ConnState == http.StateNew && !client.spoke.Load() && silent > silentFor,
			state.ConnState == http.StateIdle && silent > idleFor:
			if !client.unread() {
				client.Close() // no request is lost
			}
		}
	}
	return len(c.open)
}

// underWay counts requests. (A WaitGroup forbids what may happen here: a request that begins while
// the end of the last one is awaited.)
type underWay struct {
	mu      sync.Mutex
	n       int
	closing bool
	none    chan struct{} // closed when closing and n is 0
}

func newUnderWay() *underWay { return &underWay{none: make(chan struct{})} }

func (u *underWay) begin() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closing {
		return false
	}
	u.n++
	return true
}

func (u *underWay) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n--; u.n == 0 && u.closing {
		close(u.none)
	}
}

// over lets no more requests begin. Its channel is closed when all have ended. It is called once.
func (u *underWay) over() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closing = true
	if u.n == 0 {
		close(u.none)
	}
	return u.none
}
