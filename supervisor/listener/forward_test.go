package listener

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serve answers each request on l with who and the length of its body, as a child would, on
// descriptors of its own.
func serve(t testing.TB, l *Listener, who string) {
	t.Helper()
	ln, err := net.FileListener(l.File())
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close")
		fmt.Fprintf(w, "%s %d", who, n)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(ln) })
	t.Cleanup(func() {
		s.Close()
		wg.Wait()
	})
}

func wantBody(t testing.TB, resp *http.Response, want string) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	if resp.StatusCode != 200 || string(body) != want {
		t.Errorf("answer %d %q, want %q", resp.StatusCode, body, want)
	}
}

func TestForwardCarriesTheWholeQueue(t *testing.T) {
	t.Parallel()
	for _, nonblock := range []bool{false, true} {
		old, next := bindBuild(t), bindBuild(t)
		if err := unix.SetNonblock(old.fd, nonblock); err != nil {
			t.Fatal(err)
		}
		serve(t, next, "next")
		var clients []net.Conn
		for range 600 { // more than are carried at a time
			c := dial(t, old.Path())
			if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			n, err := old.Forward(t.Context(), next.Path())
			if n != len(clients) || err != nil {
				t.Errorf("carried %d of %d, %v", n, len(clients), err)
			}
		})
		for _, c := range clients {
			wantBody(t, answerOf(t, c, "POST"), "next 5")
			c.Close()
		}
		wg.Wait()
	}
}

func TestForwardCarriesLargeBodiesAndHalfClose(t *testing.T) {
	t.Parallel()
	old, next := bindBuild(t), bindBuild(t)
	ln, err := net.FileListener(next.File())
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	defer ln.Close()
	const size = 3 << 20
	go func() { // answers only once the client has closed its half
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		n, _ := io.Copy(io.Discard, c)
		fmt.Fprintf(c, "%d", n)
		io.Copy(c, strings.NewReader(strings.Repeat("x", size)))
	}()
	c := dial(t, old.Path())
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := old.Forward(t.Context(), next.Path())
		done <- result{n, err}
	}()
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(size); !strings.HasPrefix(string(all), want+"x") || len(all) != len(want)+size {
		t.Errorf("got %d bytes, %.20q…", len(all), all)
	}
	if r := <-done; r.n != 1 || r.err != nil {
		t.Errorf("%+v", r)
	}
}

func TestForwardedClientSeesAnAnswerThatCameBeforeItsBodyWasRead(t *testing.T) {
	t.Parallel()
	old, next := bindBuild(t), bindBuild(t)
	ln, err := net.FileListener(next.File())
	if err != nil {
		t.Fatal(err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		c.Read(make([]byte, 100))
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		c.Close()
	}()
	c := dial(t, old.Path())
	done := make(chan error, 1)
	go func() {
		_, err := old.Forward(t.Context(), next.Path())
		done <- err
	}()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nContent-Length: 4194304\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, 4<<20)); err != nil {
		t.Fatalf("the body was cut: %v", err)
	}
	if resp := answerOf(t, c, "POST"); resp.StatusCode != 413 {
		t.Errorf("answer %v", resp)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestForwardOfAnEmptyQueueAndOfClientsThatLeft(t *testing.T) {
	t.Parallel()
	old, next := bindBuild(t), bindBuild(t)
	serve(t, next, "next")
	if n, err := old.Forward(t.Context(), next.Path()); n != 0 || err != nil {
		t.Errorf("empty: %d, %v", n, err)
	}
	for range 10 {
		dial(t, old.Path()).Close()
	}
	if _, err := old.Forward(t.Context(), next.Path()); err != nil {
		t.Error(err)
	}
}

func TestForwardWaitsForASuccessorThatListensSoon(t *testing.T) {
	t.Parallel()
	old := bindBuild(t)
	to := filepath.Join(filepath.Dir(old.Path()), "late")
	c := dial(t, old.Path())
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := old.Forward(t.Context(), to)
		done <- err
	}()
	eventually(t, "the client is taken", func() bool { n, _ := old.QueueLen(); return n == 0 })
	serve(t, mustBind(t, to), "late")
	wantBody(t, answerOf(t, c, "GET"), "late 0")
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestClientThatCannotBePassedIsAnswered(t *testing.T) {
	t.Parallel()
	old := bindBuild(t)
	c := dial(t, old.Path())
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := old.Forward(ctx, filepath.Join(filepath.Dir(old.Path()), "nobody"))
		done <- err
	}()
	resp := answerOf(t, c, "GET")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("answer %v", resp)
	}
	c.Close()
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("forward: %v", err)
	}
}

