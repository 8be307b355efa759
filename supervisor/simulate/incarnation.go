package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// incarnation is one supervisor from its start to its end.
//
// Goroutines cannot be killed. So one that dies becomes a ghost: what it calls succeeds and touches
// nothing, it hears of nothing, its context ends and it is told to stop, so that it soon ends by
// itself while its successor lives on the real world.
type incarnation struct {
	w      *World
	n      int
	dead   bool
	hard   bool // told to end everything at once
	gone   chan struct{}
	opened map[*listener]bool
	hands  map[*client]bool
	die    *death // nil: not at a known moment

	backend   control.Backend // nil: it takes no commands
	requests  sync.WaitGroup  // that were taken and have no result yet
	slots     slots
	leaving   map[leaver]bool // generations that were told to end
	stopping  bool
	upgrading bool // an operator has asked for it
	senses
	inherited
	lifetime
}

// senses are how a supervisor hears of what happens outside of it.
type senses struct {
	signals chan os.Signal
	touches chan []string
	ownSeen chan struct{} // something was removed of its own folder
	watched map[string]bool
}

// inherited is what came from the supervisor before, or from the service manager.
type inherited struct {
	from   string // the version of the supervisor before, after an upgrade
	handed map[string][]public.Listener
}

// lifetime is when a supervisor began, and how it ends.
type lifetime struct {
	began time.Duration
	boot  int             // of the machine
	life  context.Context // ends with it
	cut   context.CancelFunc
}

// death says at which moment a supervisor dies.
type death struct {
	at    string // as reach says it
	count int
}

// lock takes the world's lock, for a supervisor that is alive.
func (inc *incarnation) lock() bool {
	inc.w.mu.Lock()
	if inc.dead {
		inc.w.mu.Unlock()
		return false
	}
	return true
}

// spend lets a call take its time.
func (inc *incarnation) spend(d *dice) {
	if !inc.lock() {
		return
	}
	took := d.between(throwPort, 10*us, 3000*us)
	if inc.w.disk.slow {
		took *= 300
	}
	inc.w.mu.Unlock()
	inc.sleep(took)
}

func (inc *incarnation) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-inc.gone:
	}
}

// wait waits for a change, or for a time where that is said, and fails when ctx ends.
func (inc *incarnation) wait(ctx context.Context, changed <-chan struct{}, d time.Duration, timed bool) error {
	var tick <-chan time.Time
	if timed {
		t := time.NewTimer(d)
		defer t.Stop()
		tick = t.C
	}
	select {
	case <-changed:
	case <-tick:
	case <-inc.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// dies is kill -9 of the supervisor. The lock is held.
func (inc *incarnation) dies(why string) {
	if inc.dead {
		return
	}
	w := inc.w
	w.tell("world", fmt.Sprintf("supervisor %d is killed, %s", inc.n, why))
	for _, c := range inOrder(inc.hands) {
		if c.sock != nil { // passed on: its other end is closed
			c.leaves()
			delete(w.clients.waiting, c)
			w.clients.lost++
			continue
		}
		c.lost("killed", "in the supervisor's hands")
	}
	for _, s := range w.order {
		s.supervisorDied()
	}
	if w.sup == inc {
		w.sup = nil
	}
	w.control = false
	inc.vanish()
}

// replaced is that another program was executed in its place.
func (inc *incarnation) replaced() {
	for _, s := range inc.w.order {
		s.supervisorDied()
	}
	inc.vanish()
}

// listeners are its open ones, always in the same order.
func (inc *incarnation) listeners() []*listener {
	return slices.SortedFunc(maps.Keys(inc.opened), func(l, o *listener) int {
		return cmp.Or(cmp.Compare(l.sock.inode, o.sock.inode), cmp.Compare(l.path, o.path))
	})
}

// vanish cuts it off from the world and has it end.
func (inc *incarnation) vanish() {
	inc.dead = true
	close(inc.gone)
	for _, l := range inc.listeners() {
		l.sock.refuses = nil
		l.close()
	}
	for _, s := range inc.w.order {
		s.touched = nil
		s.making = false
		s.hooks = 0
		for _, t := range s.all() {
			t.ends(inc)
		}
		for _, t := range s.runs {
			t.ends(inc)
		}
	}
	inc.cut()
	inc.signal(stopSignal)
	inc.signal(stopSignal)
}
