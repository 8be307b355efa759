package machine

import "time"

// live lets things happen, in any order: one for each number, which is all the randomness it needs.
func (w *world) live(history []uint64) {
	for _, dice := range history {
		if w.gone {
			return
		}
		w.dice = dice
		if dice >= 1<<10 {
			w.dice = mix(dice) // small numbers shrink to dull outcomes, others are fair
		}
		switch k := w.roll(20); {
		case k < 8 && len(w.mail) > 0:
			w.deliver()
		case k < 14:
			w.chance()
		case k < 17:
			w.wait()
		default:
			w.person()
		}
	}
	w.dice = 0
}

// inherit begins every fourth history where an earlier supervisor left off: with a serving
// generation, or one that has died on a listener that still exists.
func (w *world) inherit(history []uint64) {
	if len(history) == 0 || history[0]%4 != 1 {
		return
	}
	v := Version{Release: "inherited", RunKey: [...]string{"k1", "k2"}[history[0]/4%2]}
	w.made = append(w.made, release{id: v.Release})
	w.trees = append(w.trees, &tree{version: v, group: 1, alive: true, ready: true})
	w.named, w.public = true, 1
	w.proved, w.failed, w.bad = map[Version]bool{v: true}, map[Version]bool{}, map[Version]bool{}
	w.served, w.moved, w.lastOK = v, w.edits, w.now
	e := Adopted{N: 1, Version: v, Pid: 1001, Open: true, Alone: history[0]/128%4 == 3}
	w.alone = e.Alone
	if history[0]/8%2 == 1 {
		*w.trees[0] = tree{version: v, group: 1, failed: true, ended: true}
		w.public = 0
		e = Adopted{Version: v, Open: true, Reason: "it ended while no supervisor watched"}
		w.s.Spawned = 1
	}
	w.take(e)
	if history[0]/256%2 == 1 && e.N != 0 {
		w.trees = append(w.trees, &tree{version: v, group: 1, alive: true, ready: true})
		w.take(AdoptedBeside{N: 2, Pid: 1002})
	}
	for index := range int(history[0] / 512 % 3) {
		n := len(w.trees) + 1
		v := Version{Release: v.Release, RunKey: "p1"}
		w.trees = append(w.trees, &tree{version: v, group: n, process: "worker", index: index, alive: true, ready: true})
		w.take(AdoptedProcess{N: n, Process: "worker", Index: index, Version: v, Pid: 1000 + n})
	}
}

// roll returns a number from 0 to n-1.
func (w *world) roll(n int) int {
	k := w.dice % uint64(n)
	w.dice /= uint64(n)
	return int(k)
}

// chance has something happen to a generation or to the running build.
func (w *world) chance() {
	var open []int // generations that are not over yet
	for i, g := range w.trees {
		if !g.ended && (g.alive || g.leaving) {
			open = append(open, i+1)
		}
	}
	building := w.build != nil && !w.build.over
	k := w.roll(len(open) + 1)
	switch {
	case k < len(open):
		w.fate(open[len(open)-1-k])
	case building:
		w.progress()
	case len(open) > 0:
		w.fate(open[0])
	}
}

// fate decides what becomes of generation n.
func (w *world) fate(n int) {
	g := w.trees[n-1]
	switch {
	case g.leaving:
		if g.alive && w.roll(4) == 3 {
			w.post(Exited{N: n, Reason: "late news"})
		}
		g.alive, g.proving, g.ended = false, false, true
		w.post(Ended{N: n})
	case g.proving:
		g.proving = false
		switch w.roll(8) {
		case 5:
			w.post(ProofFailed{N: n, Reason: "GET / answered 500, want <500", Cause: Cause(w.roll(3))})
		case 6:
			w.exit(n)
		case 7: // it passed its check, and died before the machine was told
			w.post(Ready{N: n})
			w.exit(n)
		default:
			w.post(Ready{N: n})
		}
	default:
		switch k := w.roll(8); {
		case k < 2 && g.watched:
			w.post(ProbeOK{N: n})
		case k < 5 && g.watched:
			w.post(ProbeFailed{N: n, Reason: "no answer within 2s"})
		case k > 4:
			w.exit(n)
		}
	}
}

func (w *world) exit(n int) {
	w.trees[n-1].alive = false
	w.post(Exited{N: n, Reason: "exit code 3", Clean: w.roll(3) == 2, Cause: Cause(w.roll(2))})
}

// progress takes the running build one step further, or ends it.
func (w *world) progress() {
	b := w.build
	if b.cancelling && w.roll(3) < 2 {
		b.over = true
		w.post(BuildFailed{Seq: b.seq, Reason: "cancelled", Cancelled: true})
		return
	}
	switch {
	case w.roll(8) == 7:
		b.over = true
		w.post(BuildFailed{Seq: b.seq, Reason: "pip: no network", Final: b.committed})
	case b.inputs == 0:
		b.inputs = w.inputs
	case !b.committed:
		b.committed = true
		w.post(BuildCommitted{Seq: b.seq})
	default:
		w.finish()
	}
}

