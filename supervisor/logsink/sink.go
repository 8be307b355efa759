package logsink

import (
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// keptBytes bounds what waits to be written: some thousand lines.
	keptBytes = 1 << 20
	// retry is how long a write that failed is not tried again.
	retry = time.Second
	// slow is how long a write may take before it counts as trouble.
	slow = time.Second
)

// Sink is an io.Writer that never blocks and never fails. Its methods may be called from several
// goroutines.
type Sink struct {
	to   io.Writer
	lost func(lines int) []byte

	mu      sync.Mutex
	waiting [][]byte
	bytes   int       // in waiting
	dropped int       // lines, since the last one was written
	begun   time.Time // when the write under way began; zero: none is
	failed  error     // of the last write; nil: it went well
	wake    chan struct{}
	idle    chan struct{} // closed when nothing waits; nil: nothing does
	closed  bool
}

// New returns a Sink that writes to a descriptor. lost makes the line that says how many lines were
// dropped. The Sink's goroutine ends with Close, once a write that stands still has ended.
func New(to io.Writer, lost func(lines int) []byte) *Sink {
	s := &Sink{to: to, lost: lost, wake: make(chan struct{}, 1)}
	go s.run()
	return s
}

// Write keeps a copy of a line to be written soon. It returns len(line) and no error.
func (s *Sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.bytes+len(line) > keptBytes {
		s.dropped++
		return len(line), nil
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	s.waiting = append(s.waiting, append([]byte(nil), line...))
	s.bytes += len(line)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// Trouble says in a sentence why the log is not being written, or "".
func (s *Sink) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	why := ""
	switch {
	case s.failed != nil:
		why = fmt.Sprintf("the log cannot be written: %v", s.failed)
	case !s.begun.IsZero() && time.Since(s.begun) > slow:
		why = fmt.Sprintf("nobody has read the log for %v", time.Since(s.begun).Round(time.Second))
	case s.dropped > 0:
		why = "the log is written again"
	default:
		return ""
	}
	if s.dropped > 0 {
		why += fmt.Sprintf("; %d lines were dropped", s.dropped)
	}
	return why
}

// Flush waits until all that was written before is on its way, at most for a time.
func (s *Sink) Flush(limit time.Duration) {
	s.mu.Lock()
	idle := s.idle
	s.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// Close flushes, at most for a time, and drops what is written afterwards.
func (s *Sink) Close(limit time.Duration) {
	s.Flush(limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.wake)
	}
}

// run writes what waits.
func (s *Sink) run() {
	for range s.wake {
		for {
			line, ok := s.next()
			if !ok {
				break
			}
			n, err := s.to.Write(line)
			if s.wrote(n, err); err != nil {
				time.Sleep(retry) // its only event would be the write itself
			}
		}
	}
}

// next returns what is to be written now, with a word about what was dropped before it.
func (s *Sink) next() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.begun = time.Time{}
		if s.idle != nil {
			close(s.idle)
			s.idle = nil
		}
		return nil, false
	}
	s.begun = time.Now()
	return s.waiting[0], true
}

// wrote notes how the write of the first line went. What could not be written of it is tried again: on
// a full disk the beginning of a line may be in the log already.
func (s *Sink) wrote(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed, s.begun = err, time.Now()
	if err != nil {
		s.waiting[0] = s.waiting[0][n:]
		s.bytes -= n
		return
	}
	s.bytes -= len(s.waiting[0])
	s.waiting = s.waiting[1:]
	if s.dropped > 0 && len(s.waiting) == 0 {
		word := s.lost(s.dropped)
		s.dropped = 0
		s.waiting, s.bytes = append(s.waiting, word), s.bytes+len(word)
	}
}
