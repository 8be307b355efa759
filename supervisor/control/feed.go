package control

import (
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
	kept  []entry
	added int           // events so far, those of earlier runs too
	more  chan struct{} // closed and made anew by each event
}

// entry is an event and, once somebody asked for it, its JSON.
type entry struct {
	Event
	text []byte
}

// NewFeed begins with what happened before, oldest first.
func NewFeed(past []Event) *Feed {
	f := &Feed{more: make(chan struct{})}
	for _, e := range past[max(0, len(past)-FeedKept):] {
		f.kept = append(f.kept, entry{Event: e})
	}
	f.added = len(f.kept)
	return f
}

// Add adds what happened now.
func (f *Feed) Add(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.kept) >= FeedKept+FeedKept/10 {
		f.kept = slices.Delete(f.kept, 0, len(f.kept)-FeedKept)
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
