package e2e

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The load generator's own tests: its results can be trusted only if it reports known failures
// correctly.

func TestLoadCountsEachKindOfFailureExactly(t *testing.T) {
	t.Parallel()
	const rounds, round = 10, 10
	addr := serveUnix(t, func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.Header.Get("X-Load-Id"))
		w.Header().Set("X-Load-Id", strconv.Itoa(id))
		w.Header().Set("X-Banner", "known")
		switch id % round {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			cutAfter(w, "")
		case 5:
			cutAfter(w, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive")
		case 7:
			w.WriteHeader(http.StatusInternalServerError)
		case 9:
			w.Header().Set("X-Load-Id", strconv.Itoa(id+1))
		}
	})
	tr := StartLoad(t, Load{Network: "unix", Addr: addr, Rate: 500})
	Eventually(t, 20*time.Second, "ten rounds", func() (bool, string) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return len(tr.shots) >= rounds*round, strconv.Itoa(len(tr.shots))
	})
	var first []Shot
	for _, s := range tr.Stop().Shots {
		if s.ID < rounds*round {
			first = append(first, s)
		}
	}
	got := summarise(first)
	want := map[Outcome]int{OK: 5 * rounds, Unavailable: rounds, Cut: 2 * rounds, BadStatus: rounds, Mixed: rounds}
	if got.Total != rounds*round || fmt.Sprint(got.By) != fmt.Sprint(want) {
		t.Errorf("got %v of %d, want %v", got.By, got.Total, want)
	}
	if got.Lost() != 4*rounds {
		t.Errorf("lost %d, want %d: a 503 is an answer", got.Lost(), 4*rounds)
	}
	if got.ByBanner["known"] != got.By[OK] {
		t.Errorf("by banner %v, want all good answers under known", got.ByBanner)
	}
}

func TestLoadTellsWhyItCouldNotConnect(t *testing.T) {
	t.Parallel()
	dir := ShortDir(t)
	missing := filepath.Join(dir, "missing")
	refused := listenRaw(t, filepath.Join(dir, "refused"), 8, true)
	full := listenRaw(t, filepath.Join(dir, "full"), 0, false)
	accepted := filepath.Join(dir, "accepted")
	ln, err := net.Listen("unix", accepted)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close() // its request unread: what kill -9 of a worker does to its clients
		}
	}()
	for _, c := range []struct {
		addr string
		want Outcome
	}{{missing, Missing}, {refused, Refused}, {full, Full}, {accepted, Reset}} {
		tr := StartLoad(t, Load{Network: "unix", Addr: c.addr, Rate: 200, Timeout: 300 * time.Millisecond})
		Eventually(t, 20*time.Second, "requests", func() (bool, string) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			return len(tr.shots) >= 10, strconv.Itoa(len(tr.shots))
		})
		got := tr.Stop()
		// The backlog of 0 takes one client, which gets no answer.
		if got.By[c.want] < got.Total-1 || c.want == Full && got.By[TimedOut] != 1 {
			t.Errorf("%s: got %v of %d", c.want, got.By, got.Total)
		}
	}
}

func TestLoadGoesOnWhileTheServerHangsAndMeasuresTheGap(t *testing.T) {
	t.Parallel()
	const stall = 400 * time.Millisecond
	gate := make(chan struct{})
	addr := serveUnix(t, func(_ http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.Header.Get("X-Load-Id"))
		if id == 20 {
			time.AfterFunc(stall, func() { close(gate) })
		}
		if id >= 20 {
			<-gate
		}
	})
	tr := StartLoad(t, Load{Network: "unix", Addr: addr, Rate: 100})
	tr.WaitMore(t, 80)
	got := tr.Stop()
	got.NoneLost(t)
	if got.LongestGap < stall-10*time.Millisecond || got.LongestGap > stall+2*time.Second {
		t.Errorf("longest gap %v, want about %v", got.LongestGap, stall)
	}
	stalled := 0
	for _, s := range got.Shots {
		if s.ID >= 20 && s.Latency() > 100*time.Millisecond {
			stalled++
		}
	}
	// Due within the stall's first 300 ms: 30 at this rate. A closed loop would have sent one.
	if stalled < 25 {
		t.Errorf("%d requests felt the stall, want about 30: the load did not continue", stalled)
	}
	if got.P99 < stall/2 {
		t.Errorf("p99 %v hides a stall of %v", got.P99, stall)
	}
}

