package front

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// socketDir is a folder with a name short enough for a socket in it.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serveBuild runs a handler as a build would and returns its socket.
func serveBuild(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	socket := filepath.Join(socketDir(t), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return socket
}

// serveRaw runs a build that reads the head of each request and then calls each with the number of
// the connection, from 1, the head and the connection.
func serveRaw(t *testing.T, each func(n int, head string, c *net.UnixConn)) string {
	t.Helper()
	socket := filepath.Join(socketDir(t), "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head strings.Builder
				for r := bufio.NewReader(c); !strings.HasSuffix(head.String(), "\r\n\r\n"); {
					line, err := r.ReadString('\n')
					if head.WriteString(line); err != nil {
						break
					}
				}
				each(n, head.String(), c.(*net.UnixConn))
			}()
		}
	}()
	return socket
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"

// serveFront serves the routes on a free port of 127.0.0.1.
func serveFront(t testing.TB, given ...Route) (*Front, string) {
	t.Helper()
	f := New(hclog.NewNullLogger(), "")
	f.SetRoutes(given)
	ctx, cancel := context.WithCancel(context.Background())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln, 5*time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return f, ln.Addr().String()
}

// ask sends a request on a connection of its own.
func ask(t *testing.T, method, url string, body io.Reader) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	resp, err := client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return resp, string(text)
}

var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func TestLongestLocationTakesTheRequest(t *testing.T) {
	t.Parallel()
	var given []Route
	for _, name := range []string{"api", "testapi", "root", "deep"} {
		socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name+" "+r.RequestURI) })
		location := map[string]string{"api": "/api", "testapi": "/testapi/", "root": "/", "deep": "/api/v2"}[name]
		given = append(given, Route{Build: name, Location: location, Socket: socket})
	}
	_, addr := serveFront(t, given...)
	for path, want := range map[string]string{
		"/api":            "api /",
		"/api/":           "api /",
		"/api/x?a=1":      "api /x?a=1",
		"/api?a=1;b=%zz&": "api /?a=1;b=%zz&",
		"/api/x?":         "api /x?",
		"/apix":           "root /apix",
		"/api/v2x":        "api /v2x",
		"/api/v2/x":       "deep /x",
		"/testapi/x":      "testapi /x",
		"/":               "root /",
		"/other":          "root /other",
		"/api/a%2Fb/c%20": "api /a%2Fb/c%20",
		"/api//x":         "api //x",
		"/api%2Fx":        "root /api%2Fx",
		"/%61pi/x":        "api /x",
		"/api/a|b%2Fc":    "api /a%7Cb%2Fc",
		"/api/\"ü%2f":     "api /%22%C3%BC%2f",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		c.Close()
		if string(got) != want {
			t.Errorf("%s came as %q, want %q", path, got, want)
		}
	}
}

func TestLocationThatIsKeptReachesTheBuild(t *testing.T) {
	t.Parallel()
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", r.RequestURI, r.Header.Get("X-Forwarded-Prefix"))
	})
	_, addr := serveFront(t, Route{Build: "kept", Location: "/api", Keep: true, Socket: socket}, Route{Build: "deep", Location: "/api/v2", Socket: socket})
	for path, want := range map[string]string{
		"/api": `/api ""`, "/api/": `/api/ ""`, "/api/x?a=1": `/api/x?a=1 ""`, "/api/a%2Fb": `/api/a%2Fb ""`, "/%61pi/x": `/%61pi/x ""`,
		"/api/v2/x": `/x "/api/v2"`,
	} {
		if _, got := ask(t, "GET", "http://"+addr+path, nil); got != want {
			t.Errorf("%s came as %s, want %s", path, got, want)
		}
	}
	if resp, _ := ask(t, "GET", "http://"+addr+"/apix", nil); resp.StatusCode != 404 {
		t.Errorf("/apix returns %d", resp.StatusCode)
	}
}

