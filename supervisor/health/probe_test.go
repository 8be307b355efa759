package health

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// short107 makes a folder with a path short enough for sockets.
func short107(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serve lets each connection be handled and returns the socket's path.
func serve(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(short107(t), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return path
}

// answering reads the request's head and sends text.
func answering(text string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 4096))
		io.WriteString(c, text)
	}
}

// hanging holds a connection until the client goes.
func hanging(c net.Conn) { io.Copy(io.Discard, c) }

func TestProbeIsOneWholeRequest(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	p := Probe{Path: "/health?x=1", Host: "example.org", Socket: serve(t, func(c net.Conn) {
		b := make([]byte, 4096)
		n, _ := c.Read(b)
		got <- string(b[:n])
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
	})}
	if _, err := p.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "GET /health?x=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: medctrl-supervisor/health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	if r := <-got; r != want {
		t.Errorf("sent %q", r)
	}
}

func TestVerdictSaysWhatCameAndWhatWasExpected(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		probe  Probe
		answer string
		kind   Kind // "" for a good answer
		text   string
	}{
		"good":             {Probe{}, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "", ""},
		"http/1.0":         {Probe{}, "HTTP/1.0 200 OK\r\n\r\nok", "", ""},
		"chunked":          {Probe{}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "", ""},
		"redirect":         {Probe{}, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "", ""},
		"not found":        {Probe{}, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", ""},
		"interim":          {Probe{}, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", ""},
		"large body":       {Probe{}, "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2*maxBody), "", ""},
		"tiny chunks":      {Probe{}, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", maxBody/2) + "0\r\n\r\n", "", ""},
		"exactly":          {Probe{Min: 204, Max: 204}, "HTTP/1.1 204 No Content\r\n\r\n", "", ""},
		"500":              {Probe{}, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", Status, "GET / answered 500, want <500"},
		"not exactly":      {Probe{Path: "/up", Min: 204, Max: 204}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Status, "GET /up answered 200, want 204"},
		"outside":          {Probe{Min: 200, Max: 299}, "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", Status, "GET / answered 302, want 200-299"},
		"nothing":          {Probe{}, "", Broken, "GET / got no answer, want <500: it closed the connection"},
		"half a head":      {Probe{}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", Broken, "GET / got no answer, want <500: it closed the connection"},
		"half a body":      {Probe{}, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok", Broken, "GET / answered 200 but incompletely: it closed the connection"},
		"not http":         {Probe{}, "SSH-2.0-OpenSSH\r\n", Broken, `GET / got no answer, want <500: malformed HTTP response "SSH-2.0-OpenSSH"`},
		"terminal escapes": {Probe{}, "HTTP/1.1 200 OK\r\n\x1b[31mevil\r\n\r\n", Broken, "GET / got no answer, want <500: malformed MIME header: missing colon: \"\\x1b[31mevil\""},
		"endless head":     {Probe{}, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxHead), Broken, "GET / got no answer, want <500: its headers are longer than 64 KiB"},
		"only interim":     {Probe{}, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), Broken, "GET / got no answer, want <500: it sent nothing but interim answers"},
		"bad path":         {Probe{Path: "/a\r\nX: y"}, "", Broken, `GET /a` + "\r\n" + `X: y got no answer`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.probe.Socket = serve(t, answering(c.answer))
			c.probe.Timeout = 20 * time.Second
			_, err := c.probe.Do(t.Context())
			if c.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Socket != c.probe.Socket || e.Timeout() {
				t.Fatalf("verdict %#v", err)
			}
			if !strings.HasPrefix(e.Error(), c.text) {
				t.Errorf("says  %s\nwant  %s", e, c.text)
			}
		})
	}
}

func TestNobodyListensIsToldFromAFullQueue(t *testing.T) {
	t.Parallel()
	dir := short107(t)
	missing, dead, full := filepath.Join(dir, "missing"), filepath.Join(dir, "dead"), filepath.Join(dir, "full")
	bind := func(path string, backlog int) int {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		if backlog >= 0 {
			if err := unix.Listen(fd, backlog); err != nil {
				t.Fatal(err)
			}
		}
		return fd
	}
	bind(dead, -1)
	bind(full, 0)
	waiting, err := net.Dial("unix", full)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	for _, c := range []struct {
		path string
		kind Kind
		text string
	}{
		{missing, Refused, "connect to " + missing + ": there is no such socket"},
		{dead, Refused, "connect to " + dead + ": nobody listens there"},
		{full, Full, "connect to " + full + ": its accept queue is full, nobody accepts"},
	} {
		_, err := Probe{Socket: c.path, Timeout: 20 * time.Second}.Do(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.Error() != c.text {
			t.Errorf("%v", err)
		}
	}
}

func TestTimeoutCoversEverything(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(net.Conn){
		"silence":          hanging,
		"a drop at a time": drip,
		"half a body":      func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"); hanging(c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			took, err := Probe{Socket: serve(t, handle), Timeout: 50 * time.Millisecond}.Do(t.Context())
			var e *Error
			late := errors.As(err, &e) && e.Kind == Ours && took > 50*time.Millisecond+heldUp // the machine is busy
			if !late && (!errors.As(err, &e) || e.Kind != TimedOut || !e.Timeout() || !strings.Contains(e.Error(), "within")) {
				t.Errorf("verdict %v", err)
			}
			if took < 50*time.Millisecond || took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// What we lack ourselves, and a moment in which we did not run, say nothing of the server.
func TestOurOwnLackIsNotTheServersFault(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	asked := func(errno unix.Errno) error {
		return &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", errno)}
	}
	for name, c := range map[string]struct {
		err  Error
		late time.Duration
		want Kind
		says string
	}{
		"no descriptor":          {Error{Kind: kindOfConnect(asked(unix.EMFILE)), Err: asked(unix.EMFILE)}, 0, Ours, "lacks something itself: dial: socket: too many open files"},
		"none of the machine":    {Error{Kind: kindOfConnect(asked(unix.ENFILE)), Err: asked(unix.ENFILE)}, 0, Ours, "lacks something itself"},
		"no memory to connect":   {Error{Kind: kindOfConnect(asked(unix.ENOMEM)), Err: asked(unix.ENOMEM)}, 0, Ours, "lacks something itself"},
		"no memory to read":      {Error{Kind: Broken, Err: asked(unix.ENOBUFS)}, 0, Ours, "lacks something itself"},
		"we stood still":         {Error{Kind: Broken, Err: os.ErrDeadlineExceeded}, 5 * time.Second, Ours, "was held up"},
		"no answer":              {Error{Kind: Broken, Err: os.ErrDeadlineExceeded}, 10 * time.Millisecond, TimedOut, "got no answer within"},
		"its queue is full":      {Error{Kind: kindOfConnect(asked(unix.EAGAIN)), Err: asked(unix.EAGAIN)}, 0, Full, "queue is full"},
		"nobody listens":         {Error{Kind: kindOfConnect(asked(unix.ECONNREFUSED)), Err: asked(unix.ECONNREFUSED)}, 0, Refused, "nobody listens"},
		"a status, but we slept": {Error{Kind: Status, Status: 503}, 5 * time.Second, Status, "answered 503"},
	} {
		c.err.Kind = c.err.kind(c.late, timeout)
		if c.err.Kind != c.want || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %s, %v", name, c.err.Kind, &c.err)
		}
	}
}

// drip sends a header without an end.
func drip(c net.Conn) {
	io.WriteString(c, "HTTP/1.1 200 OK\r\n")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, "X"); err != nil {
			return
		}
	}
}

func TestCancelledProbeIsNoVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	socket := serve(t, func(c net.Conn) {
		cancel()
		hanging(c)
	})
	_, err := Probe{Socket: socket, Timeout: time.Minute}.Do(ctx)
	var e *Error
	if !errors.Is(err, context.Canceled) || errors.As(err, &e) {
		t.Errorf("verdict %v", err)
	}
	if _, err := (Probe{Socket: socket}).Do(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("verdict before the start: %v", err)
	}
}

func TestDeadlineOfTheCallerIsAVerdict(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := Probe{Socket: serve(t, hanging), Timeout: time.Minute}.Do(ctx)
	var e *Error
	if !errors.As(err, &e) || e.Kind != TimedOut {
		t.Errorf("verdict %v", err)
	}
	if _, err := (Probe{Socket: e.Socket}).Do(ctx); !errors.As(err, &e) || e.Kind != TimedOut {
		t.Errorf("verdict after the deadline: %v", err)
	}
}

func TestSocketWithALongPathIsProbed(t *testing.T) {
	t.Parallel()
	socket := serve(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	long := filepath.Join(filepath.Dir(socket), strings.Repeat("d", 200))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(socket, filepath.Join(long, "s")); err != nil {
		t.Fatal(err)
	}
	if _, err := (Probe{Socket: filepath.Join(long, "s"), Timeout: 20 * time.Second}).Do(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := Probe{Socket: filepath.Join(long, "no", "s")}.Do(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Kind != Refused {
		t.Errorf("verdict %v", err)
	}
}

func TestProbesLeaveNothingBehind(t *testing.T) {
	good := serve(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	probe := func() {
		for _, p := range []Probe{{Socket: good}, {Socket: good + "missing"}, {Socket: good, Timeout: time.Nanosecond}} {
			p.Do(t.Context())
		}
	}
	probe()
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before, fds := runtime.NumGoroutine(), descriptors()
	for range 50 {
		probe()
	}
	deadline := time.Now().Add(10 * time.Second) // the server's side closes a little later
	for runtime.NumGoroutine() > before || descriptors() > fds {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d descriptors, before %d and %d", runtime.NumGoroutine(), descriptors(), before, fds)
		}
		runtime.Gosched()
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.0 99999999999 \r\n\r\n", "HTTP/1.1 -20 x\r\n\r\n", "\x00", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		status, err := readAnswer(strings.NewReader(string(b)))
		if err == nil && status < 101 {
			t.Errorf("status %d is no answer", status)
		}
		if err != nil {
			if text := (&Error{Kind: Broken, Status: status, Err: err}).Error(); len(text) > 1200 || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("text %q", text)
			}
		}
	})
}

func BenchmarkProbe(b *testing.B) {
	p := Probe{Socket: serve(b, answering("HTTP/1.1 200 OK\r\nServer: gunicorn\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\nok"))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Do(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
