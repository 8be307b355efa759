package dashboard

import (
	"net"
	"net/http"
	"sync"
)

// How many events and logs are followed at once, in all and from one address: everybody may look,
// and each costs the supervisor for as long as it lasts.
const (
	maxStreams    = 64
	clientStreams = 32
)

// streams counts those that are under way. The zero streams are none.
type streams struct {
	mu   sync.Mutex
	all  int
	from map[string]int
}

// begin counts one more from r's sender, until end is called; false: there are too many.
func (s *streams) begin(r *http.Request) (end func(), ok bool) {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.from[from] >= clientStreams {
		return nil, false
	}
	if s.from == nil {
		s.from = map[string]int{}
	}
	s.all++
	s.from[from]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.from[from]--; s.from[from] == 0 {
			delete(s.from, from)
		}
	}, true
}
