package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// probedOften finds a hang within three seconds, without false alarms on a busy machine.
const probedOften = `health = { interval = "200ms", timeout = "1s", failures = 2, start_timeout = "20s" }`

// A stopped tree is replaced; clients in its queue are passed on, and it is woken up to finish what
// it holds.
func TestStoppedTreeIsReplacedAndLosesNothing(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(probedOften))
	first := w.Serve("one").Pid
	tr := w.Load("one", 100)
	held := Begin(t, "unix", w.Socket("one"), "/stream")
	tr.GoOn(t, calm)
	w.KillTree("one", syscall.SIGSTOP)
	w.Touch("one", "go")
	b := w.WaitPid("one", first)
	if b.Restarts == 0 || !b.Healthy {
		t.Errorf("status %+v, want a restart and health", b)
	}
	if line := held.Line(); line != "second\n" {
		t.Errorf("the stopped tree was asked for %q before it was stopped, and answered %q", "second", line)
	}
	Eventually(t, 30*time.Second, "the end of the tree that was stopped", func() (bool, string) {
		left := Tree(first)
		return len(left) == 0, fmt.Sprint(left)
	})
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	t.Logf("SIGSTOP of the tree, found by two probes of 1 s: longest gap %v; %v", r.LongestGap.Round(time.Millisecond), r)
}

// Every worker is stuck in a request: the queue is not accepted, and is passed on to the successor.
func TestApplicationThatAnswersNothingIsReplaced(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(probedOften, `graceful_timeout = "1s"`))
	first := w.Serve("one").Pid
	tr := StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=1"})
	tr.GoOn(t, calm)
	w.Touch("one", "stuck")
	b := w.WaitState("one", "unhealthy")
	w.Heal("one", "stuck")
	if !strings.Contains(b.Reason, "no answer") {
		t.Errorf("reason %q, want that the probe was not answered", b.Reason)
	}
	w.WaitPid("one", first)
	Eventually(t, 30*time.Second, "the end of the tree that was stuck", func() (bool, string) {
		left := Tree(first)
		return len(left) == 0, fmt.Sprint(left)
	})
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	t.Logf("every worker stuck, found by two probes of 1 s: longest gap %v; %v", r.LongestGap.Round(time.Millisecond), r)
}

// Held is a request whose answer has begun.
type Held struct {
	t    testing.TB
	body *bufio.Reader
}

// Begin requests path, a /stream, and returns when the server is working on it.
func Begin(t testing.TB, network, addr, path string) *Held {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	h := &Held{t, bufio.NewReader(answer.Body)}
	if line := h.Line(); answer.StatusCode != http.StatusOK || line != "first\n" {
		t.Fatalf("GET %s answered %d and began with %q", path, answer.StatusCode, line)
	}
	return h
}

// Line returns the next line of the answer, or why there is none.
func (h *Held) Line() string {
	h.t.Helper()
	line, err := h.body.ReadString('\n')
	if err != nil {
		return fmt.Sprintf("%s(%v)", line, err)
	}
	return line
}
