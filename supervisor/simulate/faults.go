package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// crash kills the main process of what serves.
func (s *site) crash() {
	t := s.serving()
	if t == nil {
		return
	}
	s.tell("kill -9 of the main process of %v", t)
	s.crashes(t)
	t.crashed = true
	t.master.dies("killed")
}

// crashes notes the death of what serves: where all was well, the successor is to come at once.
func (s *site) crashes(t *tree) {
	well := s.well(t)
	s.disturb()
	if well {
		s.crashed = s.w.now()
	}
}

// well says that t serves, was not disturbed for long and that its supervisor watches.
func (s *site) well(t *tree) bool {
	w := s.w
	calm := 2*time.Minute + 5*s.last.Health.Interval
	return w.sup != nil && w.sup.backend != nil && w.now()-s.disturbed > calm && w.now()-w.disturbed > calm && w.disk.good() && s.entry != nil &&
		s.entry.Restart == "always" && s.wish == wishServe && t.passed && t.master.ready && !t.hung && !s.making && t.watcher == w.sup &&
		len(s.trees) == s.entry.Replicas && !slices.ContainsFunc(s.trees, func(o *tree) bool { return !o.passed || o.hung || o.boot == bootDies }) &&
		t.release.inputs.boot == bootWell && t.release.there()
}

// crashProcess kills the main process of an instance that runs beside the server, or all of it.
func (s *site) crashProcess(x uint64) {
	if len(s.beside) == 0 {
		return
	}
	t := s.beside[x>>8%uint64(len(s.beside))]
	s.disturb()
	if x%3 == 0 {
		s.tell("kill -9 of all processes of %v", t)
		for _, p := range slices.Clone(t.members) {
			p.dies("killed")
		}
		return
	}
	s.tell("kill -9 of the main process of %v", t)
	t.master.dies("killed")
}

func (s *site) killTree() {
	t := s.serving()
	if t == nil {
		return
	}
	s.tell("kill -9 of all processes of %v", t)
	s.crashes(t)
	for _, p := range slices.Clone(t.members) {
		p.dies("killed")
	}
}

func (s *site) killWorker() {
	if t := s.serving(); t != nil {
		for _, p := range t.members {
			if p.role == roleWorker {
				s.tell("kill -9 of a worker of %v", t)
				s.disturb()
				p.dies("killed")
				return
			}
		}
	}
}

func (s *site) hang(d time.Duration) {
	t := s.serving()
	if t == nil {
		return
	}
	s.tell("%v hangs", t)
	s.disturb()
	t.hung, t.ill = true, true
	if d > 0 {
		s.w.after(d, func() {
			if t.hung && t.alive() {
				s.tell("%v goes on", t)
				s.disturb()
				t.resumes()
			}
		})
	}
}

func (s *site) grow(what string, change func(*tree)) {
	if t := s.serving(); t != nil {
		s.tell("%v %s", t, what)
		s.disturb()
		change(t)
	}
}

// unlink removes the public name, and the spare ones where all is true.
func (s *site) unlink(all bool) {
	w := s.w
	path := s.paths.Socket()
	k := w.names[path]
	if k == nil && !all {
		return
	}
	s.disturb()
	if all {
		s.tell("somebody deletes all sockets")
		s.unlinked++
		for path := range w.names {
			if w.siteAt(path) == s {
				delete(w.names, path)
			}
		}
		for _, k := range s.sockets {
			k.spare = false
		}
	} else {
		s.tell("somebody deletes the public socket")
		delete(w.names, path)
	}
	if k == nil {
		return
	}
	s.down("somebody has deleted it")
	s.spared = (all || k.spare) && !w.traits.noGuard && k.fds > 0 && w.sup != nil && w.sup.backend != nil && !w.sup.stopping && w.disk.good()
	if touched := s.touched; touched != nil {
		w.after(s.dice.between(throwTouch, 100*us, 3000*us), touched)
	}
}

