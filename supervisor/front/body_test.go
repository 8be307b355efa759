package front

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// dialed is a connection to a front, with a deadline.
func dialed(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c, bufio.NewReader(c)
}

// answer reads a response and its body.
func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// emptied fails unless a front keeps nothing any more.
func emptied(t *testing.T, f *Front) {
	t.Helper()
	storeEmptied(t, f.bodies)
	storeEmptied(t, f.ahead)
}

func storeEmptied(t *testing.T, s *store) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; {
		s.mu.Lock()
		files, memory, disk, shares := s.files, s.memory, s.disk, len(s.shares)
		s.mu.Unlock()
		if files == 0 && memory == 0 && disk == 0 && shares == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("left over: %d files, %d bytes in memory, %d in files, of %d clients", files, memory, disk, shares)
		}
		<-time.After(time.Millisecond)
	}
}

// A build with one worker, and four clients that send their bodies slowly: everybody else is served.
func TestSlowBodyDoesNotOccupyTheBuild(t *testing.T) {
	t.Parallel()
	var worker sync.Mutex
	got := make(chan string, 10)
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		worker.Lock()
		defer worker.Unlock()
		text, _ := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %d %v %s", r.Method, r.ContentLength, r.TransferEncoding, text)
	})
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	type slow struct {
		net.Conn
		r *bufio.Reader
	}
	var all []slow
	for range 4 {
		c, r := dialed(t, addr)
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf")
		all = append(all, slow{c, r})
	}
	if resp, _ := ask(t, "GET", "http://"+addr+"/", nil); resp.StatusCode != 200 {
		t.Errorf("a request beside them: %d", resp.StatusCode)
	}
	if text := <-got; text != "GET 0 [] " || len(got) > 0 {
		t.Errorf("the build got %q, and %d more before their bodies were complete", text, len(got))
	}
	for _, c := range all {
		fmt.Fprint(c, "rest")
		if resp, _ := answer(t, c.r); resp.StatusCode != 200 {
			t.Errorf("a slow one: %d", resp.StatusCode)
		}
		if text := <-got; text != "POST 8 [] halfrest" {
			t.Errorf("the build got %q", text)
		}
	}
	emptied(t, f)
}

// WSGI knows no body of unknown length.
func TestBodyOfUnknownLengthReachesTheBuildWithItsLength(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%d %v %s", r.ContentLength, r.TransferEncoding, text)
	})
	_, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	for body, want := range map[string]string{"4\r\nsome\r\n0\r\n\r\n": "4 [] some", "0\r\n\r\n": "0 [] "} {
		c, r := dialed(t, addr)
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
		if resp, _ := answer(t, r); resp.StatusCode != 200 {
			t.Errorf("%d", resp.StatusCode)
		}
		if text := <-got; text != want {
			t.Errorf("the build got %q, want %q", text, want)
		}
	}
}

func TestLargeBodyIsKeptInAFileWithoutAName(t *testing.T) {
	t.Parallel()
	sums := make(chan [32]byte, 1)
	socket := serveBuild(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		sums <- sha256.Sum256(text)
	})
	dir := t.TempDir()
	f := New(hclog.NewNullLogger(), dir)
	f.SetRoutes([]Route{{Build: "a", Location: "/", Socket: socket}})
	addr := served(t, f)
	text := make([]byte, 3<<20)
	for i := range text {
		text[i] = byte(rand.N(256))
	}
	c, r := dialed(t, addr)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(text))
	if _, err := c.Write(text[:len(text)-1]); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(20 * time.Second); ; {
		f.bodies.mu.Lock()
		files, memory, disk := f.bodies.files, f.bodies.memory, f.bodies.disk
		f.bodies.mu.Unlock()
		if files == 1 && disk+memory == int64(len(text)-1) && memory <= spoolMemory {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d files, %d bytes in memory, %d in files", files, memory, disk)
		}
		<-time.After(time.Millisecond)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("the folder has %v, %v", names, err)
	}
	c.Write(text[len(text)-1:])
	if resp, _ := answer(t, r); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
	if <-sums != sha256.Sum256(text) {
		t.Error("the body is another one")
	}
	emptied(t, f)
}

