package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
)

type role int

const (
	roleMaster role = iota
	roleWorker
	roleStray    // left the group of its tree, and ignores TERM
	roleStranger // is nobody of ours
)

// process is one that is alive.
type process struct {
	pid   int
	start uint64
	role  role
	tree  *tree // nil: a stranger, or a run
	run   *run
	alive bool
	ready bool // a worker that has loaded the application
	told  bool // to end: it finishes what it holds
	hand  *client
}

// tree is a server: a master, its workers and what they have started.
type tree struct {
	site    *site
	n       int // generation
	mark    string
	env     []string
	process string // of which it is an instance; "" for a server
	index   int    // which one
	dice    dice
	release *release
	runKey  string
	workers int
	sock    *socket   // nil: it is no server
	private []*client // probes that wait for it alone
	public  bool      // begun on the public socket
	boot    boot
	begun   time.Duration

	master  *process
	members []*process
	words   *words
	empty   chan struct{} // closed when no member is left
	standing
	ills
	watched
}

// standing is what a tree has come to.
type standing struct {
	passed   bool          // it answered a probe as expected, all its workers being ready
	served   bool          // had the public name
	lostName time.Duration // when another got the public name; zero: it has it, or never had
	ended    bool          // told to end by a supervisor
	crashed  bool          // its master was killed by no supervisor
}

// ills are what is wrong with a tree.
type ills struct {
	deaf  bool // ignores TERM
	hung  bool // accepts and returns nothing
	wrong bool // returns 500
	slow  bool
	ill   bool // it did not always take its clients quickly
}

// watched is who watches a main process.
type watched struct {
	watcher *incarnation
	exited  func(actor.Exit)
}

// ends is that a supervisor which may be the one that watches is no more.
func (w *watched) ends(inc *incarnation) {
	if w.watcher == inc {
		*w = watched{}
	}
}

func (t *tree) String() string {
	if t.process != "" {
		return fmt.Sprintf("%s.%d, which is generation %d,", t.process, t.index+1, t.n)
	}
	return fmt.Sprintf("generation %d", t.n)
}

// pid returns the next number of a build's processes. Each build counts for itself, so that no
// build's numbers depend on another's.
func (s *site) pid() int {
	s.pids++
	return (s.index+1)*100_000 + s.pids
}

func (w *World) spawn(t *tree, r role) *process {
	p := &process{pid: t.site.pid(), start: w.ticks(), role: r, tree: t, alive: true}
	w.procs[p.pid] = p
	t.members = append(t.members, p)
	return p
}

// ticks is the clock after boot in which start times are given, never twice the same.
func (w *World) ticks() uint64 { return uint64(w.now()/time.Microsecond) + 1 }

// alive returns the members that are.
func (t *tree) alive() bool { return len(t.members) > 0 }

// dies ends a process. Who was in its hands is lost with it.
func (p *process) dies(why string) {
	if !p.alive {
		return
	}
	w := p.tree.site.w
	t := p.tree
	p.alive = false
	delete(w.procs, p.pid)
	t.members = slices.DeleteFunc(t.members, func(m *process) bool { return m == p })
	if c := p.hand; c != nil {
		p.hand = nil
		c.lost("killed", why)
	}
	if w.traits.recycle && p.role == roleMaster {
		t.site.stranger(p.pid)
	}
	switch p.role {
	case roleMaster:
		t.masterDied(why)
	case roleWorker:
		t.workerDied(p)
	}
	if len(t.members) == 0 {
		close(t.empty)
		t.site.trees = slices.DeleteFunc(t.site.trees, func(o *tree) bool { return o == t })
		t.site.beside = slices.DeleteFunc(t.site.beside, func(o *tree) bool { return o == t })
		for _, c := range t.private {
			c.lost("killed", "with the server that it waited for")
		}
		if t.private = nil; t.sock != nil {
			t.sock.left()
		}
	}
}

// stranger starts somebody else's process with a pid that has just become free.
func (s *site) stranger(pid int) {
	w := s.w
	at := s.dice.between(throwPid, 10*time.Microsecond, 2*time.Millisecond)
	w.after(at, func() {
		if w.procs[pid] == nil {
			w.procs[pid] = &process{pid: pid, start: w.ticks(), role: roleStranger, alive: true}
		}
	})
}

// signalled is what happens to a stranger whom we signal.
func (w *World) signalled(p *process) {
	w.breaks("", "strangers are left alone", "process %d, which belongs to somebody else, got a signal of ours", p.pid)
}

func (t *tree) masterDied(why string) {
	w := t.site.w
	if t.words != nil {
		t.words.over()
	}
	exit := exitOf(why)
	if t.exited != nil && t.watcher != nil {
		inc, exited := t.watcher, t.exited
		w.after(t.dice.between(throwExit, 100*time.Microsecond, 900*time.Microsecond), func() {
			if !inc.dead {
				exited(exit)
			}
		})
	}
	// Orphaned workers notice within a second or so, and finish what they hold.
	for _, p := range slices.Clone(t.members) {
		if p.role == roleWorker {
			w.after(t.dice.between(throwOrphan, time.Millisecond, time.Second), func() { p.finish() })
		}
	}
}