func TestLoadGapCountsAnOutageAtTheEnd(t *testing.T) {
	t.Parallel()
	shots := []Shot{{ID: 0, Ended: 1 * time.Millisecond, Outcome: OK}, {ID: 1, Ended: 2 * time.Second, Outcome: TimedOut}}
	if got := summarise(shots).LongestGap; got != 2*time.Second-time.Millisecond {
		t.Errorf("longest gap %v, want the time without an answer at the end", got)
	}
}

func TestLossAssertionsExcuseOnlyWhatAKilledProcessHeld(t *testing.T) {
	t.Parallel()
	good := Shot{Outcome: OK, Status: 200}
	for _, c := range []struct {
		name                  string
		shots                 []Shot
		none, butOne, hungOne bool // does the assertion pass?
	}{
		{"nothing sent", nil, false, false, false},
		{"all good", []Shot{good, good}, true, true, true},
		{"one cut", []Shot{good, {Outcome: Cut}}, false, true, true},
		{"one reset", []Shot{good, {Outcome: Reset}}, false, true, true},
		{"one 502", []Shot{good, {Outcome: BadStatus, Status: 502}}, false, true, true},
		{"two cut", []Shot{good, {Outcome: Cut}, {Outcome: Cut}}, false, false, false},
		{"one refused", []Shot{good, {Outcome: Refused}}, false, false, false},
		{"one timed out", []Shot{good, {Outcome: TimedOut}}, false, false, false},
		{"one 500", []Shot{good, {Outcome: BadStatus, Status: 500}}, false, false, false},
		{"one 503", []Shot{good, {Outcome: Unavailable, Status: 503}}, false, false, true},
	} {
		r := summarise(c.shots)
		var none, butOne, hungOne failures
		r.NoneLost(&none)
		r.NoneLostBut(&butOne, 1)
		r.NoneHung(&hungOne, 1)
		if (len(none) == 0) != c.none || (len(butOne) == 0) != c.butOne || (len(hungOne) == 0) != c.hungOne {
			t.Errorf("%s: NoneLost %q, NoneLostBut(1) %q, NoneHung(1) %q", c.name, none, butOne, hungOne)
		}
	}
}

func TestLossAssertionsFailWhereTheLoadWasTooSmallToTell(t *testing.T) {
	t.Parallel()
	shots := make([]Shot, 40)
	for i := range shots {
		shots[i] = Shot{ID: i, Due: time.Duration(i) * 10 * time.Millisecond, Outcome: OK, Status: 200}
	}
	for ran, passes := range map[time.Duration]bool{400 * time.Millisecond: true, 490 * time.Millisecond: true, 510 * time.Millisecond: false, time.Second: false} {
		r := summarise(shots)
		r.Wanted, r.Ran = 100, ran
		var said failures
		r.NoneLost(&said)
		if (len(said) == 0) != passes || !passes && !strings.Contains(said[0], "80 are needed") {
			t.Errorf("40 requests in %v: %q", ran, said)
		}
	}
	r := summarise(shots)
	r.Wanted, r.Ran = 100, time.Second
	if in := r.Within(span{100 * time.Millisecond, 300 * time.Millisecond}, span{350 * time.Millisecond, 400 * time.Millisecond}); in.Total != 25 || in.Ran != 250*time.Millisecond || in.Rate() != 100 {
		t.Errorf("within: %v", in)
	}
}

type failures []string

func (f *failures) Helper() {}
func (f *failures) Errorf(format string, args ...any) {
	*f = append(*f, strings.SplitN(fmt.Sprintf(format, args...), "\n", 2)[0])
}

// serveUnix serves handle on a unix socket until the test ends.
func serveUnix(t *testing.T, handle http.HandlerFunc) (addr string) {
	t.Helper()
	addr = filepath.Join(ShortDir(t), "s")
	ln, err := net.Listen("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handle}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(ln) // always returns an error: it was closed
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return addr
}

// cutAfter writes part and closes the connection.
func cutAfter(w http.ResponseWriter, part string) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprint(conn, part)
	conn.Close()
}

// listenRaw listens on path and accepts no client; with closed, it leaves only the file behind.
func listenRaw(t testing.TB, path string, backlog int, closed bool) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	if closed {
		syscall.Close(fd)
	} else {
		t.Cleanup(func() { syscall.Close(fd) })
	}
	return path
}
