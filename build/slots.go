package build

import (
	"context"
	"sync"
)

// slots limits how many may run at once; the limit may change at any time.
type slots struct {
	mu      sync.Mutex
	limit   int
	taken   int
	waiting []chan struct{}
}

func (s *slots) setLimit(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = max(n, 1)
	s.admit()
}

// admit lets in those who wait, first come first served. The caller holds mu.
func (s *slots) admit() {
	for s.taken < s.limit && len(s.waiting) > 0 {
		close(s.waiting[0])
		s.waiting = s.waiting[1:]
		s.taken++
	}
}

// take waits for a slot, or for ctx to end.
func (s *slots) take(ctx context.Context) error {
	s.mu.Lock()
	turn := make(chan struct{})
	s.waiting = append(s.waiting, turn)
	s.admit()
	s.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w == turn {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return ctx.Err()
		}
	}
	s.taken-- // let in just now, and does not use it
	s.admit()
	return ctx.Err()
}

func (s *slots) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	s.admit()
}