// deleteFiles removes the generated files.
func (s *site) deleteFiles() {
	s.tell("somebody deletes the generated files")
	clear(s.files)
}

// trouble puts the disk into a state for a time.
func (w *World) trouble(what string, on *bool, d time.Duration) {
	if *on {
		return
	}
	w.tell("world", "the disk "+what)
	*on, w.disk.badAt = true, w.now()
	w.disturb()
	w.after(d, func() {
		*on, w.disk.badAt = false, w.now()
		w.disturb()
		w.tell("world", "the disk is well again")
	})
}

// disturb notes that something touched everything.
func (w *World) disturb() {
	w.disturbed = w.now()
	for _, s := range w.order {
		s.disturb()
		s.spared = false
	}
}

// killSupervisor is kill -9.
func (w *World) killSupervisor() {
	if w.sup == nil {
		return
	}
	w.sup.dies("kill -9")
	w.revive()
}

func (w *World) stopSupervisor() {
	if w.sup == nil || w.sup.backend == nil {
		return
	}
	w.tell("world", "somebody stops the supervisor")
	w.stopped(w.sup)
}

func (w *World) stopped(inc *incarnation) {
	w.disturb()
	for _, s := range w.order {
		k := w.names[s.paths.Socket()]
		lasts := s.reachable() && k != nil && k.stored
		s.unsure()
		s.lasts = lasts
		if !s.last.Autostart || s.recordLost && s.wish == wishStopped || s.unwritten() {
			s.wish = wishUnsure
		}
	}
	inc.stopping = true
	inc.signal(stopSignal)
}

// cutPower ends everything at once. What was synced is there afterwards.
func (w *World) cutPower() {
	w.tell("world", "the power is cut")
	w.disturb()
	if w.sup != nil {
		w.sup.dies("with the machine")
		w.revive()
	}
	for _, s := range w.order {
		for _, t := range s.all() {
			for _, p := range slices.Clone(t.members) {
				p.dies("with the machine")
			}
		}
		for _, t := range slices.Clone(s.runs) {
			t.dies("with the machine")
		}
		for _, k := range s.sockets {
			k.released()
		}
		s.down("the power was cut")
	}
	clear(w.procs)
	w.boots++
}

// supervisorDied is what a build is like after that.
func (s *site) supervisorDied() {
	s.disturb()
	s.spared = false
	pending := slices.ContainsFunc(s.commands, func(c *command) bool {
		return !c.over && (c.action == "stop" || c.action == "start" || c.action == "restart")
	})
	if pending || s.w.now()-s.wishAt < 10*time.Second || !s.last.Autostart || s.recordLost && s.wish == wishStopped || s.unwritten() {
		s.wish = wishUnsure
		s.unsure()
	}
	for _, c := range s.commands {
		c.over = true
	}
	s.events[wellAgain]++ // that on_recovery was called may not be written down yet
}

// unwritten says that a disk that hangs has kept a start from being written down: where what serves
// dies too, nobody knows of it. A stop that was acknowledged is written down.
func (s *site) unwritten() bool {
	r, ok := s.w.disk.records[s.name]
	return s.w.disk.blocked != nil && ok && r.StoppedByHand && s.wish == wishServe
}

// describe lists the builds for a failing history.
func (w *World) describe() string {
	var b strings.Builder
	for _, s := range w.order {
		entry := "not in the file"
		if s.entry != nil {
			entry = fmt.Sprintf("workers %d, replicas %d, %d processes, interval %v, grace %v, restart %s", s.entry.Workers, s.entry.Replicas, len(s.entry.Processes), s.entry.Health.Interval, s.entry.GracefulTimeout, s.entry.Restart)
		}
		fmt.Fprintf(&b, "  %s: %s; wish %s\n", s.name, entry, s.wish)
		for _, t := range s.all() {
			fmt.Fprintf(&b, "    %v: release %s, %d processes, hung %v, told to end %v\n", t, t.release.ID, len(t.members), t.hung, t.ended)
		}
	}
	return b.String()
}
