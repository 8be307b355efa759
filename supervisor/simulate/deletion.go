package simulate

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// What somebody deletes with rm -r. What the supervisor has made it makes again.

// deleteFolder removes the folder of a build with all that is in it.
func (s *site) deleteFolder(x uint64) {
	s.tell("somebody deletes the build's folder")
	s.empty()
	if x>>8%2 == 0 { // and has not seen yet what was made again meanwhile
		s.w.after(spread(mix(x), 100*us, 20_000*us), func() {
			s.tell("somebody goes on deleting the build's folder")
			s.empty()
		})
	}
	s.touched = nil // what is watched is gone
}

// empty removes all that is in a build's folder.
func (s *site) empty() {
	s.unlink(true)
	s.loseReleases(func(*release) bool { return true })
	s.half, s.final, s.current = "", "", ""
	clear(s.files)
	s.touch()
}

// deleteReleases removes the releases of a build, all or one.
func (s *site) deleteReleases(x uint64) {
	if x%3 == 0 {
		s.tell("somebody deletes the folder of the releases")
		s.loseReleases(func(*release) bool { return true })
		s.half = ""
		s.touch() // it is in the folder that is watched
		return
	}
	var which *release
	if t := s.serving(); t != nil && x%2 == 0 {
		which = t.release
		if x>>16%2 == 0 { // and it is missed soon
			s.w.after(spread(mix(x), time.Second, 20*time.Second), s.crash)
		}
	} else if n := len(s.releases); n > 0 {
		which = s.releases[x>>8%uint64(n)]
	}
	if which != nil {
		s.tell("somebody deletes release %s", which.ID)
		s.loseReleases(func(r *release) bool { return r == which })
	}
}

func (s *site) loseReleases(which func(*release) bool) {
	s.disturb()
	s.backless = s.backless || s.rolled
	s.rolled = false
	s.lostReleases = true
	s.releases = slices.DeleteFunc(slices.Clone(s.releases), which)
}

// touch tells the supervisor that something in the build's folder has changed.
func (s *site) touch() {
	if touched := s.touched; touched != nil {
		s.w.after(s.dice.between(throwTouch, 100*us, 3000*us), touched)
	}
}

// deleteRoot removes everything.
func (w *World) deleteRoot(x uint64) {
	w.tell("world", "somebody deletes the root")
	for _, s := range w.order {
		s.deleteFolder(mix(x + uint64(s.index)))
	}
	w.deleteOwn(true)
}

// deleteOwn removes the supervisor's own folder, or only the records in it.
func (w *World) deleteOwn(all bool) {
	what := "the records"
	if all {
		what = "the supervisor's own folder"
		w.control = false
	}
	w.tell("world", "somebody deletes "+what)
	for _, s := range w.order {
		s.recordLost = true
		if (w.sup == nil || w.sup.backend == nil || w.sup.upgrading) && s.wish == wishStopped {
			s.wish = wishUnsure
		}
	}
	clear(w.disk.records)
	w.ownLost = w.now()
	inc := w.sup
	if inc == nil || inc.backend == nil || inc.stopping {
		return
	}
	took := ownEvery + 5*time.Second
	if !w.traits.noGuard {
		took = 5 * time.Second
		w.after(w.dice.between(throwTouch, 200*time.Millisecond, 260*time.Millisecond), func() {
			select {
			case inc.ownSeen <- struct{}{}:
			default:
			}
		})
	}
	at := w.now()
	w.after(took, func() {
		if w.ownLost != at || w.sup != inc || inc.stopping || inc.upgrading || !w.disk.tookAll(at) || w.now()-w.disturbed < took {
			return
		}
		const promise = "whatever somebody deletes is made again"
		if !w.control {
			w.breaks("", promise, "the control socket is not there after %v", took)
		}
		for _, s := range w.order {
			if s.recordLost && s.entry != nil && s.seenBy == inc.n && w.now()-s.editedAt > took {
				s.breaks(promise, "its record is not there after %v", took)
			}
		}
	})
}

// ownEvery is how often a supervisor looks at its own folder where it is not told of changes.
const ownEvery = 30 * time.Second

// ownFolder is the port to the supervisor's own folder.
type ownFolder struct{ *incarnation }

func (k ownFolder) Keep(ctx context.Context, lost func()) {
	tick := time.NewTicker(ownEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if k.lock() {
			k.w.control = k.w.control || k.backend != nil && k.w.disk.writable() == nil
			k.w.mu.Unlock()
		}
		lost()
		select {
		case <-k.ownSeen:
		case <-tick.C:
		case <-k.gone:
			return
		case <-ctx.Done():
		}
	}
}

// askStatus is somebody who looks at the status, which must wait for nothing.
func (w *World) askStatus() {
	inc := w.sup
	if inc == nil || inc.backend == nil || !w.control {
		return
	}
	backend, asked := inc.backend, w.now()
	w.running.Add(1)
	go func() {
		defer w.running.Done()
		st := backend.Status(false)
		w.mu.Lock()
		defer w.mu.Unlock()
		if inc.dead || w.over {
			return
		}
		if took := w.now() - asked; took > 0 {
			w.breaks("", "status waits for nothing", "it took %v", took)
		}
		said := ""
		for _, b := range st.Builds {
			said += fmt.Sprintf(" %s %s;", b.Name, b.State)
		}
		w.tell("world", "the status is:"+said)
	}()
}
