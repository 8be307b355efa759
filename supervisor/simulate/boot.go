package simulate

import (
	"fmt"
	"slices"
	"time"
)

// boot is what a start comes to.
type boot int

const (
	bootWell      boot = iota
	bootExits          // before it is ready
	bootHangs          // never gets ready
	bootSilent         // its workers never say that they are ready
	bootSlowly         // but gets ready in time
	bootWrong          // returns 500
	bootDies           // seconds after it is ready
	bootHangsSoon      // seconds after it is ready
	bootDeaf           // well, but ignores TERM
	bootStrays         // well, but leaves a process behind
	bootRefused        // fork fails: nothing is started
	bootLast
)

func (b boot) String() string {
	return [...]string{"starts well", "exits while it starts", "hangs while it starts", "never says that it is ready", "starts slowly", "answers 500",
		"dies seconds after it is ready", "hangs seconds after it is ready", "starts well and ignores TERM", "starts well and leaves a process behind",
		"cannot be forked"}[b]
}

// harmful says that a release with such starts does not get to serve for long.
func (b boot) harmful() bool {
	switch b {
	case bootExits, bootHangs, bootSilent, bootWrong, bootDies, bootHangsSoon, bootRefused:
		return true
	}
	return false
}

// begin starts the life of a tree.
func (t *tree) begin() {
	w, d := t.site.w, &t.dice
	t.master = w.spawn(t, roleMaster)
	switch t.boot {
	case bootExits:
		w.after(d.between(throwBoot, 50*time.Millisecond, time.Second), func() { t.killAll("exit code 3") })
		return
	case bootHangs:
		t.hung, t.ill = true, true
		return
	}
	t.deaf = t.boot == bootDeaf
	t.wrong = t.boot == bootWrong
	t.ill = t.wrong
	at := d.between(throwBoot, 200*time.Millisecond, 2*time.Second)
	if t.boot == bootSlowly {
		at = d.between(throwBoot, 5*time.Second, 15*time.Second)
	}
	for range t.workers {
		at += d.between(throwReady, time.Millisecond, 50*time.Millisecond)
		p := w.spawn(t, roleWorker)
		w.after(at, func() { t.workerReady(p) })
	}
	if t.boot == bootStrays {
		w.after(at, func() {
			if t.alive() {
				w.spawn(t, roleStray)
			}
		})
	}
}

func (t *tree) workerReady(p *process) {
	if !p.alive || p.told {
		return
	}
	if t.hung { // it goes on when the tree does
		t.site.w.after(t.dice.between(throwReady, 500*time.Millisecond, time.Second), func() { t.workerReady(p) })
		return
	}
	p.ready = true
	if t.words != nil && t.boot != bootSilent {
		t.words.say(fmt.Sprintf("%d %d", p.pid, t.workers))
	}
	if all := !slices.ContainsFunc(t.members, func(m *process) bool { return m.role == roleWorker && !m.ready }); all && !t.master.ready {
		t.master.ready = true
		t.readyAt()
	}
	t.serve()
}

// readyAt is when the whole application runs.
func (t *tree) readyAt() {
	w, d := t.site.w, &t.dice
	soon := d.between(throwFate, time.Second, 8*time.Second)
	switch t.boot {
	case bootDies:
		w.after(soon, func() {
			if t.master.alive {
				t.killAll("exit code 1")
			}
		})
	case bootHangsSoon:
		w.after(soon, func() { t.hung, t.ill = true, true })
	}
}
