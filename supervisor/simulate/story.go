package simulate

import (
	"fmt"
	"strings"
	"time"
)

// story is what happened in a history, in order.
type story struct {
	moments []moment
	sum     uint64
}

type moment struct {
	at   time.Duration // since the history began
	who  string
	what string
}

// Sum stands for the whole story. Two things that happen at the same instant may be told in either
// order: the sum is the same.
func (s *story) Sum() uint64 { return s.sum }

func (s *story) add(m moment) {
	s.moments = append(s.moments, m)
	s.sum += mix(hash(m.who) ^ mix(hash(m.what)^mix(uint64(m.at))))
}

// String is for people: the last n moments, a line each; 0 is all.
func (s *story) String() string { return s.last(0) }

func (s *story) last(n int) string {
	all := s.moments
	var b strings.Builder
	if n > 0 && len(all) > n {
		fmt.Fprintf(&b, "   … %d moments before\n", len(all)-n)
		all = all[len(all)-n:]
	}
	for _, m := range all {
		fmt.Fprintf(&b, "  %11s  %-10s %s\n", clock(m.at), m.who, m.what)
	}
	return b.String()
}

// clock shows a time as minutes, seconds and microseconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%09.6f", int(d/time.Minute), (d % time.Minute).Seconds())
}
