package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Load is an open loop: request n is sent at n/Rate seconds whatever the results of earlier ones,
// each on a connection of its own. A closed loop would send nothing while the server hangs, and so
// would not count what its users would have lost.
type Load struct {
	Network string        // "unix" or "tcp"
	Addr    string        // the socket's path, or host:port
	Path    string        // "/" when empty
	Method  string        // GET when empty
	Host    string        // "localhost" when empty
	Body    string        // sent with its Content-Length when not empty
	Rate    float64       // requests a second; 100 when zero
	Timeout time.Duration // for one request, from the moment it was due; 20 s when zero
	Name    string        // on a unix socket, what clients call their own end, with the request's number; it has none when empty
}

// Outcome is the result of one request.
type Outcome string

const (
	OK          Outcome = "ok"          // a complete answer below 400
	Unavailable Outcome = "503"         // refused with an answer
	BadStatus   Outcome = "status"      // any other answer from 400 up
	Missing     Outcome = "missing"     // the socket's file was not there
	Refused     Outcome = "refused"     // nobody listened
	Full        Outcome = "full"        // the accept queue was full
	Cut         Outcome = "cut"         // the connection ended before the answer did
	Reset       Outcome = "reset"       // the connection was reset
	TimedOut    Outcome = "timed out"   // no complete answer within Timeout
	Mixed       Outcome = "mixed up"    // the answer to another request
	Odd         Outcome = "odd failure" // anything else, described in Shot.Err
)

// Shot is one request. Times count from the start of the load.
type Shot struct {
	ID      int
	Due     time.Duration // when it had to be sent
	Late    time.Duration // how much later it was: the generator's own fault
	Ended   time.Duration
	Outcome Outcome
	Status  int    // 0 if there was no answer
	Release string // the X-Release the answer came with
	Banner  string // the X-Banner
	Err     error
}

// Latency counts from when the request was due, so that a late start does not make it look better.
func (s Shot) Latency() time.Duration { return s.Ended - s.Due }

func (s Shot) String() string {
	what := string(s.Outcome)
	if s.Status != 0 {
		what = fmt.Sprintf("%s (%d)", what, s.Status)
	}
	if s.Err != nil {
		what += ": " + s.Err.Error()
	}
	return fmt.Sprintf("request %d, due %v, ended %v: %s", s.ID, s.Due.Round(time.Millisecond), s.Ended.Round(time.Millisecond), what)
}

// Traffic is a running load.
type Traffic struct {
	load    Load
	start   time.Time
	halt    chan struct{}
	halted  sync.Once
	ran     time.Duration // until it was halted
	flying  sync.WaitGroup
	mu      sync.Mutex
	shots   []Shot
	answers int
}

// StartLoad sends requests until Stop, or the end of the test.
func StartLoad(t testing.TB, l Load) *Traffic {
	t.Helper()
	if l.Path == "" {
		l.Path = "/"
	}
	if l.Method == "" {
		l.Method = http.MethodGet
	}
	if l.Host == "" {
		l.Host = "localhost"
	}
	if l.Rate == 0 {
		l.Rate = 100
	}
	if l.Timeout == 0 {
		l.Timeout = 20 * time.Second
	}
	tr := &Traffic{load: l, start: time.Now(), halt: make(chan struct{})}
	tr.flying.Add(1)
	go tr.run()
	t.Cleanup(func() { tr.Stop() })
	return tr
}

func (tr *Traffic) run() {
	defer tr.flying.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := time.Duration(float64(n) / tr.load.Rate * float64(time.Second))
		timer.Reset(time.Until(tr.start.Add(due)))
		select {
		case <-tr.halt:
			return
		case <-timer.C:
		}
		tr.flying.Add(1)
		go func() {
			defer tr.flying.Done()
			shot := Shot{ID: n, Due: due, Late: time.Since(tr.start) - due}
			tr.load.shoot(&shot, tr.start.Add(due).Add(tr.load.Timeout))
			shot.Ended = time.Since(tr.start)
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.shots = append(tr.shots, shot)
			if shot.Outcome == OK {
				tr.answers++
			}
		}()
	}
}

// Answered returns how many requests have had a good answer so far.
func (tr *Traffic) Answered() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.answers
}

// WaitMore waits until n more requests have had a good answer: the way to let a load run for a
// while.
func (tr *Traffic) WaitMore(t testing.TB, n int) {
	t.Helper()
	until := tr.Answered() + n
	Eventually(t, 60*time.Second, fmt.Sprintf("%d more answers to the load", n), func() (bool, string) {
		now := tr.Answered()
		return now >= until, fmt.Sprintf("%d to go", until-now)
	})
}

