package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

func TestAnswerIsPassedOnPieceByPiece(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	socket := serveBuild(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			io.WriteString(w, "piece\n")
			w.(http.Flusher).Flush()
			<-more
		}
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	for range 3 {
		if line, err := body.ReadString('\n'); line != "piece\n" {
			t.Fatalf("read %q, %v", line, err)
		}
		more <- struct{}{}
	}
}

func TestEarlyAnswerToALargeBodyReachesTheClient(t *testing.T) {
	t.Parallel()
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	kept := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer kept.CloseIdleConnections()
	for _, size := range []int{1, 100_000, 4 << 20} {
		resp, err := kept.Post("http://"+addr+"/", "text/plain", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%d bytes: %d %s", size, resp.StatusCode, text)
		}
		if resp, err = kept.Get("http://" + addr + "/"); err != nil || resp.StatusCode != 200 {
			t.Fatalf("the request after: %v %v", resp, err)
		}
		resp.Body.Close()
	}
}

func TestUpgradedConnectionPassesBothWays(t *testing.T) {
	t.Parallel()
	socket := serveRaw(t, func(_ int, head string, c *net.UnixConn) {
		if !strings.Contains(head, "Upgrade: echo\r\n") {
			return
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, c)
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprintln(c, "hello")
	if line, err := r.ReadString('\n'); line != "hello\n" {
		t.Errorf("read %q, %v", line, err)
	}
}

func TestClientThatLeavesCancelsTheBuildsRequest(t *testing.T) {
	t.Parallel()
	came, cancelled := make(chan struct{}), make(chan struct{})
	socket := serveBuild(t, func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
		close(cancelled)
	})
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	c.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Fatal("the build still works for a client that has gone")
	}
	if s := f.Stats(); s.Lost+s.Refused+s.Retried != 0 {
		t.Errorf("counted as the build's fault: %+v", s)
	}
}

// hold is a build that responds when let says so.
func hold(t *testing.T) (socket string, came, let chan struct{}) {
	came, let = make(chan struct{}, 1), make(chan struct{})
	socket = serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-let:
			io.WriteString(w, "late")
		case <-r.Context().Done():
		}
	})
	return socket, came, let
}

func serveUntil(t *testing.T, socket string, drain time.Duration) (addr string, stop context.CancelFunc, done chan error) {
	t.Helper()
	f := New(hclog.NewNullLogger(), "")
	f.SetRoutes([]Route{{Build: "a", Location: "/", Socket: socket}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	done = make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln, drain) }()
	return ln.Addr().String(), stop, done
}

func TestRequestsUnderWayAreFinishedAtTheEnd(t *testing.T) {
	t.Parallel()
	socket, came, let := hold(t)
	addr, stop, done := serveUntil(t, socket, time.Minute)
	answer := make(chan string, 1)
	go func() {
		resp, err := client.Get("http://" + addr + "/")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answer <- string(text)
	}()
	<-came
	stop()
	awaitRefusal(t, addr) // the listener is closed at once
	close(let)
	if got := <-answer; got != "late" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRequestsPastTheDrainAreCutOff(t *testing.T) {
	t.Parallel()
	socket, came, _ := hold(t)
	addr, stop, done := serveUntil(t, socket, 50*time.Millisecond)
	go client.Get("http://" + addr + "/")
	<-came
	stop()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v", err)
	}
}

func TestUpgradedConnectionIsCutOffAtTheEnd(t *testing.T) {
	t.Parallel()
	socket := serveRaw(t, func(_ int, _ string, c *net.UnixConn) {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, c)
	})
	addr, stop, done := serveUntil(t, socket, 50*time.Millisecond)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(c)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	stop()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve: %v", err)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
}

// pipeListener hands out one end of net.Pipe, on which synctest can wait.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l pipeListener) Close() error   { close(l.done); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sends string
		want  string // status line, or none
		after time.Duration
	}{
		"in the head": {"GET / HTTP/1.1\r\nHo", "HTTP/1.1 400 Bad Request", HeaderTimeout},
		"in the body": {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 408 Request Timeout", StallTimeout},
		"before":      {"", "", HeaderTimeout},
		"unrouted":    {"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 404 Not Found", lingerTimeout},
		"idle":        {"GET /no HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found", IdleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := New(hclog.NewNullLogger(), "")
				f.SetRoutes([]Route{{Build: "a", Location: "/a"}})
				f.proxy.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
					_, err := io.ReadAll(r.Body)
					return nil, err
				})
				ln := pipeListener{make(chan net.Conn), make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- f.Serve(ctx, ln, time.Second) }()
				ours, theirs := net.Pipe()
				ln.conns <- theirs
				began := time.Now()
				io.WriteString(ours, c.sends)
				got, _ := io.ReadAll(ours)
				if took := time.Since(began).Round(time.Second); took != c.after {
					t.Errorf("cut off after %v, want %v", took, c.after)
				}
				if line, _, _ := strings.Cut(string(got), "\r\n"); line != c.want {
					t.Errorf("answered %q, want %q", line, c.want)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What a client sent before it could know of the end is answered, and the last response says that
// it is the last.
func TestBusyConnectionIsToldOfTheEnd(t *testing.T) {
	t.Parallel()
	socket, came, let := hold(t)
	addr, stop, done := serveUntil(t, socket, time.Minute)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	stop()
	awaitRefusal(t, addr)
	close(let)
	r := bufio.NewReader(c)
	for i, last := range []bool{false, true} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if text, err := io.ReadAll(resp.Body); string(text) != "late" || err != nil || resp.Close != last {
			t.Errorf("answer %d: %q, %v, the last: %t", i, text, err, resp.Close)
		}
		if !last {
			<-came
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// lateListener has accepted a connection, but its server gets it only after closing the listener.
type lateListener struct {
	pipeListener
	late chan net.Conn
}

func (l lateListener) Accept() (net.Conn, error) {
	<-l.done
	select {
	case c := <-l.late:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}

// A connection that the kernel has accepted and the server has not seen yet must still be served.
func TestWhoWasAcceptedLastIsAnswered(t *testing.T) {
	t.Parallel()
	f := New(hclog.NewNullLogger(), "")
	ours, theirs := net.Pipe()
	ours.SetDeadline(time.Now().Add(10 * time.Second))
	ln := lateListener{pipeListener{make(chan net.Conn), make(chan struct{})}, make(chan net.Conn, 1)}
	ln.late <- theirs
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Serve(ctx, ln, time.Minute) }()
	stop()
	// an error would show in the response
	go io.WriteString(ours, "GET /no HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusNotFound || !resp.Close {
		t.Errorf("answered %s (%v), the last: %t", resp.Status, err, resp.Close)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWhatHasArrivedUnreadIsNotSilence(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, state := range []http.ConnState{http.StateNew, http.StateIdle} {
		for _, sent := range []string{"", "GET"} {
			ours, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			theirs, err := (&clientConns{Listener: ln}).Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer theirs.Close()
			io.WriteString(ours, sent)
			client := theirs.(*clientConn)
			all := clients{open: map[*clientConn]clientState{client: {state, time.Now().Add(-time.Minute)}}}
			all.closeSilent()
			_, err = client.Write([]byte("x"))
			if open := err == nil; open != (sent != "") {
				t.Errorf("state %v with %q sent: still open: %t", state, sent, open)
			}
		}
	}
}

// awaitRefusal waits until connections to addr are refused.
func awaitRefusal(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("still takes connections")
		}
	}
}
