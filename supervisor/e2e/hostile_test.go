package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// often has a build probed often, so that a wrong verdict comes soon.
const often = "[build.health]\ninterval = \"300ms\"\ntimeout = \"500ms\"\nfailures = 2\n"

// openAndSend opens a connection to the front and sends a part of a request.
func openAndSend(t *testing.T, w *World, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", w.Front)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	io.WriteString(c, text) // it may have been closed to make room already
	return c
}

// A thousand clients that send half a request, and few descriptors: supervision goes on, and so do
// other clients.
func TestFrontKeepsHalfSentRequestsFromSupervision(t *testing.T) {
	t.Parallel()
	const limit = 300
	w := NewWorld(t, One(often), Entry("two", often))
	w.Wrap = []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, limit), "sh"}
	w.Supervisor = []string{fmt.Sprintf("dashboard = %q", FreeAddr(t))}
	w.WriteConfig()
	w.Serve("one", "two")
	two := w.WaitState("two", "running").Pid
	pid := 0
	for i := range 1000 {
		openAndSend(t, w, []string{"GET /one/ HTTP/1.1\r\nHo", "POST /one/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"}[i%2])
		if i%250 != 100 {
			continue
		}
		if got := w.descriptors(); got > limit-100 {
			t.Errorf("%d of %d descriptors are in use", got, limit)
		}
		pid = w.WaitPid("one", w.KillTree("one", syscall.SIGKILL)).Pid
		if got := MustAsk(t, "tcp", w.Front, "/one/"); got.Status != http.StatusOK {
			t.Errorf("another client gets %d", got.Status)
		}
	}
	Eventually(t, patience, "the state to be saved", func() (bool, string) {
		files, err := filepath.Glob(filepath.Join(w.Root, ".supervisor", "state", "one*"))
		for _, file := range files {
			if strings.Contains(readAll(file), strconv.Itoa(pid)) {
				return true, ""
			}
		}
		return false, fmt.Sprint(files, err)
	})
	if now := w.WaitState("two", "running").Pid; now != two {
		t.Errorf("two was replaced: pid %d, now %d", two, now)
	}
	for _, word := range []string{"too many open files", "was not probed", "unhealthy"} {
		if log := w.Log() + w.MustCLI("events"); strings.Contains(log, word) {
			t.Errorf("the log or the events say %q", word)
		}
	}
}

// Four clients that send their bodies slowly to a build with one worker do not have it replaced, and
// others are served meanwhile.
func TestFrontKeepsSlowBodiesFromTheOnlyWorker(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1\n"+often))
	w.Serve("one")
	before := w.WaitState("one", "running")
	const size = 40
	var slow []net.Conn
	for range 4 {
		slow = append(slow, openAndSend(t, w, fmt.Sprintf("POST /one/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", size)))
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range size { // longer than it takes to declare a build unhealthy
		for _, c := range slow {
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if got := MustAsk(t, "tcp", w.Front, "/one/"); got.Status != http.StatusOK {
			t.Errorf("another client gets %d", got.Status)
		}
		<-tick.C
	}
	for _, c := range slow {
		c.SetReadDeadline(time.Now().Add(patience))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Errorf("a slow client gets %s", resp.Status)
		}
	}
	if now := w.WaitState("one", "running"); now.Pid != before.Pid || now.Restarts != before.Restarts {
		t.Errorf("pid %d, now %d", before.Pid, now.Pid)
	}
	if events := w.MustCLI("events"); strings.Contains(events, "unhealthy") {
		t.Errorf("the events are\n%s", events)
	}
}