// exitOf is what is seen of an end: "exit code N", or else the signal.
func exitOf(why string) actor.Exit {
	code := -1
	if _, err := fmt.Sscanf(why, "exit code %d", &code); err == nil {
		return actor.Exit{Words: why, Code: code, Clean: code == 0}
	}
	return actor.Exit{Words: "killed by SIGKILL", Code: -1, Signal: true}
}

func (t *tree) workerDied(p *process) {
	m := t.master
	if !m.alive || t.process != "" && !m.told {
		return
	}
	w := t.site.w
	if m.told {
		t.masterMayEnd()
		return
	}
	// Its master starts another.
	w.after(t.dice.between(throwBoot, 200*time.Millisecond, time.Second), func() {
		switch {
		case !m.alive || m.told:
		case !t.release.there(): // it cannot load the application
			t.killAll("exit code 3")
		default:
			t.workerReady(w.spawn(t, roleWorker))
		}
	})
}

func (t *tree) masterMayEnd() {
	m := t.master
	if !m.alive || !m.told || slices.ContainsFunc(t.members, func(p *process) bool { return p.role == roleWorker }) {
		return
	}
	t.site.w.after(t.dice.between(throwExit, time.Millisecond, 20*time.Millisecond), func() { m.dies("exit code 0") })
}

// finish ends a worker once it holds nobody.
func (p *process) finish() {
	p.told = true
	if p.alive && p.hand == nil && !p.tree.hung {
		p.dies("exit code 0")
	}
}

// term is SIGTERM to the group of a tree.
func (t *tree) term() {
	if t.deaf || t.hung {
		return
	}
	for _, p := range slices.Clone(t.members) {
		if p.told {
			continue
		}
		switch p.role {
		case roleMaster:
			p.told = true
			if !p.ready { // its workers have not loaded the application yet
				t.site.w.after(t.dice.between(throwExit, time.Millisecond, 50*time.Millisecond), func() { t.killAll("exit code 0") })
			}
		case roleWorker:
			t.site.w.after(t.dice.between(throwExit, 100*time.Microsecond, 5*time.Millisecond), func() { p.finish() })
			p.told = true
		}
	}
	if m := t.master; m.alive {
		t.masterMayEnd()
	}
}

// killAll ends all but strays, or with them where why is a kill.
func (t *tree) killAll(why string) {
	for _, p := range slices.Clone(t.members) {
		if p.role != roleStray || strings.HasPrefix(why, "killed") {
			p.dies(why)
		}
	}
}

// serve has every worker that can take a client from the queue do so.
func (t *tree) serve() {
	if t.hung || t.sock == nil {
		return
	}
	for _, p := range t.members {
		for p.role == roleWorker && p.alive && p.ready && !p.told && p.hand == nil && len(t.private)+len(t.sock.queue) > 0 {
			var c *client
			if len(t.private) > 0 {
				if c, t.private = t.private[0], t.private[1:]; c.over {
					continue // it has given up
				}
			} else {
				c = t.sock.accept()
			}
			if c.probe == nil && !t.passed && !t.public {
				t.site.breaks("no client meets a release that has not passed its check", "client %d is accepted by %v, which has not", c.id, t)
			}
			p.hand, c.proc, c.sock = c, p, nil
			t.answerSoon(p)
		}
	}
}

func (t *tree) answerSoon(p *process) {
	c := p.hand
	took := t.dice.between(throwService, time.Millisecond, 150*time.Millisecond)
	if t.slow {
		took *= 40
	}
	if c.probe != nil {
		took = min(took, 30*time.Millisecond)
	}
	t.site.w.after(took, func() {
		if p.hand != c || t.hung {
			return
		}
		p.hand = nil
		switch {
		case t.wrong:
			c.answered(500)
		case c.probe != nil && t.master.ready:
			t.passes()
			fallthrough
		default:
			c.answered(200)
		}
		if p.told {
			p.finish()
			return
		}
		t.serve()
	})
}

// resumes ends a hang.
func (t *tree) resumes() {
	if !t.hung {
		return
	}
	t.hung = false
	for _, p := range slices.Clone(t.members) {
		switch {
		case p.hand != nil:
			t.answerSoon(p)
		case p.told && p.role == roleWorker:
			p.finish()
		}
	}
	t.serve()
}

// begins is the life of an instance of a process: one that works, and what it has started for that.
func (t *tree) begins() {
	w, d := t.site.w, &t.dice
	t.master = w.spawn(t, roleMaster)
	t.master.ready = true
	w.spawn(t, roleWorker)
	if w.quiet {
		return
	}
	switch fate := d.next(throwFate) % 16; {
	case fate < 2: // it fails, soon or later
		w.after(d.between(throwBoot, 10*time.Millisecond, 20*time.Second), func() { t.killAll("exit code 1") })
	case fate == 2:
		t.deaf = true
	case fate == 3:
		w.spawn(t, roleStray)
	}
}

// passes is that it has passed a check of its health.
func (t *tree) passes() {
	if t.passed {
		return
	}
	t.passed = true
	t.site.passed = append(t.site.passed, passing{t.n, t.release, t.begun, t.site.w.now()})
}