// wait lets time pass: to the next timer, or some of the way.
func (w *world) wait() {
	next, any := w.nextTimer()
	switch k := w.roll(4); {
	case any && k < 2:
		w.now = later(w.now, next)
	case any && k == 2:
		w.now = w.now.Add(next.Sub(w.now) / 2)
	default:
		w.now = w.now.Add(time.Duration(1+w.roll(8000)) * time.Millisecond)
	}
	w.ring()
}

func (w *world) nextTimer() (next time.Time, any bool) {
	for _, at := range w.timers {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, !next.IsZero()
}

// ring posts the timers that have run out.
func (w *world) ring() {
	for i, at := range w.timers {
		if !at.IsZero() && !w.now.Before(at) {
			w.timers[i] = time.Time{}
			w.post(Timer{Kind: timerKinds[i]})
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// person edits a file or gives a command.
func (w *world) person() {
	switch w.roll(20) {
	case 18:
		w.policy.Processes = processes[w.roll(len(processes))]
		w.configure(false)
	case 19:
		w.restartProcesses()
	case 16:
		w.remove()
	case 17:
		if w.named && w.public != 0 && !w.lost && w.want == WantServe {
			w.lost = true
			w.take(NameLost{})
		}
	case 0, 1:
		w.edit()
		w.post(InputsChanged{})
	case 2: // and undoes it
		w.write(1 + w.roll(w.edits))
		w.post(InputsChanged{})
	case 3: // touches it
		w.post(InputsChanged{})
	case 4:
		w.runKey = [...]string{"k1", "k2", "k3"}[w.roll(3)]
		w.policy.Replicas = w.replicas[w.runKey]
		w.configure(false)
	case 5:
		w.policy.Restart = [...]Restart{RestartAlways, RestartOnFailure, RestartNever}[w.roll(3)]
		w.configure(false)
	case 6:
		w.policy.StableAfter = time.Duration(1+w.roll(3)) * 4 * time.Second
		w.policy.DelayMax = [...]time.Duration{30 * time.Second, time.Second, 5 * time.Minute}[w.roll(3)]
		w.policy.Failures = 1 + w.roll(3)
		w.policy.Autostart = w.roll(2) == 0
		w.configure(false)
	case 7:
		w.edit()
		w.configure(true)
	case 8, 9:
		w.take(Start{})
	case 10:
		w.take(Stop{})
	case 11:
		w.take(RestartNow{})
	case 12:
		if w.roll(3) == 2 {
			w.take(Deploy{})
		} else {
			w.take(Rebuild{Fresh: w.roll(2) == 0})
		}
	case 13, 14:
		w.rollback()
	case 15:
		switch w.roll(4) {
		case 0:
			w.configure(false)
		case 1, 2:
			w.take(Removed{})
		case 3:
			w.take(Shutdown{Held: w.roll(2) == 1})
		}
	}
}

// remove removes the files of a release, which may be noticed at once or not before they are missed.
func (w *world) remove() {
	if len(w.made) == 0 {
		return
	}
	r := &w.made[w.roll(len(w.made))]
	if r.pruned {
		return
	}
	r.pruned, r.gone = true, true
	if w.pinned.release == r.id || w.pinned.inputs == r.inputs {
		w.pinned.release = "" // an attempt at the same inputs makes a new one, which takes over
	}
	if r.id == w.s.Proven.Release && w.roll(2) == 0 {
		w.post(ReleaseGone{Release: r.id})
	}
}

func (w *world) edit() {
	w.edits++
	w.write(w.edits)
}

func (w *world) write(inputs int) {
	if inputs != w.inputs {
		w.inputs, w.pinned.release = inputs, ""
	}
}

// configure delivers the file at once: a later edit must not overtake it.
func (w *world) configure(rebuild bool) {
	w.take(Configured{Policy: w.policy, RunKey: w.runKey, Rebuild: rebuild})
}

// rollback goes to any kept release that is not serving, as the command allows.
func (w *world) rollback() {
	var ids []string
	for _, r := range w.made {
		if !r.pruned && r.id != w.s.Serving.Version.Release {
			ids = append(ids, r.id)
		}
	}
	if len(ids) > 0 {
		w.take(Rollback{Release: ids[w.roll(len(ids))]})
	}
}

// heal removes all faults from the world and lets time pass until nothing happens any more.
func (w *world) heal() {
	for round := 0; w.healed(); round++ {
		w.require(round < 300, "does not come to rest")
	}
}

// healed makes one pending thing succeed, and returns false if none is left.
func (w *world) healed() bool {
	if len(w.mail) > 0 {
		w.deliver()
		return true
	}
	for i, g := range w.trees {
		if !g.ended && (g.leaving || g.proving) {
			w.fate(i + 1)
			return true
		}
	}
	if w.build != nil && !w.build.over {
		w.finish()
		return true
	}
	if w.s.Serving.Misses > 0 && !w.s.Lost {
		w.post(ProbeOK{N: w.s.Serving.N})
		return true
	}
	for _, m := range w.s.Serving.Beside {
		if m.Misses > 0 && !w.s.Lost {
			w.post(ProbeOK{N: m.N})
			return true
		}
	}
	next, any := w.nextTimer()
	if any {
		w.now = later(w.now, next)
		w.ring()
	}
	if !any && w.s.Final && w.s.NeedBuild == NeedNone && w.want == WantServe {
		w.take(Start{}) // a person has corrected what made it fail
		return true
	}
	return any
}
