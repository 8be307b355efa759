package bound

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// far is a connection that seems to come from an address.
type far struct {
	net.Conn
	addr net.Addr
}

func (f far) RemoteAddr() net.Addr { return f.addr }

// queue is a listener that is given its connections.
type queue chan net.Conn

func (q queue) Accept() (net.Conn, error) {
	c, ok := <-q
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (q queue) Close() error   { return nil }
func (q queue) Addr() net.Addr { return &net.TCPAddr{} }

type fixture struct {
	t   *testing.T
	set *Set
	in  queue
	ln  net.Listener
}

func newFixture(t *testing.T, l Limits) *fixture {
	set, in := &Set{}, make(queue, 100)
	set.Limit(l)
	return &fixture{t, set, in, set.Listen(in)}
}

// comes connects a client from ip and returns its end.
func (f *fixture) comes(ip string) (client net.Conn) {
	ours, theirs := net.Pipe()
	f.t.Cleanup(func() { ours.Close(); theirs.Close() })
	f.in <- far{theirs, net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 1))}
	return ours
}

func (f *fixture) accept() *Conn {
	f.t.Helper()
	c, err := f.ln.Accept()
	if err != nil {
		f.t.Fatal(err)
	}
	return Of(c)
}

// closed reports whether a client's connection was closed.
func closed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

func TestFullSetClosesTheOneThatHasWaitedLongest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{Total: 3})
	first := f.comes("192.0.2.1")
	f.accept().Becomes(Working)
	second := f.comes("192.0.2.1")
	f.accept()
	third := f.comes("192.0.2.1")
	f.accept().Becomes(Idle) // it has ended a request, which is closed before one that was begun
	fourth := f.comes("192.0.2.1")
	f.accept()
	if !closed(third) || closed(second) || closed(first) || closed(fourth) {
		t.Error("the idle connection was not the one that was closed")
	}
	fifth := f.comes("192.0.2.1")
	f.accept()
	if !closed(second) || closed(first) || closed(fourth) || closed(fifth) {
		t.Error("the half-sent request that has waited longest was not the one that was closed")
	}
	if got := f.set.Counts(); got != (Counts{Closed: 2}) || f.set.Open() != 3 {
		t.Errorf("%+v, %d open", got, f.set.Open())
	}
}

func TestNewcomerIsRefusedWhereAllAreAtWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{Total: 2})
	var told []net.Conn
	f.set.Refuse = func(c net.Conn) { told = append(told, c) }
	var working []*Conn
	for range 2 {
		f.comes("192.0.2.1")
		c := f.accept()
		c.Becomes(Working)
		working = append(working, c)
	}
	late := f.comes("192.0.2.2")
	close(f.in)
	if _, err := f.ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection above the limit was accepted: %v", err)
	}
	if !closed(late) || len(told) != 1 || f.set.Counts().Refused != 1 {
		t.Errorf("refused %d, counts %+v", len(told), f.set.Counts())
	}
	working[0].Close()
	working[0].Close() // twice is once
	if f.set.Open() != 1 {
		t.Errorf("%d open, want 1", f.set.Open())
	}
}

// One client cannot take the room of others, however many connections it makes.
func TestClientAtItsLimitPaysItself(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{Total: 10, PerAddress: 3})
	other := f.comes("192.0.2.9")
	f.accept()
	var mine []net.Conn
	for range 20 {
		mine = append(mine, f.comes("192.0.2.1"))
		f.accept()
	}
	open := 0
	for _, c := range mine {
		if !closed(c) {
			open++
		}
	}
	if open != 3 || closed(other) {
		t.Errorf("%d of its connections are open, want 3; the other's is closed: %t", open, closed(other))
	}
	for _, ip := range []string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:3", "2001:db8::4"} {
		f.comes(ip)
		f.accept()
	}
	if got := f.set.Open(); got != 1+3+3 {
		t.Errorf("%d open, want 7: the addresses of one IPv6 network are one client", got)
	}
}

// Behind the address of a proxy are many clients.
func TestProxyIsBoundByTheTotalAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{Total: 6, PerAddress: 2})
	f.set.Many([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/28"), netip.MustParsePrefix("2001:db8::7/128")})
	for _, ip := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "2001:db8::7", "2001:db8::7", "2001:db8::7"} {
		f.comes(ip)
		f.accept()
	}
	if got := f.set.Open(); got != 6 {
		t.Errorf("%d open, want 6", got)
	}
	f.comes("192.0.2.1")
	f.accept()
	if got := f.set.Open(); got != 6 {
		t.Errorf("%d open with one more, want 6", got)
	}
}

// Where all room is gone, it is the client with most connections that loses one.
func TestClientWithMostConnectionsMakesRoom(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{Total: 5, PerAddress: 4})
	modest := f.comes("192.0.2.9")
	f.accept()
	greedy := f.comes("192.0.2.1")
	f.accept()
	for range 3 {
		f.comes("192.0.2.1")
		f.accept()
	}
	f.comes("192.0.2.7")
	f.accept()
	if closed(modest) || !closed(greedy) {
		t.Error("a client with one connection lost it to one with four")
	}
}

// A request that has arrived is not lost because nobody has read it yet.
func TestConnectionWithSomethingUnreadIsKept(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	set := &Set{}
	set.Limit(Limits{Total: 2})
	bounded := set.Listen(ln)
	var clients []net.Conn
	come := func(says string) {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, says)
		clients = append(clients, c)
		served, err := bounded.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { served.Close() })
		for limit := time.Now().Add(10 * time.Second); says != "" && !Unread(served) && time.Now().Before(limit); {
			runtime.Gosched() // the kernel needs a moment
		}
	}
	come("GET")
	come("")
	come("")
	if closed(clients[0]) || !closed(clients[1]) {
		t.Error("the connection that has sent something was closed instead of the silent one")
	}
}

func TestNoLimitsAreNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, Limits{})
	for range 50 {
		f.comes("192.0.2.1")
		f.accept()
	}
	if f.set.Open() != 50 {
		t.Errorf("%d open", f.set.Open())
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { f.set.Limit(Limits{Total: 100}); f.set.Open() })
	}
	all.Wait()
}

// Whoever does not take a response is closed when there is no other way, not whoever is just about
// to take it.
func TestSlowReaderMakesRoomLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, Limits{Total: 2})
		slow, half := f.comes("192.0.2.1"), f.comes("192.0.2.1")
		f.accept().Becomes(Taking)
		f.accept()
		time.Sleep(2 * takes) // in the bubble
		f.comes("192.0.2.1")
		f.accept().Becomes(Taking)
		if closed(slow) || !closed(half) {
			t.Error("the half-sent request was not closed first")
		}
		f.comes("192.0.2.1")
		f.accept().Becomes(Working)
		if !closed(slow) {
			t.Error("the slow reader was not closed")
		}
		if got := f.set.Counts().Closed; got != 2 {
			t.Errorf("%d were closed", got)
		}
	})
}
