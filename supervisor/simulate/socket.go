package simulate

import (
	"slices"
	"time"
)

// socket is a listening unix socket.
type socket struct {
	w       *World
	site    *site
	inode   uint64
	spare   bool // its second name, from which a lost one is put back
	queue   []*client
	fds     int          // descriptors of the running supervisor
	stored  bool         // the service manager has one
	keeper  *incarnation // the last supervisor that had one
	refuses []*refusal
	changed chan struct{} // closed when the queue has changed
	dead    bool          // nobody holds it any more
	rests   int           // how often somebody began to look at its queue again and again
}

func (s *site) newSocket() *socket {
	s.w.inodes++
	k := &socket{w: s.w, site: s, inode: uint64(s.index+1)*10_000 + uint64(len(s.sockets)) + 1, spare: true, changed: make(chan struct{})}
	s.sockets = append(s.sockets, k)
	return k
}

// rest is how long somebody rests who looks at the queue again and again. Two never come at the same
// instant.
func (s *socket) rest() time.Duration {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.rests++
	return 5*time.Millisecond + time.Duration(s.rests)
}

// held says whether anybody has a descriptor.
func (s *socket) held() bool {
	if s.dead {
		return false
	}
	if s.fds > 0 || s.stored {
		return true
	}
	for _, t := range s.site.trees {
		if t.sock == s && t.alive() {
			return true
		}
	}
	return false
}

// connected says whether a server has somebody in hand who was accepted from it.
func (s *socket) connected() bool {
	for _, t := range s.site.trees {
		if t.sock == s && slices.ContainsFunc(t.members, func(p *process) bool { return p.hand != nil }) {
			return true
		}
	}
	return false
}

// left looks whether the last holder has gone: then the queue is reset.
func (s *socket) left() {
	if s.dead || s.held() {
		return
	}
	s.dead = true
	if w := s.w; w.names[s.site.paths.Socket()] == s && !(w.sup != nil && s.keeper == w.sup) {
		s.site.down("the last that held the public socket has ended")
	}
	queue := s.queue
	s.queue = nil
	for _, c := range queue {
		c.sock = nil
		if s.w.sup != nil && s.keeper == s.w.sup && !s.w.sup.hard {
			c.lost("reset", "the last descriptor is closed")
		} else {
			c.lost("killed", "with the last that held the socket")
		}
	}
	s.moved()
}

// moved tells those who wait for a change of the queue.
func (s *socket) moved() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// accept takes the client that waits longest.
func (s *socket) accept() *client {
	c := s.queue[0]
	s.queue = s.queue[1:]
	c.sock = nil
	s.moved()
	return c
}

// arrived lets whoever serves the socket take who has come.
func (s *socket) arrived() {
	if len(s.refuses) > 0 {
		s.refuses[len(s.refuses)-1].take(s)
		return
	}
	s.moved()
	for _, t := range s.site.trees {
		if t.sock == s {
			t.serve()
		}
	}
}

// refusal is the supervisor answering 503 on a socket.
type refusal struct {
	inc     *incarnation
	pending int
	idle    chan struct{} // closed when nobody waits for an answer and none is accepted any more
	ended   bool
}

func (r *refusal) take(s *socket) {
	for len(s.queue) > 0 {
		c := s.accept()
		c.held(r.inc)
		r.pending++
		s.w.after(s.site.dice.between(throwService, 100*us, 2000*us), func() {
			if !r.inc.dead {
				c.answered(503)
			}
			r.pending--
			r.check()
		})
	}
}

func (r *refusal) check() {
	if r.ended && r.pending == 0 {
		select {
		case <-r.idle:
		default:
			close(r.idle)
		}
	}
}

// passage carries clients from one queue to another socket.
type passage struct {
	under   map[*client]bool
	count   int
	changed chan struct{}
}

func (p *passage) finished(c *client) {
	delete(p.under, c)
	c.passage = nil
	p.count++
	close(p.changed)
	p.changed = make(chan struct{})
}

// carry brings a client to the socket at a path, or says 503 where that is not there in time.
func (p *passage) carry(c *client, to string, tries int) {
	if c.over || c.inc.dead {
		return
	}
	w := c.site.w
	if s := w.names[to]; s != nil && s.held() {
		s.queue = append(s.queue, c)
		c.sock = s
		s.arrived()
		return
	}
	if tries > 200 {
		c.answered(503)
		return
	}
	w.after(50_017*us, func() { p.carry(c, to, tries+1) })
}