// Since is how long the load has run.
func (tr *Traffic) Since() time.Duration { return time.Since(tr.start) }

// WaitUntil waits until a request that was due when the load had run for since has had a good
// answer.
func (tr *Traffic) WaitUntil(t testing.TB, since time.Duration) {
	t.Helper()
	Eventually(t, 60*time.Second, fmt.Sprintf("an answer to what the load sends after %v", since), func() (bool, string) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		n := len(tr.shots)
		return n > 0 && tr.shots[n-1].Due >= since && tr.shots[n-1].Outcome == OK, fmt.Sprint(n, " so far")
	})
}

// Stop ends the sending, waits for the outstanding answers, and returns the results of all
// requests. Later calls return the same.
func (tr *Traffic) Stop() Result {
	tr.halted.Do(func() {
		tr.ran = time.Since(tr.start)
		close(tr.halt)
	})
	tr.flying.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	r := summarise(tr.shots)
	r.Wanted, r.Ran = tr.load.Rate, tr.ran
	return r
}

// shoot sends one request on a connection of its own and reads the whole answer.
func (l Load) shoot(shot *Shot, deadline time.Time) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	var dialer net.Dialer
	if l.Name != "" {
		dialer.LocalAddr = &net.UnixAddr{Name: fmt.Sprintf("@%s-%d", l.Name, shot.ID), Net: l.Network}
	}
	conn, err := dialer.DialContext(ctx, l.Network, l.Addr)
	if err != nil {
		shot.Outcome, shot.Err = outcomeOf(err), err
		return
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		shot.Outcome, shot.Err = Odd, err
		return
	}

	id := strconv.Itoa(shot.ID)
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-Load-Id: %s\r\nConnection: close\r\n", l.Method, l.Path, l.Host, id)
	if l.Body != "" {
		request += fmt.Sprintf("Content-Length: %d\r\n", len(l.Body))
	}
	// A server that refuses early may answer and close before it has read everything: the answer
	// counts, not the error of the write.
	_, writeErr := io.WriteString(conn, request+"\r\n"+l.Body)
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: l.Method})
	if err != nil {
		if writeErr != nil {
			err = writeErr
		}
		shot.Outcome, shot.Err = outcomeOf(err), err
		return
	}
	defer answer.Body.Close()
	shot.Status = answer.StatusCode
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		shot.Outcome, shot.Err = outcomeOf(err), err
		return
	}
	shot.Release, shot.Banner = answer.Header.Get("X-Release"), answer.Header.Get("X-Banner")
	echo := answer.Header.Get("X-Load-Id")
	switch {
	case echo != "" && echo != id:
		shot.Outcome, shot.Err = Mixed, fmt.Errorf("got the answer to request %s", echo)
	case answer.StatusCode == http.StatusServiceUnavailable:
		shot.Outcome = Unavailable
	case answer.StatusCode >= 400:
		shot.Outcome = BadStatus
	default:
		shot.Outcome = OK
	}
}

func outcomeOf(err error) Outcome {
	switch {
	// First, because connecting to a full unix socket returns EAGAIN, which reports itself as a
	// timeout.
	case errors.Is(err, syscall.EAGAIN):
		return Full
	case errors.Is(err, syscall.ENOENT):
		return Missing
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Cut
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	}
	return Odd
}

// Result is the results of all requests of a load.
type Result struct {
	Shots    []Shot // by ID
	Total    int
	By       map[Outcome]int
	ByBanner map[string]int // good answers, by banner
	// between good answers, and from the first request and to the last one's end
	LongestGap time.Duration
	GapAt      time.Duration // when that gap began
	P50, P99   time.Duration // of good answers
	Slowest    time.Duration
	MostLate   time.Duration // the most that the generator itself was late
	// Requests a second that were to be sent, and for how long; zero: nobody says.
	Wanted float64
	Ran    time.Duration
}

// Rate is how many requests a second were sent.
func (r Result) Rate() float64 { return float64(r.Total) / max(r.Ran, time.Millisecond).Seconds() }

// enough is the part of the wanted rate that a load has to reach: with fewer requests, that none was
// lost says less than it seems to.
const enough = 0.8

