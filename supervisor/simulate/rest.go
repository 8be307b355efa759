package simulate

import (
	"slices"
	"time"
)

// expectsToServe says that the build must serve by now.
func (s *site) expectsToServe() bool {
	return s.entry != nil && s.wish == wishServe && s.entry.Restart == "always"
}

// atRest holds that everything is as the file says.
func (s *site) atRest(h *history) {
	w := s.w
	const promise = "after the last fault everything is as the file says"
	if w.sup == nil {
		return // said elsewhere
	}
	path := s.paths.Socket()
	if k := w.names[s.paths.Staging()]; k != nil && (k.held() || !s.forgotten()) {
		s.breaks(promise, "a candidate's socket is left")
	}
	if s.entry == nil || s.wish == wishStopped {
		for _, t := range s.runs {
			s.breaks(promise, "%v runs, though the build is not to serve", t)
		}
		for _, t := range s.all() {
			s.breaks(promise, "%v runs, though the build is not to serve", t)
		}
		if k := w.names[path]; k != nil && k.held() {
			s.breaks(promise, "the public name is there, though the build is not to serve")
		}
		if _, ok := w.disk.records[s.name]; ok && s.entry == nil {
			s.breaks(promise, "the record of a build that is not in the file is left")
		}
		return
	}
	if !s.expectsToServe() {
		return
	}
	t := s.serving()
	if t == nil {
		s.breaks(promise, "nothing serves")
		return
	}
	for _, o := range s.trees {
		if o.sock != t.sock || o.release.ID != t.release.ID {
			s.breaks(promise, "%v runs next to %v, which serves", o, t)
		} else if o.hung || !o.master.alive || !o.master.ready {
			s.breaks(promise, "%v serves beside %v, and cannot", o, t)
		}
	}
	if len(s.trees) != s.entry.Replicas {
		s.breaks(promise, "%d trees serve, and the file says %d", len(s.trees), s.entry.Replicas)
	}
	s.processesAtRest(t.release)
	switch {
	case t.hung || !t.master.ready:
		s.breaks(promise, "%v serves and cannot", t)
	case s.current != t.release.ID:
		s.breaks(promise, "current leads to %s, and %s serves", s.current, t.release.ID)
	case s.entry.CollectStatic && s.statics != t.release.ID:
		s.breaks(promise, "the static files are those of %s, and %s serves", s.statics, t.release.ID)
	case h.edits && t.release.inputs.id != s.inputs.id:
		s.breaks(promise, "%v serves, of %v, and the source has %v", t, t.release.inputs, s.inputs)
	case h.edits && t.workers != s.entry.Workers:
		s.breaks(promise, "%v has %d workers, and the file says %d", t, t.workers, s.entry.Workers)
	}
	r, ok := w.disk.records[s.name]
	if !ok || r.Proven != t.release.ID {
		s.breaks(promise, "the record says that %q served last, and %s serves", r.Proven, t.release.ID)
	}
	if s.half != "" {
		s.breaks(promise, "half a release is left")
	}
	s.schedulesAtRest()
	for _, t := range s.runs {
		if t.schedule == "" {
			s.breaks(promise, "%v runs, whose caller has gone long since", t)
		}
	}
}

// processesAtRest holds that every instance runs that the file asks for, from the release that serves.
func (s *site) processesAtRest(r *release) {
	const promise = "after the last fault everything is as the file says"
	want := 0
	for _, p := range s.entry.Processes {
		for index := range p.Count {
			want++
			i := slices.IndexFunc(s.beside, func(t *tree) bool { return t.process == p.Name && t.index == index })
			switch {
			case i < 0:
				s.breaks(promise, "%s.%d does not run", p.Name, index+1)
			case s.beside[i].release.ID != r.ID || !s.beside[i].master.alive:
				s.breaks(promise, "%v of release %s runs, and %s serves", s.beside[i], s.beside[i].release.ID, r.ID)
			}
		}
	}
	if len(s.beside) != want {
		s.breaks(promise, "%d instances of processes run, and the file says %d", len(s.beside), want)
	}
}

// ownAtRest holds that the supervisor's own folder is as it was made.
func (w *World) ownAtRest() {
	const promise = "whatever somebody deletes is made again"
	if !w.control {
		w.breaks("", promise, "the control socket is not there")
	}
	for _, s := range w.order {
		if s.recordLost && s.entry != nil {
			s.breaks(promise, "its record is not there")
		}
	}
}

// allEnded holds that every command has ended that was not asked for just now.
func (s *site) allEnded() {
	for _, c := range s.commands {
		if !c.over && s.w.now()-c.at > commandLimit {
			s.breaks("every command ends", "%s, asked for at %s, has not", c.action, clock(c.at))
			return
		}
	}
}

// workBounded holds that little is done where little happens.
func (w *World) workBounded(h *history) {
	acts := len(h.plan)
	const promise = "work is bounded"
	for _, s := range w.order {
		// A restart every delay at most, and what people and faults ask for.
		// A socket that cannot have its name again is tried to be replaced after each probe.
		most := 20 + 6*acts + int(hour/(s.last.RestartDelayMax*3/4)) + s.unlinked*3*int(hour/s.last.Health.Interval)
		most *= mostReplicas
		if s.besides > mostInstances*most {
			s.breaks(promise, "%d starts of processes, want at most %d", s.besides, mostInstances*most)
		}
		if s.starts > most {
			s.breaks(promise, "%d starts, want at most %d", s.starts, most)
		}
		if most := 20 + 4*acts + int(hour/(5*time.Minute)); s.attempts > most {
			s.breaks(promise, "%d attempts, want at most %d", s.attempts, most)
		}
	}
	most := 4000 + 1500*acts
	for _, s := range w.order {
		most += 20 * (s.starts + s.besides) // which are bounded themselves
	}
	if w.work.reached > most {
		w.breaks("", promise, "%d moments, want at most %d", w.work.reached, most)
	}
}
