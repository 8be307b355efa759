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

// eventsFileMax is the size at which the file of events becomes the old one.
const eventsFileMax = 1 << 20

// eventLog is the feed of events with a file that outlives the run.
type eventLog struct {
	feed *control.Feed
	path string // "": they are in memory only
	log  hclog.Logger

	mu        sync.Mutex
	unwritten []control.Event
	wake      chan struct{}
}

func newEventLog() *eventLog {
	return &eventLog{feed: control.NewFeed(nil), wake: make(chan struct{}, 1), log: hclog.NewNullLogger()}
}

// openEventLog begins with what earlier runs wrote to the file at path, as much of
// it as is held. What cannot be read is left out: events explain, and decide nothing.
func openEventLog(path string, log hclog.Logger) *eventLog {
	l := newEventLog()
	l.path, l.log = path, log
	text := l.earlier(path)
	if bytes.Count(text, []byte("\n")) < control.FeedKept {
		text = slices.Concat(l.earlier(path+".1"), text)
	}
	l.feed = control.NewFeed(text)
	return l
}

// earlier answers the text of a file of events.
func (l *eventLog) earlier(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("earlier events cannot be read", "error", err)
	}
	return text
}

func (l *eventLog) add(e control.Event) {
	e.Time = e.Time.UTC()
	l.feed.Add(e)
	if l.path == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
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
