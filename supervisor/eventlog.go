package supervisor

import (
	"slices"
	"sync"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// eventsKept is how many events are held for those who ask later.
const eventsKept = 1000

// eventLog holds the last events and passes new ones on. A follower that does
// not keep up is cut off, by the end of its channel: it never costs the
// supervisor its time, and never misses an event without knowing.
type eventLog struct {
	mu        sync.Mutex
	past      []control.Event
	followers map[chan control.Event]struct{}
}

func newEventLog() *eventLog {
	return &eventLog{followers: map[chan control.Event]struct{}{}}
}

func (l *eventLog) add(e control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Time = e.Time.UTC()
	if len(l.past) == eventsKept {
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