// served serves f on a free port.
func served(t *testing.T, f *Front) (addr string) {
	t.Helper()
	ln := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Serve(ctx, ln, 5*time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestBodyAboveTheLimitIs413AndNotRead(t *testing.T) {
	t.Parallel()
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: "/nowhere"})
	c, r := dialed(t, addr)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", MaxBody+1)
	if resp, text := answer(t, r); resp.StatusCode != 413 || !resp.Close || !strings.Contains(text, "512 MiB") {
		t.Errorf("%d %q, closes: %t", resp.StatusCode, text, resp.Close)
	}
	if s := f.Stats(); s.Lost+s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// What we have no room for is nobody's fault, and said to pass.
func TestBodyWithoutRoomIs503(t *testing.T) {
	t.Parallel()
	socket := serveBuild(t, func(http.ResponseWriter, *http.Request) {})
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	f.LimitFiles(0)
	resp, _ := ask(t, "POST", "http://"+addr+"/", bytes.NewReader(make([]byte, 2*spoolMemory)))
	if s := f.Stats(); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || s.Refused != 1 || s.Lost != 0 {
		t.Errorf("%d, %+v", resp.StatusCode, s)
	}
	if resp, _ := ask(t, "POST", "http://"+addr+"/", strings.NewReader("small")); resp.StatusCode != 200 {
		t.Errorf("what needs no file: %d", resp.StatusCode)
	}
	emptied(t, f)
}

// A client that takes its response slowly holds no worker.
func TestSlowReaderDoesNotOccupyTheBuild(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB, more than the kernel takes
	for _, announced := range []bool{true, false} {
		written := make(chan struct{})
		socket := serveBuild(t, func(w http.ResponseWriter, _ *http.Request) {
			if announced {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			}
			w.Write(text)
			close(written)
		})
		f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
		c, r := dialed(t, addr)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		select {
		case <-written:
		case <-time.After(20 * time.Second):
			t.Fatal("the build waits for a client that reads nothing")
		}
		if _, got := answer(t, r); got != string(text) {
			t.Errorf("the response has %d bytes, or others", len(got))
		}
		emptied(t, f)
	}
}

// Where nothing more can be kept, the build waits, and nothing is lost.
func TestResponseWithoutRoomArrivesAllTheSame(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789abcdef", 1<<17)
	socket := serveBuild(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	f, addr := serveFront(t, Route{Build: "a", Location: "/", Socket: socket})
	f.LimitFiles(0)
	f.ahead.memory = allMemory
	if resp, got := ask(t, "GET", "http://"+addr+"/", nil); resp.StatusCode != 200 || got != text {
		t.Errorf("%d, %d bytes", resp.StatusCode, len(got))
	}
}

// A spool gives what it was given, in order, whoever is faster, and keeps nothing in the end.
func TestSpoolPassesOnWhatItIsGiven(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := newStore(t.TempDir())
		s.allowed = 1 << 20
		p := s.spool("client", true, 200_000)
		want := make([]byte, 1_500_000)
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		sizes := make([]int, 200)
		for i := range sizes {
			sizes[i] = 1 + random.IntN(40_000)
		}
		go func() {
			for rest, i := want, 0; len(rest) > 0; i++ {
				n := min(len(rest), sizes[i%len(sizes)])
				if _, err := p.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			p.end(io.EOF)
		}()
		var got bytes.Buffer
		for {
			n, err := io.CopyN(&got, p, int64(1+random.IntN(60_000)))
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("seed %d: %d bytes came out, %d went in, or others", seed, got.Len(), len(want))
		}
		p.Close()
		if s.files != 0 || s.memory != 0 || s.disk != 0 || len(s.shares) != 0 {
			t.Fatalf("seed %d: left over %d files, %d, %d bytes", seed, s.files, s.memory, s.disk)
		}
		if _, err := p.Write([]byte("x")); !errors.Is(err, errClosed) {
			t.Errorf("written to a closed spool: %v", err)
		}
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
			t.Errorf("read from a closed spool: %v", err)
		}
	}
}

// One client may fill half of the room for bodies, not all of it.
func TestClientHasAShareOfTheRoomForBodies(t *testing.T) {
	t.Parallel()
	s := newStore(t.TempDir())
	f, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(f)
	s.allowed = 100
	if !s.takeDisk("greedy", 50) || s.takeDisk("greedy", 1) || !s.takeDisk("other", 50) || s.takeDisk("third", 1) {
		t.Errorf("%d bytes, %v", s.disk, s.shares)
	}
	s.freeDisk("greedy", 50)
	if !s.takeDisk("third", 50) {
		t.Error("what was given back cannot be used")
	}
}

// A client that sends requests and reads no response is cut off, also where the response is small
// and was left to be written by net/http.
func TestClientThatReadsNothingIsCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := New(hclog.NewNullLogger(), "")
		ln := pipeListener{make(chan net.Conn), make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Serve(ctx, ln, time.Second) }()
		ours, theirs := net.Pipe()
		ln.conns <- theirs
		began := time.Now()
		io.WriteString(ours, "GET /no HTTP/1.1\r\nHost: x\r\n\r\n")
		for f.open.Open() > 0 && time.Since(began) < time.Hour {
			time.Sleep(time.Second) // in the bubble
		}
		if took := time.Since(began).Round(5 * time.Second); took != StallTimeout {
			t.Errorf("cut off after %v, want %v", took, StallTimeout)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
