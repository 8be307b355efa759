package simulate

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// client is one connection: of a visitor, or of a health probe.
type client struct {
	id      int
	site    *site
	at      time.Duration
	sock    *socket       // in whose queue it waits; nil: none
	proc    *process      // in whose hands it is; nil: in none
	inc     *incarnation  // that has taken it, to refuse it or to pass it on
	passage *passage      // by which it is passed on
	probe   chan<- answer // nil: a visitor
	over    bool
}

// answer is what a probe gets: a status, or 0 where the connection was lost.
type answer int

// clients counts what became of visitors.
type clients struct {
	ids                            int
	asked, served, told, lost, out int
	waiting                        map[*client]bool
}

// visit is a visitor who connects to the public socket of a build.
func (s *site) visit() {
	w := s.w
	w.clients.ids++
	c := &client{id: w.clients.ids, site: s, at: w.now()}
	w.clients.asked++
	if w.clients.waiting == nil {
		w.clients.waiting = map[*client]bool{}
	}
	w.clients.waiting[c] = true
	w.connect(c, s.paths.Socket())
}

// connect puts a client into the queue of the socket that a path leads to.
func (w *World) connect(c *client, path string) {
	s := w.names[path]
	switch {
	case s == nil:
		c.refused("the path of the socket is not there")
	case !s.held():
		c.refused("nobody listens on the socket")
	default:
		s.queue = append(s.queue, c)
		c.sock = s
		s.arrived()
	}
}

func (c *client) answered(status int) {
	if c.over {
		return
	}
	c.finish(answer(status))
	if c.probe != nil {
		return
	}
	w := c.site.w
	switch status {
	case 503, 504:
		w.clients.told++
	default:
		w.clients.served++
	}
	if took := w.now() - c.at; took > c.site.longestAnswer {
		c.site.longestAnswer = took
	}
}

// refused is a client that finds nobody to connect to.
func (c *client) refused(why string) {
	if c.over {
		return
	}
	c.finish(0)
	if c.probe != nil {
		return
	}
	w := c.site.w
	w.clients.out++
	if c.site.reachable() {
		c.site.breaks("the public name is there while the build is meant to serve", "client %d is refused: %s", c.id, why)
	}
}

// lost is a client whose connection ends without an answer.
func (c *client) lost(how, why string) {
	if c.over {
		return
	}
	c.finish(0)
	if c.probe != nil {
		return
	}
	c.site.w.clients.lost++
	if how == "reset" {
		c.site.breaks("who has connected is answered", "client %d is reset in the queue: %s", c.id, why)
	}
}

func (c *client) finish(a answer) {
	c.over = true
	c.sock, c.proc = nil, nil
	if c.inc != nil {
		delete(c.inc.hands, c)
	}
	if c.passage != nil {
		c.passage.finished(c)
	}
	if c.probe != nil {
		c.probe <- a // has room for one
		return
	}
	delete(c.site.w.clients.waiting, c)
}

// leaves is a client that waits no longer.
func (c *client) leaves() {
	if c.over {
		return
	}
	if s := c.sock; s != nil {
		s.queue = slices.DeleteFunc(s.queue, func(o *client) bool { return o == c })
		s.moved()
	}
	c.over = true // whoever has it in hands goes on, for nobody
	if c.passage != nil {
		c.passage.finished(c)
	}
	if c.inc != nil {
		delete(c.inc.hands, c)
	}
}

// inOrder are clients in the order in which they came.
func inOrder(all map[*client]bool) []*client {
	return slices.SortedFunc(maps.Keys(all), func(c, o *client) int { return c.id - o.id })
}

// held takes a client into the supervisor's own hands.
func (c *client) held(inc *incarnation) {
	c.sock, c.inc = nil, inc
	inc.hands[c] = true
}

func (c *client) where() string {
	switch {
	case c.sock != nil:
		return fmt.Sprintf("in the queue of socket %d", c.sock.inode)
	case c.proc != nil:
		return fmt.Sprintf("in the hands of %v", c.proc.tree)
	case c.inc != nil:
		return "in the supervisor's hands"
	}
	return "nowhere"
}