func TestForwardEndsWithItsContextAndLosesNobody(t *testing.T) {
	t.Parallel()
	old, hung := bindBuild(t), bindBuild(t) // nobody accepts from hung
	ctx, cancel := context.WithCancel(t.Context())
	c := dial(t, old.Path())
	done := make(chan error, 1)
	go func() {
		_, err := old.Forward(ctx, hung.Path())
		done <- err
	}()
	eventually(t, "the client is passed", func() bool { n, _ := hung.QueueLen(); return n == 1 })
	cancel()
	if resp := answerOf(t, c, "GET"); resp.StatusCode != 504 {
		t.Errorf("answer %v", resp)
	}
	c.Close()
	if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), hung.Path()) {
		t.Errorf("forward: %v", err)
	}
	dial(t, old.Path())
	if n, err := old.Forward(ctx, hung.Path()); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %d, %v", n, err)
	}
	if n, _ := old.QueueLen(); n != 1 {
		t.Error("a client was taken after the end")
	}
}

func TestForwardBesideALivingServerLosesNobody(t *testing.T) {
	t.Parallel()
	old, next := bindBuild(t), bindBuild(t)
	serve(t, old, "old")
	serve(t, next, "next")
	var wg sync.WaitGroup
	var mu sync.Mutex
	by := map[string]int{}
	for range 4 {
		wg.Go(func() {
			for range 100 {
				c, err := net.Dial("unix", old.Path())
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				all, err := io.ReadAll(c)
				c.Close()
				body := string(all[max(0, len(all)-6):])
				if err != nil || !strings.HasSuffix(body, " 0") {
					t.Errorf("lost: %q, %v", all, err)
				}
				mu.Lock()
				by[strings.TrimSpace(body)]++
				mu.Unlock()
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		wg.Wait()
		close(finished)
	}()
	for running := true; running; {
		if _, err := old.Forward(t.Context(), next.Path()); err != nil {
			t.Error(err)
		}
		select {
		case <-finished:
			running = false
		default:
		}
	}
	t.Logf("answered by %v", by)
}

// Python's accept on socket(fileno=3) expects the blocking mode that systemd hands over, and
// setblocking clears O_NONBLOCK for us too.
func TestPlainPythonServerIsServedAndRelieved(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	old, next := bindBuild(t), bindBuild(t)
	serve(t, next, "next")
	cmd := exec.Command(python, "-Sc", `
import socket
s = socket.socket(fileno=3)
assert s.getblocking()
s.setblocking(True)
while True:
    c, _ = s.accept()
    c.recv(1000)
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nplain ")
    c.close()
`)
	cmd.ExtraFiles = []*os.File{old.File()}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	for range 20 {
		c := dial(t, old.Path())
		wantBody(t, ask(t, c, "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "plain ")
		c.Close()
	}
	if err := cmd.Process.Signal(unix.SIGSTOP); err != nil { // it hangs
		t.Fatal(err)
	}
	// Until then it may take clients still.
	eventually(t, "it has stopped", func() bool { return stopped(t, cmd.Process.Pid) })
	var clients []net.Conn
	for range 20 {
		c := dial(t, old.Path())
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		clients = append(clients, c)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := old.Forward(t.Context(), next.Path()); n < 19 || err != nil { // its own accept may have begun to take one
			t.Errorf("carried %d, %v", n, err)
		}
	})
	for _, c := range clients[1:] {
		wantBody(t, answerOf(t, c, "GET"), "next 0")
		c.Close()
	}
	wg.Wait()
	if err := cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c := dial(t, old.Path())
	wantBody(t, ask(t, c, "GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "plain ")
}

// stopped says whether a signal has stopped a process (proc_pid_stat(5)).
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.HasPrefix(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " T ")
}
