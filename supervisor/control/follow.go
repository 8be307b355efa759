package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	// followerBuffer is how many events a follower may be behind.
	followerBuffer = 1024
	// heartbeat is how often a quiet stream says that it lives, so that a client
	// that has gone is noticed on both sides.
	heartbeat = 15 * time.Second
)

// events streams as the living standard of HTML has it (server-sent events).
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	follow := true
	if given := r.URL.Query().Get("follow"); given != "" {
		var err error
		if follow, err = truth(given); err != nil {
			refuse(w, http.StatusBadRequest, "follow: "+err.Error())
			return
		}
	}
	past, live, cancel := a.backend.Events()
	cancel = sync.OnceFunc(cancel)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := stream{w: w, conn: http.NewResponseController(w)}

	// The backend's channel is emptied at once, however slow the client is.
	behind := newBacklog()
	var pump sync.WaitGroup
	if follow {
		stop := make(chan struct{})
		defer func() { close(stop); pump.Wait() }()
		pump.Go(func() {
			behind.fill(live, stop)
			cancel() // though the client may take a while to read what it has
		})
	}
	for _, e := range past {
		if !out.event(e) {
			return
		}
	}
	if !out.flush() || !follow {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case e, open := <-behind.events:
			if !open {
				if behind.overflowed() {
					a.log.Debug("event follower dropped", "reason", "too slow")
					out.say("event: dropped\ndata: {\"error\":\"too slow: more than %d events behind\"}\n\n", followerBuffer)
				}
				return
			}
			if !out.event(e) || !out.flush() {
				return
			}
		case <-beat.C:
			if !out.say(": still here\n\n") {
				return
			}
		case <-r.Context().Done():
			return
		case <-a.ending:
			return
		}
	}
}

// backlog is what one follower has not been sent yet, followerBuffer at most.
type backlog struct {
	events chan Event // closed when no more is added

	mu   sync.Mutex
	over bool
}

func newBacklog() *backlog { return &backlog{events: make(chan Event, followerBuffer)} }

// fill takes all of live until it is closed, stop is, or the backlog is full.
func (b *backlog) fill(live <-chan Event, stop <-chan struct{}) {
	defer close(b.events)
	for {
		select {
		case e, open := <-live:
			if !open {
				return
			}
			select {
			case b.events <- e:
			default:
				b.mu.Lock()
				b.over = true
				b.mu.Unlock()
				return
			}
		case <-stop:
			return
		}
	}
}

func (b *backlog) overflowed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// stream writes to a client that may be slow; its methods answer whether the
// client is still there.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

func (s stream) event(e Event) bool {
	text, err := json.Marshal(e)
	if err != nil {
		return true // a time past the year 9999: no event of ours
	}
	s.deadline()
	_, err = fmt.Fprintf(s.w, "data: %s\n\n", text)
	return err == nil
}

func (s stream) say(format string, args ...any) bool {
	s.deadline()
	_, err := fmt.Fprintf(s.w, format, args...)
	return err == nil && s.flush()
}

func (s stream) flush() bool {
	s.deadline()
	return s.conn.Flush() == nil
}

func (s stream) deadline() {
	s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // dropped: a test's recorder has none
}
