package control

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"
)

// FeedKept is how many events a Feed holds at least: for those who ask later, and for
// followers that are slow.
const FeedKept = 1000

// Feed holds the last events for those who ask and wakes those who follow. A
// follower costs whoever adds events nothing, however slow it is: it has a place in
// the feed, no copy of it. One that falls behind what is held is told so.
type Feed struct {
	mu    sync.Mutex
	past  []byte // what NewFeed was given, until somebody asks
	kept  []entry
	added int           // events so far, those of earlier runs too
	more  chan struct{} // closed and made anew by each event
}

// entry is an event and, once somebody asked for it, its JSON.
type entry struct {
	Event
	text []byte
}

// NewFeed begins with what happened before, oldest first: lines with the JSON of
// one event each. They are read when somebody asks; one that is no event is left out.
func NewFeed(past []byte) *Feed {
	from := len(past)
	for n := 0; n <= FeedKept && from > 0; n++ {
		from = bytes.LastIndexByte(past[:from], '\n')
	}
	return &Feed{past: bytes.Clone(past[max(from, 0):]), more: make(chan struct{})}
}

// read takes up what happened before. The caller holds mu.
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

// Add adds what happened now.
func (f *Feed) Add(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) >= FeedKept+FeedKept/10 {
		f.kept = slices.Delete(f.kept, 0, len(f.kept)-FeedKept)
		f.past = nil // older still
	}
	f.kept = append(f.kept, entry{Event: e})
	f.added++
	close(f.more)
	f.more = make(chan struct{})
}

// Of answers the last n events of a build, oldest first.
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

// after answers the JSON of the events after the first n, how many there were in
// all, and a channel that is closed when there are more. missed is how many of
// them are not held any more; of those from before anybody asked (n is 0) none is.
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
				continue // a time past the year 9999: no event of ours
			}
		}
		texts = append(texts, e.text)
	}
	return texts, f.added, missed, f.more
}
