package control

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
)

// FeedKept is the least number of past events that a Feed keeps, for later requests and for slow
// followers.
const FeedKept = 1000

// Feed keeps the last events for requests and wakes followers. A follower, however slow, does not
// slow down Add: it has a position in the feed, not a copy of it. One that falls behind the kept
// events is told so.
type Feed struct {
	mu    sync.Mutex
	past  []byte // what NewFeed was given, until it is first needed
	kept  []entry
	added int           // events so far, including those of earlier runs
	more  chan struct{} // closed and replaced at each event
}

// entry is an event and, once it was first needed, its JSON.
type entry struct {
	Event
	text []byte
}

// NewFeed begins with past events, oldest first: lines with the JSON of one event each. They are
// read when first needed; a line that is not an event is skipped.
func NewFeed(past []byte) *Feed {
	from := len(past)
	for n := 0; n <= FeedKept && from > 0; n++ {
		from = bytes.LastIndexByte(past[:from], '\n')
	}
	return &Feed{past: bytes.Clone(past[max(from, 0):]), more: make(chan struct{})}
}

// read reads the past events. The caller holds mu.
func (f *Feed) read() {
	if f.past == nil {
		return
	}
	var earlier []entry
	for text := range bytes.Lines(f.past) {
		var e Event
		if json.Unmarshal(text, &e) == nil {
			earlier = append(earlier, entry{Event: e})
		}
	}
	f.past = nil
	f.kept = append(earlier, f.kept...)
	f.added += len(earlier)
}

// Add adds a new event.
func (f *Feed) Add(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) >= FeedKept+FeedKept/10 {
		f.kept = slices.Delete(f.kept, 0, len(f.kept)-FeedKept)
		f.past = nil // the past events are older still
	}
	f.kept = append(f.kept, entry{Event: e})
	f.added++
	close(f.more)
	f.more = make(chan struct{})
}

// Of returns the last n events of a build, oldest first.
func (f *Feed) Of(build string, n int) []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read()
	var found []Event
	for _, e := range slices.Backward(f.kept) {
		if e.Build == build && len(found) < n {
			found = append(found, e.Event)
		}
	}
	slices.Reverse(found)
	return found
}

// after returns the JSON of the events after the first n, how many there were in all, and a channel
// that is closed when there are more. missed is how many of them are no longer kept; it is 0 for a
// first request (n is 0).
func (f *Feed) after(n int) (texts [][]byte, added, missed int, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read()
	first := f.added - len(f.kept)
	if n > 0 {
		missed = max(0, first-n)
	}
	for i := max(0, n-first); i < len(f.kept); i++ {
		e := &f.kept[i]
		if e.text == nil {
			var err error
			if e.text, err = json.Marshal(e.Event); err != nil {
				continue // a time after the year 9999: not one of our events
			}
		}
		texts = append(texts, e.text)
	}
	return texts, f.added, missed, f.more
}
