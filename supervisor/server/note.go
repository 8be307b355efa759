package server

import (
	"strconv"
	"strings"
	"time"
)

// WatchdogTime is how long a process may be silent that has begun to say that it is alive, unless it
// asks for another time.
const WatchdogTime = 30 * time.Second

// The bounds of the time that a process may ask for.
const (
	leastWatchdog = time.Second
	mostWatchdog  = time.Hour
)

// Note is what a process says by sd_notify(3).
type Note struct {
	Ready    bool
	Alive    bool          // WATCHDOG=1
	Failed   bool          // WATCHDOG=trigger: it wants to be restarted
	Watchdog time.Duration // the new time between two notes that say Alive; 0: it is as it was
}

// ReadNote reads a message. What it does not know it leaves out.
func ReadNote(text []byte) (n Note) {
	for line := range strings.SplitSeq(string(text), "\n") {
		switch key, value, _ := strings.Cut(line, "="); {
		case key == "READY" && value == "1":
			n.Ready = true
		case key == "WATCHDOG" && value == "1":
			n.Alive = true
		case key == "WATCHDOG" && value == "trigger":
			n.Failed = true
		case key == "WATCHDOG_USEC":
			if us, err := strconv.ParseInt(value, 10, 64); err == nil && us > 0 && us <= mostWatchdog.Microseconds() {
				n.Watchdog = max(time.Duration(us)*time.Microsecond, leastWatchdog)
			}
		}
	}
	return n
}