func summarise(shots []Shot) Result {
	shots = slices.Clone(shots)
	slices.SortFunc(shots, func(a, b Shot) int { return a.ID - b.ID })
	r := Result{Shots: shots, Total: len(shots), By: map[Outcome]int{}, ByBanner: map[string]int{}}
	var answered, latencies []time.Duration
	var end time.Duration
	for _, s := range shots {
		r.By[s.Outcome]++
		r.MostLate = max(r.MostLate, s.Late)
		end = max(end, s.Ended)
		if s.Outcome == OK {
			r.ByBanner[s.Banner]++
			answered = append(answered, s.Ended)
			latencies = append(latencies, s.Latency())
		}
	}
	slices.Sort(answered)
	before := time.Duration(0)
	for _, at := range append(answered, end) {
		if at-before > r.LongestGap {
			r.LongestGap, r.GapAt = at-before, before
		}
		before = at
	}
	if n := len(latencies); n > 0 {
		slices.Sort(latencies)
		r.P50, r.P99, r.Slowest = latencies[n/2], latencies[n*99/100], latencies[n-1]
	}
	return r
}

// span is a part of the time in which a load was running.
type span struct{ from, to time.Duration }

// Within returns the result of the requests that were due in one of the spans. The time between
// spans counts as a gap too.
func (r Result) Within(spans ...span) Result {
	in := summarise(slices.DeleteFunc(slices.Clone(r.Shots), func(s Shot) bool {
		return !slices.ContainsFunc(spans, func(in span) bool { return in.from <= s.Due && s.Due < in.to })
	}))
	in.Wanted = r.Wanted
	for _, s := range spans {
		in.Ran += max(min(s.to, r.Ran)-s.from, 0)
	}
	return in
}

// Lost returns how many requests had neither a good answer nor a 503.
func (r Result) Lost() int { return r.Total - r.By[OK] - r.By[Unavailable] }

func (r Result) String() string {
	var kinds []string
	for kind, n := range r.By {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	ms := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	rate := ""
	if r.Wanted > 0 {
		rate = fmt.Sprintf(" at %.0f/s of %.0f/s", r.Rate(), r.Wanted)
	}
	return fmt.Sprintf("%d requests%s: %s; longest gap %v at %v, p50 %v, p99 %v, slowest %v, generator late by at most %v",
		r.Total, rate, strings.Join(kinds, ", "), ms(r.LongestGap), ms(r.GapAt), ms(r.P50), ms(r.P99), ms(r.Slowest), ms(r.MostLate))
}

// failure is the part of testing.TB that the assertions need; their own tests stand in for it.
type failure interface {
	Helper()
	Errorf(format string, args ...any)
}

// NoneLost asserts that every request had a good answer: none lost and none refused with a 503.
func (r Result) NoneLost(t failure) {
	t.Helper()
	r.NoneLostBut(t, 0)
}

// NoneLostBut asserts what a killed process may cost: at most n requests, and only ones that it was
// working on, so cut or reset, or answered 502 by the proxy in between. All others had a good
// answer.
func (r Result) NoneLostBut(t failure, n int) {
	t.Helper()
	inHand := func(s Shot) bool { return s.Outcome == Cut || s.Outcome == Reset || s.Status == http.StatusBadGateway }
	r.assert(t, n, inHand, func(s Shot) bool { return s.Outcome == OK })
}

// NoneHung asserts that every request had a good answer or a 503: what a build in backoff owes its
// clients. At most n may have been lost with a killed process.
func (r Result) NoneHung(t failure, n int) {
	t.Helper()
	inHand := func(s Shot) bool { return s.Outcome == Cut || s.Outcome == Reset || s.Status == http.StatusBadGateway }
	r.assert(t, n, inHand, func(s Shot) bool { return s.Outcome == OK || s.Outcome == Unavailable })
}

func (r Result) assert(t failure, allowance int, excusable, good func(Shot) bool) {
	t.Helper()
	if r.Total == 0 {
		t.Errorf("the load sent nothing, so it tests nothing")
		return
	}
	if r.Wanted > 0 && r.Rate() < enough*r.Wanted {
		t.Errorf("the load reached %.0f requests a second, and %.0f are needed for what is lost to tell anything: %s", r.Rate(), enough*r.Wanted, r)
	}
	var bad, excused []Shot
	for _, s := range r.Shots {
		switch {
		case good(s):
		case excusable(s):
			excused = append(excused, s)
		default:
			bad = append(bad, s)
		}
	}
	if len(excused) > allowance {
		bad = append(bad, excused...)
	}
	if len(bad) == 0 {
		return
	}
	var list strings.Builder
	for _, s := range bad[:min(len(bad), 10)] {
		fmt.Fprintf(&list, "\n  %s", s)
	}
	t.Errorf("%d requests lost, and %d with a killed process, where %d may be: %s%s", len(bad), len(excused), allowance, r, list.String())
}
