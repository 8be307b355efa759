package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Notifier tells one service manager. Its methods must not be called concurrently, except Wanted
// and Due, which may be called from anywhere. The zero Notifier tells nobody.
type Notifier struct {
	log      hclog.Logger
	to       *net.UnixAddr // nil: nobody wants to know
	watchdog time.Duration // how often it must hear from us; 0: it need not
	said     string        // the last STATUS
	failing  bool          // it could not be told the last time
	ends     bool          // it was told that we are stopping
}

// patience is how long the service manager may take to have room for what it is told. After that it
// is not told: some wait for READY=1 and read no more, and we must not wait for them.
const patience = 50 * time.Millisecond

// New takes from environ, which has the form of os.Environ, what the service manager asks for. A
// watchdog interval that cannot be read is logged and there is no watchdog.
func New(environ []string, log hclog.Logger) *Notifier {
	asked := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		asked[name] = value
	}
	n := &Notifier{log: log}
	if path := asked["NOTIFY_SOCKET"]; path != "" {
		n.to = &net.UnixAddr{Name: path, Net: "unixgram"}
	}
	// With a WATCHDOG_PID it is meant for that process only (sd_watchdog_enabled(3)).
	pid := asked["WATCHDOG_PID"]
	if n.to == nil || asked["WATCHDOG_USEC"] == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n
	}
	usec, err := strconv.ParseUint(asked["WATCHDOG_USEC"], 10, 48) // at most some years
	if err != nil || usec == 0 {
		log.Warn("watchdog of the service manager is not understood",
			"WATCHDOG_USEC", asked["WATCHDOG_USEC"], "error", err)
		return n
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n
}

// Wanted reports whether a service manager wants to be told.
func (n *Notifier) Wanted() bool { return n.to != nil }

// Ready says that the start, or the reload that Reloading announced, is over, and how things are
// now. It does nothing once Stopping was called: a reload may end during a stop, and a service
// manager that is told READY=1 then expects the program to stay.
func (n *Notifier) Ready(status string) {
	if n.ends {
		return
	}
	n.said = status
	n.tell("READY=1", "STATUS="+status)
}

// Reloading says that the configuration is being read; Ready ends that.
func (n *Notifier) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return // Linux always has this clock
	}
	n.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the program ends, and what it is doing until then.
func (n *Notifier) Stopping(status string) {
	n.ends = true
	n.tell("STOPPING=1", "STATUS="+status)
}

// Alive says that the program is not hanging. It is due whenever Due ticks.
func (n *Notifier) Alive() { n.tell("WATCHDOG=1") }

// Status says how things are, unless that is what was said last.
func (n *Notifier) Status(status string) {
	if status == n.said {
		return
	}
	n.said = status
	n.tell("STATUS=" + status)
}

// Due returns a channel that ticks twice as often as the service manager must hear Alive, or nil
// where it need not hear it. Whoever no longer wants the channel drops it.
func (n *Notifier) Due() <-chan time.Time {
	if n.watchdog == 0 {
		return nil
	}
	return time.NewTicker(n.watchdog / 2).C // collected with the last user of the channel (Go 1.23)
}

// tell sends one datagram. That it fails is logged once, until it works again.
func (n *Notifier) tell(states ...string) {
	if n.to == nil {
		return
	}
	err := n.send([]byte(strings.Join(states, "\n")))
	if err != nil && !n.failing {
		n.log.Warn("service manager cannot be told", "state", states[0], "error", err)
	}
	n.failing = err != nil
}

func (n *Notifier) send(text []byte) error {
	conn, err := net.DialUnix(n.to.Net, nil, n.to)
	if err != nil {
		return err
	}
	defer conn.Close() // what was written has been sent
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = conn.Write(text)
	return err
}
