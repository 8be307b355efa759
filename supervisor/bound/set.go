package bound

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits are how many connections may be open at once. The zero Limits are none.
type Limits struct {
	Total      int
	PerAddress int // of one client: an IPv4 address, or a network of IPv6 (/64)
}

// Set is the open connections of one server, over all its listeners. The zero Set has no limits.
type Set struct {
	// Refuse is called with a connection for which there is no room, which is closed afterwards; it
	// must not block. Nil: the connection is closed without a word. It is set before the first Accept.
	Refuse func(net.Conn)

	mu     sync.Mutex
	limits Limits
	many   []netip.Prefix
	open   map[*Conn]struct{}
	from   map[netip.Prefix]int // how many of them, by client
	counts Counts
}

// Counts is what became of connections since the Set was made.
type Counts struct {
	Refused uint64 // there was no room
	Closed  uint64 // to make room for another
}

// Limit sets the limits. Connections that are open stay so.
func (s *Set) Limit(l Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
}

// Many names clients of which each is many, such as proxies: only Total bounds them.
func (s *Set) Many(all []netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.many = all
}

// Counts returns the counts so far.
func (s *Set) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Open returns how many connections are open.
func (s *Set) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Listen wraps a listener: what it accepts is a *Conn of the Set.
func (s *Set) Listen(ln net.Listener) net.Listener { return &listener{ln, s} }

type listener struct {
	net.Listener
	set *Set
}

// Accept waits for the next client for whom there is room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if conn := l.set.Admit(c); conn != nil {
			return conn, nil
		}
	}
}

// Admit makes a connection a *Conn of the Set. Where there is no room for it, it is closed and the result
// is nil.
func (s *Set) Admit(c net.Conn) net.Conn {
	if conn := s.add(c); conn != nil {
		return conn
	}
	if s.Refuse != nil {
		s.Refuse(c)
	}
	c.Close() // nothing was promised to it
	return nil
}

// add makes c part of the set. It returns nil where there is no room.
func (s *Set) add(c net.Conn) *Conn {
	from, known := clientOf(c)
	conn := &Conn{Conn: c, set: s, from: from, state: Sending, since: time.Now()}
	var closed *Conn
	defer func() {
		if closed != nil {
			closed.Close() // outside of the lock: it may take it
		}
	}()
	s.mu.Lock()
	defer s.mu.Unlock()
	own := known && s.limits.PerAddress > 0 && !slices.ContainsFunc(s.many, from.Overlaps) && s.from[from] >= s.limits.PerAddress
	if own || s.limits.Total > 0 && len(s.open) >= s.limits.Total {
		if closed = s.idlest(from, own); closed == nil {
			s.counts.Refused++
			return nil
		}
		s.counts.Closed++
		s.remove(closed)
	}
	if s.open == nil {
		s.open, s.from = map[*Conn]struct{}{}, map[netip.Prefix]int{}
	}
	s.open[conn] = struct{}{}
	s.from[from]++
	return conn
}

// looksAt is how many connections idlest looks at twice: what a client has sent may not be read yet.
const looksAt = 8

// idlest returns the connection that is missed least, of the client at from if own is set: of the
// client that has most, the one of the first State, then the one that has waited longest. It is nil
// where none waits for its client. The caller holds mu.
func (s *Set) idlest(from netip.Prefix, own bool) *Conn {
	skip := map[*Conn]bool{}
	var first *Conn
	for range looksAt {
		var best *Conn
		for c := range s.open {
			if c.waits() && !skip[c] && (!own || c.from == from) && (best == nil || s.before(c, best)) {
				best = c
			}
		}
		if best == nil {
			break
		}
		if !Unread(best.Conn) {
			return best
		}
		if first == nil {
			first = best
		}
		skip[best] = true // its request may just have arrived
	}
	return first
}

func (s *Set) before(a, b *Conn) bool {
	switch {
	case s.from[a.from] != s.from[b.from]:
		return s.from[a.from] > s.from[b.from]
	case a.state != b.state:
		return a.state < b.state
	}
	return a.since.Before(b.since)
}

// remove takes c out of the set. The caller holds mu.
func (s *Set) remove(c *Conn) {
	if _, ok := s.open[c]; !ok {
		return
	}
	delete(s.open, c)
	if s.from[c.from]--; s.from[c.from] == 0 {
		delete(s.from, c.from)
	}
}

// Conn is a connection of a Set.
type Conn struct {
	net.Conn
	set  *Set
	from netip.Prefix

	// guarded by set.mu
	state State
	since time.Time
}

// State is what a connection is doing. A new one is Sending. Those of the first states are closed
// first to make room; one that is Working is not.
type State int

// The states of a connection.
const (
	Idle    State = iota // nothing: a request has ended, and no other was begun
	Sending              // its client is to send the rest of a request
	Taking               // its client is to take the rest of a response
	Working              // the server is at work for its client
)

// takes is how long a client may take over a piece of a response before it is closed to make room.
const takes = 5 * time.Second

// Becomes sets the state.
func (c *Conn) Becomes(state State) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.state, c.since = state, time.Now()
}

// waits reports whether the connection may be closed to make room. The caller holds the set's mu.
func (c *Conn) waits() bool {
	return c.state < Taking || c.state == Taking && time.Since(c.since) > takes
}

// Close closes the connection, and makes room for another.
func (c *Conn) Close() error {
	c.set.mu.Lock()
	c.set.remove(c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends what is sent, if the connection can do that.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Of returns the *Conn in c, or nil: c may be wrapped by something that has NetConn.
func Of(c net.Conn) *Conn {
	for {
		if own, ok := c.(*Conn); ok {
			return own
		}
		outer, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = outer.NetConn()
	}
}

// Unread reports whether the client has sent something that was not read yet: on a busy machine it
// can stay in the kernel for a while.
func Unread(c net.Conn) bool {
	if own, ok := c.(*Conn); ok {
		c = own.Conn
	}
	sock, ok := c.(syscall.Conn)
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

// clientOf returns the client of a connection; false where it has no address of its own, as over a
// unix socket.
func clientOf(c net.Conn) (netip.Prefix, bool) {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	from, err := ip.Prefix(bits)
	return from, err == nil
}