func TestNoRouteIsAPlain404(t *testing.T) {
	t.Parallel()
	f, addr := serveFront(t, Route{Build: "a", Location: "/api", Socket: "/nowhere/secret.sock"}, Route{Build: "b"})
	resp, text := ask(t, "GET", "http://"+addr+"/other", nil)
	if resp.StatusCode != 404 || strings.Contains(text, "api") || strings.Contains(text, "secret") {
		t.Errorf("got %d %q", resp.StatusCode, text)
	}
	if f.Stats().Unrouted != 1 {
		t.Errorf("stats %+v", f.Stats())
	}
}

func TestHeadersAreThoseOfProxyParams(t *testing.T) {
	t.Parallel()
	heads := make(chan http.Header, 1)
	hosts := make(chan string, 1)
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) { heads <- r.Header; hosts <- r.Host })
	_, addr := serveFront(t, Route{Build: "a", Location: "/api", Socket: socket})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /api/x HTTP/1.1\r\nHost: medctrl.example:8000\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\n"+
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Ssl: on\r\nForwarded: for=evil\r\n"+
		"X-Real-IP: 9.9.9.9\r\nX_Real_IP: 9.9.9.9\r\nScript_Name: /evil\r\nProxy: evil\r\nTE: trailers\r\n"+
		"Connection: close, X-Hop\r\nX-Hop: evil\r\nKeep-Alive: 5\r\nAccept-Encoding: br\r\nX-Own: kept\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
		t.Fatal(err)
	}
	if host := <-hosts; host != "medctrl.example:8000" {
		t.Errorf("Host is %q", host)
	}
	want := map[string]string{
		"X-Forwarded-For": "1.2.3.4, 5.6.7.8, 127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": "medctrl.example:8000", "X-Forwarded-Prefix": "/api",
		"Accept-Encoding": "br", "X-Own": "kept", "Connection": "close", "Te": "trailers",
	}
	got := <-heads
	for name, value := range want {
		if strings.Join(got.Values(name), "|") != value {
			t.Errorf("%s is %q, want %q", name, got.Values(name), value)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s: %q came through", name, got[name])
		}
	}
}

func TestBrokenIdempotentRequestIsSentOnceMore(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} {
		for _, partial := range []string{"", "HTTP/1.1 200 OK\r\nConte"} {
			socket := serveRaw(t, func(n int, _ string, c *net.UnixConn) {
				if n == 1 {
					io.WriteString(c, partial)
					c.Close()
					return
				}
				io.WriteString(c, okAnswer)
			})
			f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
			resp, _ := ask(t, method, "http://"+addr+"/x", nil)
			if s := f.Stats(); resp.StatusCode != 200 || s.Retried != 1 || s.Lost != 0 {
				t.Errorf("%s after %q: %d, %+v", method, partial, resp.StatusCode, s)
			}
		}
	}
}

func TestOtherRequestsAreSentOnlyOnce(t *testing.T) {
	t.Parallel()
	for method, body := range map[string]string{"POST": "x", "PATCH": "x", "PUT": "x", "DELETE": "x", "LOCK": ""} {
		var came atomic.Int32
		socket := serveRaw(t, func(_ int, _ string, c *net.UnixConn) { came.Add(1); c.Close() })
		f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
		resp, _ := ask(t, method, "http://"+addr+"/x", strings.NewReader(body))
		if s := f.Stats(); resp.StatusCode != 502 || came.Load() != 1 || s.Lost != 1 || s.Retried != 0 {
			t.Errorf("%s: %d, came %d times, %+v", method, resp.StatusCode, came.Load(), s)
		}
	}
}

func TestSecondBreakIs502(t *testing.T) {
	t.Parallel()
	var came atomic.Int32
	socket := serveRaw(t, func(_ int, _ string, c *net.UnixConn) { came.Add(1); c.Close() })
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	resp, _ := ask(t, "GET", "http://"+addr+"/x", nil)
	if resp.StatusCode != 502 || came.Load() != 2 || f.Stats().Lost != 1 {
		t.Errorf("%d, came %d times, %+v", resp.StatusCode, came.Load(), f.Stats())
	}
}

