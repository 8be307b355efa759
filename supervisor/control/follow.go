package control

import (
	"fmt"
	"net/http"
	"time"
)

// heartbeat is how often a quiet stream sends a sign of life, so that both sides notice a broken
// connection.
const heartbeat = 15 * time.Second

// events streams server-sent events, as defined in the HTML living standard.
func (a *api) events(w http.ResponseWriter, r *http.Request) {
	follow := true
	if given := r.URL.Query().Get("follow"); given != "" {
		var err error
		if follow, err = truth(given); err != nil {
			refuse(w, http.StatusBadRequest, "follow: "+err.Error())
			return
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := stream{w: w, conn: http.NewResponseController(w)}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	feed := a.backend.Events()
	for seen := 0; ; {
		texts, added, missed, more := feed.after(seen)
		if missed > 0 {
			a.log.Debug("event follower dropped", "reason", "too slow", "missed", missed)
			out.say("event: dropped\ndata: {\"error\":\"too slow: %d events were missed\"}\n\n", missed)
			return
		}
		if a.shown != nil {
			for i, text := range texts { // a slice of our own
				texts[i] = a.shown(text)
			}
		}
		if !out.all(texts) || !follow {
			return
		}
		seen = added
		select {
		case <-more:
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

// stream writes to a client that may be slow; its methods report whether the client is still there.
type stream struct {
	w    http.ResponseWriter
	conn *http.ResponseController
}

// all sends events, each with a time limit for the client to accept it.
func (s stream) all(texts [][]byte) bool {
	for _, text := range texts {
		s.deadline()
		if _, err := fmt.Fprintf(s.w, "data: %s\n\n", text); err != nil {
			return false
		}
	}
	s.deadline()
	return s.conn.Flush() == nil
}

func (s stream) say(format string, args ...any) bool {
	s.deadline()
	if _, err := fmt.Fprintf(s.w, format, args...); err != nil {
		return false
	}
	return s.conn.Flush() == nil
}

func (s stream) deadline() {
	s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // dropped: a test's recorder has none
}
