package supervisor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// notifier tells the service manager that started us how we are (sd_notify(3)),
// where there is one that wants to know.
type notifier struct {
	log      hclog.Logger
	to       *net.UnixAddr // nil: nobody wants to know
	watchdog time.Duration // how often it must hear from us; 0: need not
	said     string        // the last STATUS
	failing  bool          // it could not be told the last time
	ends     bool          // it was told that we stop
}

// notifyPatience is how long the service manager may take to have room for what
// it is told. After that it is not: some wait for READY=1 and read no more, and
// we must not stand still with them.
const notifyPatience = 50 * time.Millisecond

// newNotifier takes from environ what the service manager asks for.
func newNotifier(environ []string, log hclog.Logger) *notifier {
	asked := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		asked[name] = value
	}
	n := &notifier{log: log}
	if path := asked["NOTIFY_SOCKET"]; path != "" {
		n.to = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	// With a WATCHDOG_PID it is for that process only (sd_watchdog_enabled(3)).
	if pid := asked["WATCHDOG_PID"]; n.to == nil || asked["WATCHDOG_USEC"] == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n
	}
	usec, err := strconv.ParseUint(asked["WATCHDOG_USEC"], 10, 48) // some years
	if err != nil || usec == 0 {
		log.Warn("watchdog of the service manager is not understood", "WATCHDOG_USEC", asked["WATCHDOG_USEC"], "error", err)
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n
}

func (n *notifier) tell(states ...string) {
	if n.to == nil {
		return
	}
	conn, err := net.DialUnix(n.to.Net, nil, n.to)
	if err == nil {
		defer conn.Close() // what was written is sent
		_ = conn.SetWriteDeadline(time.Now().Add(notifyPatience))
		_, err = conn.Write([]byte(strings.Join(states, "\n")))
	}
	if err != nil && !n.failing {
		n.log.Warn("service manager cannot be told", "state", states[0], "error", err)
	}
	n.failing = err != nil
}

// ready says that every build was taken up: it serves, or is built. That may
// take minutes, and a start that waited for it would be taken for one that hangs.
func (n *notifier) ready(status string) {
	if n.ends {
		return
	}
	n.said = status
	n.tell("READY=1", "STATUS="+status)
}

// reloading says that the file is being read; ready ends it.
func (n *notifier) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return // there always is that clock
	}
	n.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

func (n *notifier) stopping() {
	n.ends = true
	n.tell("STOPPING=1", "STATUS=builds drain")
}

func (n *notifier) alive() { n.tell("WATCHDOG=1") }

// status says how the builds are, where that is news.
func (n *notifier) status(now string) {
	if now != n.said {
		n.said = now
		n.tell("STATUS=" + now)
	}
}

// due answers a channel that ticks twice as often as the service manager must
// hear from us, until ctx ends; nil where it need not.
func (n *notifier) due(ctx context.Context) <-chan time.Time {
	if n.watchdog == 0 {
		return nil
	}
	tick := time.NewTicker(n.watchdog / 2)
	context.AfterFunc(ctx, tick.Stop)
	return tick.C
}

// statusRest is how long the service manager hears nothing new of the builds:
// many may change at once.
const statusRest = 200 * time.Millisecond

// phaseChanged notes that the service manager is to hear of the builds anew.
func (s *Supervisor) phaseChanged() {
	if s.notifier == nil || s.notifier.to == nil {
		return
	}
	select {
	case s.phases <- struct{}{}:
	default: // it is noted already
	}
}

// summary is the state of all builds in a line: "3 builds: 1 failed, 2 running".
func (s *Supervisor) summary() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	count := map[string]int{}
	for _, a := range s.actors {
		count[string(a.view.Load().state.Phase())]++
	}
	var parts []string
	for _, phase := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[phase], phase))
	}
	line := fmt.Sprintf("%d builds: %s", len(s.actors), strings.Join(parts, ", "))
	switch len(s.actors) {
	case 0:
		line = "no builds"
	case 1:
		line = "1 build: " + parts[0][len("1 "):]
	}
	if s.configErr != nil {
		line += "; the file has a mistake and is not applied"
	}
	return line
}