func TestBuildThatDoesNotServeIs503(t *testing.T) {
	t.Parallel()
	deaf := filepath.Join(socketDir(t), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: deaf, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	ln.Close()
	f, addr := serveFront(t, Route{Build: "none", Location: "/none", Socket: deaf + ".none"}, Route{Build: "deaf", Location: "/deaf", Socket: deaf})
	for _, path := range []string{"/none", "/deaf"} {
		resp, _ := ask(t, "POST", "http://"+addr+path, strings.NewReader("x"))
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, Retry-After %q", path, resp.StatusCode, resp.Header.Get("Retry-After"))
		}
	}
	if s := f.Stats(); s.Refused != 2 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	if f.Failed("none") != 1 || f.Failed("deaf") != 1 || f.Failed("other") != 0 {
		t.Errorf("of each build: %d, %d, %d", f.Failed("none"), f.Failed("deaf"), f.Failed("other"))
	}
}

// fullQueue is a build whose accept queue has no room.
func fullQueue(t *testing.T) (socket string, listening *os.File) {
	t.Helper()
	socket = filepath.Join(socketDir(t), "s")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrUnix{Name: socket})
	}
	if err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	listening = os.NewFile(uintptr(fd), socket)
	t.Cleanup(func() { listening.Close() })
	for {
		c, err := net.Dial("unix", socket)
		if errors.Is(err, syscall.EAGAIN) {
			return socket, listening
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Close() // stays in the queue
	}
}

func TestFullQueueIsWaitedForThen503(t *testing.T) {
	t.Parallel()
	socket, _ := fullQueue(t)
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	began := time.Now()
	resp, _ := ask(t, "POST", "http://"+addr+"/", strings.NewReader("x"))
	if took := time.Since(began); resp.StatusCode != 503 || took < fullQueueWait {
		t.Errorf("%d after %v", resp.StatusCode, took)
	}
}

func TestRoomInAFullQueueIsTaken(t *testing.T) {
	t.Parallel()
	socket, listening := fullQueue(t)
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	ln, err := net.FileListener(listening)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			// the connections that filled the queue sent nothing
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.Copy(io.Discard, r.Body)
				io.WriteString(c, okAnswer)
			}
			c.Close()
		}
	}()
	resp, text := ask(t, "POST", "http://"+addr+"/", strings.NewReader("x"))
	if resp.StatusCode != 200 || text != "ok" {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
}

func TestLongSocketPathIsReached(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(socketDir(t), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket := serveBuild(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	if err := os.Rename(socket, filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: filepath.Join(dir, "s")})
	if resp, text := ask(t, "GET", "http://"+addr+"/", nil); text != "ok" {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
}

func TestAnswerCutOffIsSeenByTheClientAndCounted(t *testing.T) {
	t.Parallel()
	socket := serveRaw(t, func(_ int, _ string, c *net.UnixConn) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	})
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil || string(text) != "half" {
		t.Errorf("read %q, %v: want the half and an error", text, err)
	}
	if f.Stats().Lost != 1 {
		t.Errorf("%+v", f.Stats())
	}
}

func TestRoutesChangeUnderLoadWithoutALostRequest(t *testing.T) {
	t.Parallel()
	var given []Route
	for _, name := range []string{"a", "b"} {
		given = append(given, Route{Build: name, Location: "/api", Socket: serveBuild(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })})
	}
	f, _ := serveFront(t, given[0])
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var served [2]atomic.Int32
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w := httptest.NewRecorder()
				f.ServeHTTP(w, httptest.NewRequest("GET", "/api/x", nil))
				switch w.Body.String() {
				case "a":
					served[0].Add(1)
				case "b":
					served[1].Add(1)
				default:
					t.Errorf("%d %s", w.Code, w.Body)
				}
			}
		})
	}
	for i := 0; served[0].Load() < 50 || served[1].Load() < 50; i++ {
		f.SetRoutes(given[i%2 : i%2+1])
		before := f.Stats().Requests
		for f.Stats().Requests == before && !t.Failed() {
			runtime.Gosched() // until a request has met this route
		}
		if t.Failed() {
			break
		}
	}
	close(stop)
	wg.Wait()
}
