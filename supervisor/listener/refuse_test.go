package listener

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var quick = limits{head: 200 * time.Millisecond, linger: 200 * time.Millisecond, stop: 20 * time.Millisecond}

// bindBuild binds root/demo/gunicorn.sock.
func bindBuild(t testing.TB) *Listener {
	t.Helper()
	dir := filepath.Join(short(t), "demo")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return mustBind(t, filepath.Join(dir, "gunicorn.sock"))
}

// refusing runs Refuse and returns what ends it and waits for its count.
func refusing(t testing.TB, l *Listener, r refusal) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a, err := l.newAcceptor(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := make(chan int, 1)
	go func() {
		defer a.close()
		n <- r.run(ctx, a, func() time.Duration { return 2500 * time.Millisecond })
	}()
	var once sync.Once
	var count int
	stop = func() int {
		once.Do(func() {
			cancel()
			count = <-n
		})
		return count
	}
	t.Cleanup(func() { stop() })
	return stop
}

func ask(t testing.TB, c net.Conn, method, request string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return answerOf(t, c, method)
}

func answerOf(t testing.TB, c net.Conn, method string) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestRefusedClientLearnsWhenToComeBack(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	stop := refusing(t, l, refusal{8, quick})
	c := dial(t, l.Path())
	resp := ask(t, c, "GET", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "3" || !resp.Close || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("answer %v", resp)
	}
	if want := "demo is restarting, try again in 3 s\n"; string(body) != want {
		t.Errorf("body %q, want %q", body, want)
	}
	c.Close()
	if n := stop(); n != 1 {
		t.Errorf("%d answered", n)
	}
}

func TestRefusedHeadGetsNoBody(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	refusing(t, l, refusal{8, quick})
	c := dial(t, l.Path())
	if _, err := io.WriteString(c, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(all, []byte("HTTP/1.1 503 ")) || !bytes.HasSuffix(all, []byte("\r\n\r\n")) {
		t.Errorf("answer %q", all)
	}
}

func TestRefusedUploadSeesTheAnswerAndNoReset(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	refusing(t, l, refusal{8, limits{head: 5 * time.Second, linger: 5 * time.Second}})
	c := dial(t, l.Path())
	body := make([]byte, 4<<20) // more than a socket buffer: the client blocks in its write until we read
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(body); err != nil {
		t.Fatalf("the body was cut: %v", err)
	}
	if resp := answerOf(t, c, "POST"); resp.StatusCode != 503 {
		t.Errorf("answer %v", resp)
	}
}

func TestEndlessHeadIsAnsweredAllTheSame(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	refusing(t, l, refusal{8, limits{head: time.Minute, linger: 5 * time.Second}})
	c := dial(t, l.Path())
	if resp := ask(t, c, "GET", "GET /"+strings.Repeat("a", maxHead+1)); resp.StatusCode != 503 {
		t.Errorf("answer %v", resp)
	}
}

func TestSilentClientIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	refusing(t, l, refusal{8, quick})
	if resp := answerOf(t, dial(t, l.Path()), "GET"); resp.StatusCode != 503 {
		t.Errorf("answer %v", resp)
	}
}

func TestClientsThatLeftAreNotCounted(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	for range 5 {
		dial(t, l.Path()).Close()
	}
	stop := refusing(t, l, refusal{2, quick})
	c := dial(t, l.Path())
	ask(t, c, "GET", "GET / HTTP/1.1\r\n\r\n")
	c.Close()
	if n := stop(); n != 1 {
		t.Errorf("%d answered", n)
	}
}

func TestMoreClientsThanPlacesWaitInTheQueueAndAreAllAnswered(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	stop := refusing(t, l, refusal{2, limits{head: time.Minute, linger: time.Minute}})
	first, second := dial(t, l.Path()), dial(t, l.Path()) // they say nothing yet, and hold both places
	eventually(t, "both are taken", func() bool { n, _ := l.QueueLen(); return n == 0 })
	var rest []net.Conn
	for range 20 {
		c := dial(t, l.Path())
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		rest = append(rest, c)
	}
	if n, _ := l.QueueLen(); n != 20 {
		t.Errorf("%d wait, want 20", n)
	}
	for _, c := range []net.Conn{first, second} {
		ask(t, c, "GET", "GET / HTTP/1.1\r\n\r\n")
		c.Close()
	}
	for _, c := range rest {
		if resp := answerOf(t, c, "GET"); resp.StatusCode != 503 {
			t.Errorf("answer %v", resp)
		}
		c.Close()
	}
	if n := stop(); n != 22 {
		t.Errorf("%d answered, want 22", n)
	}
}

