package sdnotify

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// manager is a service manager that listens and reads when it is asked what it heard.
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // its path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	m.listen()
	return m
}

func (m *manager) listen() {
	m.t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	m.conn = conn
}

// hears returns what was told next, and fails the test where nothing was.
func (m *manager) hears() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	text := make([]byte, 1000)
	size, err := m.conn.Read(text)
	if err != nil {
		m.t.Fatalf("nothing is heard: %v", err)
	}
	return string(text[:size])
}

// heardNothingMore sends a datagram of its own: whatever was told before would come first.
func (m *manager) heardNothingMore() {
	m.t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("end")); err != nil {
		m.t.Fatal(err)
	}
	if got := m.hears(); got != "end" {
		m.t.Errorf("heard %q as well", got)
	}
}

func (m *manager) environ(more ...string) []string {
	return append([]string{"PATH=/bin", "NOTIFY_SOCKET=" + m.path}, more...)
}

func logTo(out *bytes.Buffer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: out, Level: hclog.Trace})
}

func TestWhatIsToldIsTheProtocol(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	n := New(m.environ(), hclog.NewNullLogger())
	if !n.Wanted() {
		t.Error("nobody wants to know, it says")
	}
	var before unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &before); err != nil {
		t.Fatal(err)
	}
	n.Ready("1 build: 1 running")
	n.Status("1 build: 1 running") // no news
	n.Status("1 build: 1 backoff")
	n.Status("1 build: 1 backoff")
	n.Reloading()
	n.Ready("1 build: 1 backoff")
	n.Alive()
	n.Stopping("builds drain")
	for _, want := range []string{
		"READY=1\nSTATUS=1 build: 1 running", "STATUS=1 build: 1 backoff", "RELOADING=1\nMONOTONIC_USEC=",
		"READY=1\nSTATUS=1 build: 1 backoff", "WATCHDOG=1", "STOPPING=1\nSTATUS=builds drain",
	} {
		got := m.hears()
		if at, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC="); ok {
			usec, err := strconv.ParseInt(at, 10, 64)
			if err != nil || usec < before.Nano()/1000 || usec > before.Nano()/1000+int64(time.Minute/time.Microsecond) {
				t.Errorf("reloading began at %s of the monotonic clock, %v", at, err)
			}
			got = strings.TrimSuffix(got, at)
		}
		if got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	m.heardNothingMore()
}

// A reload may end during a stop: a service manager that is told READY=1 then expects us to stay.
func TestWhoStopsIsNotReadyAgain(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	n := New(m.environ(), hclog.NewNullLogger())
	n.Ready("all is well")
	n.Stopping("builds drain")
	n.Ready("all is well")
	n.Alive()
	for _, want := range []string{"READY=1", "STOPPING=1", "WATCHDOG=1"} {
		if got, _, _ := strings.Cut(m.hears(), "\n"); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	m.heardNothingMore()
}

func TestNobodyIsToldWhereNobodyWantsToKnow(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	for _, n := range []*Notifier{{}, New(nil, logTo(&log)), New([]string{"NOTIFY_SOCKET=", "WATCHDOG_USEC=1000000"}, logTo(&log))} {
		n.Ready("")
		n.Reloading()
		n.Alive()
		n.Status("")
		n.Stopping("")
		if n.Wanted() || n.Due() != nil {
			t.Errorf("somebody wants to know, it says: %v", n.Wanted())
		}
	}
	if log.Len() > 0 {
		t.Errorf("it logs %s", &log)
	}
}

func TestWatchdogIsHeardTwiceInItsTime(t *testing.T) {
	t.Parallel()
	me, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getpid()+1)
	for name, c := range map[string]struct {
		asks string
		want time.Duration // 0: no watchdog
		logs bool
	}{
		"for anybody":        {"WATCHDOG_USEC=3000000", 1500 * time.Millisecond, false},
		"for us":             {"WATCHDOG_USEC=3000000 WATCHDOG_PID=" + me, 1500 * time.Millisecond, false},
		"for another":        {"WATCHDOG_USEC=3000000 WATCHDOG_PID=" + other, 0, false},
		"none":               {"", 0, false},
		"zero":               {"WATCHDOG_USEC=0", 0, true},
		"not a number":       {"WATCHDOG_USEC=3s", 0, true},
		"longer than a life": {"WATCHDOG_USEC=99999999999999999999", 0, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			n := New(append(strings.Fields(c.asks), "NOTIFY_SOCKET=/nowhere"), logTo(&log))
			due := n.Due()
			if logs := strings.Contains(log.String(), "not understood"); logs != c.logs {
				t.Errorf("%s: logged is %q", name, &log)
			}
			if c.want == 0 {
				if due != nil {
					t.Errorf("%s: there is a watchdog", name)
				}
				return
			}
			begun := time.Now()
			<-due
			if <-due; time.Since(begun) != 2*c.want {
				t.Errorf("%s: two ticks took %v, want %v each", name, time.Since(begun), c.want)
			}
		})
	}
}

func TestServiceManagerThatIsGoneIsWarnedAboutOnce(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	var log bytes.Buffer
	n := New(m.environ(), logTo(&log))
	lose := func() {
		m.conn.Close()
		if err := os.Remove(m.path); err != nil {
			t.Fatal(err)
		}
		n.Alive()
		n.Status("x")
		n.Alive()
	}
	warnings := func() int { return strings.Count(log.String(), "service manager cannot be told") }
	lose()
	if got := warnings(); got != 1 {
		t.Errorf("%d warnings of one outage: %s", got, &log)
	}
	m.listen()
	n.Status("back")
	if got := m.hears(); got != "STATUS=back" {
		t.Errorf("heard %q", got)
	}
	lose()
	if got := warnings(); got != 2 {
		t.Errorf("%d warnings of two outages: %s", got, &log)
	}
}

// Some service managers wait for READY=1 and read nothing more.
func TestServiceManagerThatDoesNotReadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	var log bytes.Buffer
	n := New(m.environ(), logTo(&log))
	for told := 0; log.Len() == 0; told++ {
		if told > 10_000 {
			t.Fatal("its queue never fills")
		}
		n.Alive()
	}
	begun := time.Now()
	n.Alive()
	if took := time.Since(begun); took < patience || took > 10*time.Second {
		t.Errorf("it waited %v", took)
	}
}
