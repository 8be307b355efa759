package machine

import "time"

// settle compares the actual state with the desired one and asks for the difference. It is the only
// place that starts anything.
func (t *turn) settle() {
	if t.Want == WantUnknown {
		return
	}
	t.settleGone()
	t.settleBuild()
	if t.Want != WantServe {
		t.windDown()
		t.membersAt()
		return
	}
	t.settleName()
	t.settleCandidate()
	t.settlePublic()
	t.settleReplicas()
	t.settleProcesses()
	t.membersAt()
}

// settleBuild keeps at most one attempt running, of the newest inputs.
func (t *turn) settleBuild() {
	b := &t.Building
	wanted := t.Want == WantServe && t.NeedBuild != NeedNone
	switch {
	case !b.Running && wanted && t.BuildAt.IsZero():
		t.Builds++
		*b = Building{Seq: t.Builds, Running: true, Forced: t.NeedBuild >= NeedForced, Fresh: t.NeedBuild == NeedFresh}
		t.do(Build{Seq: b.Seq, Force: b.Forced, Fresh: b.Fresh})
		t.NeedBuild = NeedNone
	case b.Running && !b.Cancelling && t.Want != WantServe:
		b.Cancelling = true
		grace := time.Duration(0)
		if b.Committed {
			grace = t.Policy.Grace
		}
		t.do(CancelBuild{Seq: b.Seq, Grace: grace})
	case b.Running && !b.Cancelling && !b.Committed && wanted:
		b.Cancelling = true
		t.do(CancelBuild{Seq: b.Seq})
	}
}

// settleName makes the public name if it is missing.
func (t *turn) settleName() {
	if !t.Open && !t.Opening && t.OpenAt.IsZero() {
		t.Opening = true
		t.do(Open{})
	}
}

// settleCandidate keeps one candidate running while another version should serve, or the serving
// one should be replaced, and swaps it in once it has passed its check.
func (t *turn) settleCandidate() {
	want := t.target()
	if t.Candidate.N != 0 {
		switch {
		case t.Swapping:
		case t.Candidate.Version != want:
			t.dropCandidate()
		case t.Candidate.complete() && t.Open:
			t.refuse(false) // clients waiting now are passed on to the candidate
			t.Swapping = true
			t.do(Swap{N: t.Candidate.N})
		}
	}
	if t.Candidate.N != 0 || want == (Version{}) || t.Halted != "" || !t.CandidateAt.IsZero() {
		return
	}
	if want == t.Proven && !t.Again && !t.replaced() && !t.crowded() {
		return
	}
	if want.Release == t.Gone {
		return // another is being made
	}
	if want == t.Proven && t.Serving.N == 0 {
		return // settlePublic starts it where clients already wait
	}
	t.Candidate = t.generation(want)
	t.Candidate.Asked, t.Again = t.Again, false
	if want == t.Trial.Version {
		t.Trial.Yields = false // it is its turn
	}
	t.do(Spawn{N: t.Candidate.N, Version: want})
	for i := range t.Candidate.Beside {
		t.startReplica(&t.Candidate, i, false)
	}
}

// settlePublic has the public listener served by a version that passed its check before, or refuses
// its clients so that none hangs.
func (t *turn) settlePublic() {
	if !t.Open || t.Swapping {
		return // the name is about to lead to a generation
	}
	if t.Anew && t.Candidate.N != 0 {
		t.refuse(true) // another release or other run settings were chosen meanwhile: nobody wants what served before
		return
	}
	if t.Serving.N == 0 && t.Proven.Release != "" && t.Halted == "" && t.RestartAt.IsZero() {
		t.Anew = false
		t.refuse(false)
		t.Serving = t.generation(t.Proven)
		t.do(Spawn{N: t.Serving.N, Version: t.Proven, Public: true})
		return
	}
	// Where the name was lost, clients wait as after a crash while a successor is checked.
	t.refuse(t.Serving.N == 0 || t.Lost && t.Candidate.N == 0)
}

// windDown ends everything: the name goes first, so that no new client arrives, then the serving
// generation drains and ends. Where the next supervisor gets the socket the name stays, and with it
// the clients that the generation has not accepted: waiting for an empty queue would never end.
func (t *turn) windDown() {
	if t.Candidate.N != 0 {
		t.dropCandidate()
	}
	if t.Open {
		t.refuse(false)
		if t.Held {
			t.do(Leave{})
		} else {
			t.do(Withdraw{})
		}
		t.Open = false
	}
	if t.Serving.N != 0 {
		t.note(EventStopping, t.Serving, "")
		if t.Held {
			t.endAll(t.Serving)
		} else {
			t.retire(t.Serving)
		}
		t.Serving = Generation{}
		t.servesNoMore()
	}
	t.endProcesses()
	t.stableAt(time.Time{})
	t.restartAt(time.Time{})
	t.candidateAt(time.Time{})
	t.buildAt(time.Time{})
	t.openAt(time.Time{})
	t.Failures, t.Tries, t.Again, t.Anew = 0, 0, false, t.Want == WantStopped
	if t.Want != WantShutdown { // else the next supervisor goes on with it
		t.Trial = Trial{}
	}
	t.Fallback = Version{}
	t.Trouble, t.OpenErr, t.Halted, t.Lost, t.Alone = "", "", "", false, false
	if (t.Want == WantRemoved || t.Want == WantShutdown) && !t.busy() && !t.Opening {
		t.Dead = true
	}
}

// retire lets a generation that has lost the public name finish. One that is hung or not up yet
// does not accept its queue.
func (t *turn) retire(g Generation) {
	t.do(Retire{N: g.N, Hung: g.Unhealthy || !g.Ready})
	t.ending(g.N)
	for _, m := range g.Beside {
		switch {
		case m.N == 0:
		case m.Ready && !m.Unhealthy:
			t.do(Retire{N: m.N})
			t.ending(m.N)
		default: // the queue is the leading tree's matter
			t.end(m.N)
		}
	}
}

func (t *turn) dropCandidate() {
	t.endAll(t.Candidate)
	t.Candidate, t.Swapping = Generation{}, false
}

func (t *turn) generation(v Version) Generation {
	g := Generation{Tree: t.tree(v)}
	g.size(t.Policy.Replicas)
	return g
}

func (t *turn) tree(v Version) Tree {
	t.Spawned++
	return Tree{N: t.Spawned, Version: v, Since: t.now}
}

func (t *turn) refuse(on bool) {
	if on != t.Refusing {
		t.Refusing = on
		t.do(Refuse{On: on, Until: t.RestartAt})
	}
}

// The deadlines, each kept in the state and passed to the owner of the timers.

func (t *turn) stableAt(at time.Time)    { t.deadline(&t.StableAt, TimerStable, at) }
func (t *turn) restartAt(at time.Time)   { t.deadline(&t.RestartAt, TimerRestart, at) }
func (t *turn) candidateAt(at time.Time) { t.deadline(&t.CandidateAt, TimerCandidate, at) }
func (t *turn) buildAt(at time.Time)     { t.deadline(&t.BuildAt, TimerBuild, at) }
func (t *turn) openAt(at time.Time)      { t.deadline(&t.OpenAt, TimerOpen, at) }

func (t *turn) deadline(field *time.Time, k TimerKind, at time.Time) {
	if !field.Equal(at) {
		*field = at
		t.do(SetTimer{Kind: k, At: at})
	}
}