func TestNobodyIsTakenAfterTheEndAndTheTakenAreAnswered(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	stop := refusing(t, l, refusal{8, limits{head: time.Minute, linger: 50 * time.Millisecond, stop: 50 * time.Millisecond}})
	silent := dial(t, l.Path())
	eventually(t, "it is taken", func() bool { n, _ := l.QueueLen(); return n == 0 })
	if n := stop(); n != 1 {
		t.Errorf("%d answered, want the silent one", n)
	}
	if resp := answerOf(t, silent, "GET"); resp.StatusCode != 503 {
		t.Errorf("answer %v", resp)
	}
	dial(t, l.Path())
	if n, err := l.QueueLen(); n != 1 || err != nil {
		t.Errorf("queue %d, %v", n, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n := l.Refuse(ended, func() time.Duration { return 0 }); n != 0 {
		t.Errorf("%d answered after the end", n)
	}
	if n, _ := l.QueueLen(); n != 1 {
		t.Error("a client was taken after the end")
	}
}

func TestRefuseOfAClosedListenerReturns(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	l.Close()
	if n := l.Refuse(t.Context(), func() time.Duration { return 0 }); n != 0 {
		t.Errorf("%d answered", n)
	}
}

// A child may share the socket in blocking mode and take the client that we saw: Python's
// setblocking(True) clears O_NONBLOCK for all.
func TestAcceptNeverBlocksWhereAnotherProcessWasFaster(t *testing.T) {
	t.Parallel()
	for _, nonblock := range []bool{false, true} {
		l := mustBind(t, filepath.Join(short(t), "s"))
		if err := unix.SetNonblock(l.fd, nonblock); err != nil {
			t.Fatal(err)
		}
		a, err := l.newAcceptor(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := a.acceptSoon(); err != unix.EAGAIN {
			t.Errorf("nonblock %v: %v", nonblock, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("nonblock %v: blocked for %v", nonblock, took)
		}
		if tv, err := unix.GetsockoptTimeval(l.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO); err != nil || tv.Nano() != 0 {
			t.Errorf("a time limit stayed on the socket: %v, %v", tv, err)
		}
		a.close()
		flags, err := unix.FcntlInt(uintptr(l.fd), unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK != 0 != nonblock {
			t.Errorf("the blocking mode that the children share was changed: %#x, %v", flags, err)
		}
	}
}

func TestServerThatWaitsInABlockingAcceptIsNotDisturbed(t *testing.T) {
	t.Parallel()
	l := bindBuild(t)
	const clients = 200
	served := make(chan error, 1)
	go func() {
		for range clients {
			fd, _, err := unix.Accept(l.fd) // blocks, as a plain server does
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				served <- err
				return
			}
			unix.Read(fd, make([]byte, 100))
			unix.Write(fd, []byte("HTTP/1.1 503 by the server\r\nContent-Length: 0\r\n\r\n"))
			unix.Close(fd)
		}
		served <- nil
	}()
	stop := refusing(t, l, refusal{8, quick})
	for range clients {
		c := dial(t, l.Path())
		if resp := ask(t, c, "GET", "GET / HTTP/1.1\r\n\r\n"); resp.StatusCode != 503 {
			t.Errorf("answer %v", resp)
		}
		c.Close()
	}
	byUs := stop()
	for range byUs { // what we took, the server still waits for
		select {
		case err := <-served:
			// EAGAIN where its accept began in the instant of ours (doc.go).
			if err != nil && err != unix.EAGAIN {
				t.Fatal(err)
			}
			return
		default:
			dial(t, l.Path()).Close()
		}
	}
	if err := <-served; err != nil && err != unix.EAGAIN {
		t.Error(err)
	}
}

func TestIdleRefusalsHoldNoThreads(t *testing.T) {
	threads := func() int {
		return len(names(t, "/proc/self/task"))
	}
	before := threads()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()

	for range 200 {
		l := bindBuild(t)
		wg.Go(func() { l.Refuse(ctx, func() time.Duration { return 0 }) })
		c := dial(t, l.Path())
		ask(t, c, "GET", "GET / HTTP/1.1\r\n\r\n")
		c.Close()
	}
	if now := threads(); now > before+50 {
		t.Errorf("%d threads for 200 listeners, %d before", now, before)
	}
}

func TestRetryAfterIsWholeSecondsAndAtLeastOne(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int{-time.Hour: 1, 0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 30 * time.Second: 30, 1<<63 - 1: 1} {
		if got := seconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody"), 1)
	f.Add([]byte("HEAD / HTTP/1.0\n\n"), 3)
	f.Add([]byte("HEAD"), 2)
	f.Add([]byte(""), 5)
	f.Fuzz(func(t *testing.T, b []byte, chunk int) {
		chunk = max(1, chunk&0xff)
		r := &chunks{b, chunk}
		head, err := readHead(r)
		if head != bytes.HasPrefix(b, []byte("HEAD ")) && err == nil {
			// The empty line may come before the method is whole.
			if i := bytes.IndexAny(b, "\n"); i < 0 || i > 5 {
				t.Errorf("head %v of %q", head, b)
			}
		}
		if len(b) > 0 && err != nil || len(b) == 0 && err != io.EOF {
			t.Errorf("%q: %v", b, err)
		}
		if read := len(b) - len(r.left); read > maxHead+4<<10 {
			t.Errorf("read %d bytes", read)
		}
	})
}

type chunks struct {
	left []byte
	size int
}

func (c *chunks) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.size)], c.left)
	c.left = c.left[n:]
	return n, nil
}
