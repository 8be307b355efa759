package supervisor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// eventsKept is how many events are held for those who ask later.
const eventsKept = 1000

// eventsFileMax is the size at which the file of events becomes the old one.
const eventsFileMax = 1 << 20

// eventLog holds the last events, of earlier runs too, and passes new ones on. A
// follower that does not keep up is cut off, by the end of its channel: it never
// costs the supervisor its time, and never misses an event without knowing.
type eventLog struct {
	path string // "": they are in memory only
	log  hclog.Logger

	mu        sync.Mutex
	past      []control.Event
	followers map[chan control.Event]struct{}
	unwritten []control.Event
	wake      chan struct{}
}

func newEventLog() *eventLog {
	return &eventLog{followers: map[chan control.Event]struct{}{}, wake: make(chan struct{}, 1), log: hclog.NewNullLogger()}
}

// openEventLog begins with what earlier runs wrote to the file at path. What
// cannot be read of it is left out: events explain, and decide nothing.
func openEventLog(path string, log hclog.Logger) *eventLog {
	l := newEventLog()
	l.path, l.log = path, log
	for _, name := range []string{path + ".1", path} {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("earlier events cannot be read", "error", err)
		}
		for line := range bytes.Lines(text) {
			var e control.Event
			if json.Unmarshal(line, &e) == nil {
				l.past = append(l.past, e)
			}
		}
	}
	l.past = slices.Clone(l.past[max(0, len(l.past)-eventsKept):])
	return l
}

func (l *eventLog) add(e control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Time = e.Time.UTC()
	if len(l.past) >= eventsKept {
		l.past = slices.Delete(l.past, 0, eventsKept/10)
	}
	l.past = append(l.past, e)
	for f := range l.followers {
		select {
		case f <- e:
		default:
			delete(l.followers, f)
			close(f)
		}
	}
	if l.path == "" {
		return
	}
	l.unwritten = append(l.unwritten, e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes events down beside those who add them, until done is closed and all
// are written.
func (l *eventLog) run(done <-chan struct{}) {
	for {
		select {
		case <-l.wake:
			l.flush()
		case <-done:
			l.flush()
			return
		}
	}
}

// flush appends what is not written yet. What a full disk does not take is lost
// for the next run only.
func (l *eventLog) flush() {
	l.mu.Lock()
	todo := l.unwritten
	l.unwritten = nil
	l.mu.Unlock()
	if len(todo) == 0 {
		return
	}
	if err := l.write(todo); err != nil {
		l.log.Warn("events cannot be written down", "error", err)
	}
}

func (l *eventLog) write(events []control.Event) error {
	if info, err := os.Stat(l.path); err == nil && info.Size() > eventsFileMax {
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return fmt.Errorf("keep old events: %w", err)
		}
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	out := bufio.NewWriter(f)
	enc := json.NewEncoder(out)
	for _, e := range events {
		err = errors.Join(err, enc.Encode(e))
	}
	if err := errors.Join(err, out.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// of answers the last n events of a build, oldest first.
func (l *eventLog) of(build string, n int) []control.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []control.Event
	for _, e := range slices.Backward(l.past) {
		if e.Build == build && len(found) < n {
			found = append(found, e)
		}
	}
	slices.Reverse(found)
	return found
}

// follow answers what happened so far and a channel of what happens from now
// on, until cancel is called or the follower has fallen 256 events behind.
func (l *eventLog) follow() (past []control.Event, live <-chan control.Event, cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := make(chan control.Event, 256)
	l.followers[f] = struct{}{}
	return slices.Clone(l.past), f, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.followers, f)
	}
}
