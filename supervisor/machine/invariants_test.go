package machine

import (
	"maps"
	"slices"
	"time"
)

// model is what must be true, worked out from the events alone.
type model struct {
	want   Want
	byHand bool // it is stopped because somebody asked
	builds int  // begun
	halted bool
	should string // the release that should have served before this step

	proved map[Version]bool // had the public name once
	served Version          // had it last
	failed map[Version]bool // was rejected since it served, if it ever did
	bad    map[Version]bool // the same, and nobody asked or changed anything since
	trial  Version          // failed last, is tried again
	faults int              // how often it did so by its own doing

	deaths   int  // of what serves, in a row
	since    int  // deaths since the serving release took over, not stable since
	unstable bool // the serving release took over and was not stable yet
	missed   bool // it was reported unhealthy since
	refused  bool // a candidate of what serves failed since it was last seen to be well
	lastOK   time.Time

	// A rollback stays for the same inputs, if the release they build to is known.
	pinned struct {
		release string
		inputs  int
		sure    bool
	}
	final bool // the last attempt failed for good, and nobody asked or changed anything since

	moved int // contents up to this one need not be what serves: somebody or something went back
}

// happened tells the model of an event, before its effects are carried out.
func (w *world) happened(before, next State, e Event) {
	if w.proved == nil {
		w.proved, w.failed, w.bad = map[Version]bool{}, map[Version]bool{}, map[Version]bool{}
	}
	w.should = before.Release
	switch e.(type) {
	case Configured, InputsChanged, Start, RestartNow, Rebuild, Deploy, Rollback:
		w.final = false
	}
	w.heard(before, e)
	switch e := e.(type) {
	case Configured:
		switch {
		case w.want == WantUnknown || w.want == WantRemoved:
			w.want, w.byHand = WantStopped, false
			if e.Policy.Autostart || before.Serving.N != 0 {
				w.want = WantServe
			}
		case w.want == WantStopped && !w.byHand && e.Policy.Autostart:
			w.want = WantServe
		}
		if before.RunKey != e.RunKey {
			w.asked()
		}
		if before.Halted != "" && e.Policy.Restart == RestartAlways {
			w.fresh()
		}
	case Removed:
		if w.want != WantShutdown {
			w.want = WantRemoved
		}
	case Shutdown:
		w.want = WantShutdown
	case Start:
		if w.want == WantServe || w.want == WantStopped {
			w.want, w.byHand = WantServe, false
			w.asked()
			if before.Final {
				w.pinned.release = "" // it is built again, as by Rebuild
			}
		}
	case Stop:
		if w.want == WantServe || w.want == WantStopped {
			w.want, w.byHand = WantStopped, true
		}
	case RestartNow:
		if before.Final && (w.want == WantStopped || before.Release == "") {
			w.pinned.release = ""
		}
		if w.want == WantStopped {
			w.want, w.byHand = WantServe, false
		}
		w.asked()
	case Deploy:
		w.asked()
	case Rebuild:
		w.fresh()
		w.pinned.release = ""
	case Rollback:
		w.asked()
		w.moved = w.edits
		w.pinned.release, w.pinned.inputs = e.Release, w.inputs
		known := before.LastBuilt != "" && w.released(w.inputs) == before.LastBuilt
		w.pinned.sure = known && !before.Building.Running
	case BuildDone:
		w.built(before, e)
	}
	if w.want != WantServe {
		w.deaths, w.unstable, w.halted = 0, false, false
		w.trial = Version{}
	}
}

// heard keeps what the machine was told about generations and builds.
func (w *world) heard(before State, e Event) {
	switch e := e.(type) {
	case BuildCommitted:
		if b := w.build; b != nil && b.seq == e.Seq {
			b.told = true
			b.cancelling = false // the cancel came too late, or has ended
		}
	case BuildFailed:
		w.build = nil
		w.final = e.Final && before.NeedBuild == NeedNone && e.Seq > before.Pinned
	case Ready:
		w.tree(e.N).ready = true
	case Ended:
		w.tree(e.N).ended = true
	case Exited:
		w.down(e.N, e.Clean, e.Cause)
	case ProofFailed:
		w.down(e.N, false, e.Cause)
	case SpawnFailed:
		w.down(e.N, false, causeHost)
	case SwapFailed:
		w.tree(e.N).failed = true
	case ProbeOK:
		w.lastOK = w.now
	}
}

// asked records that a person asked, or an input changed: every backoff ends, and bad versions may
// be tried again.
func (w *world) asked() {
	w.fresh()
	clear(w.bad)
}

func (w *world) fresh() {
	w.deaths, w.since, w.halted = 0, 0, false
	w.trial = Version{}
}

func (w *world) built(before State, e BuildDone) {
	b := w.build
	w.build = nil
	if e.Seq <= before.Pinned {
		// If it copied its inputs after the rollback, it may contain an edit made after the
		// rollback too, and hides it. This cannot be told apart.
		w.moved = max(w.moved, b.inputs)
	}
	if e.Seq <= before.Pinned && before.NeedBuild == NeedNone && b.inputs == w.pinned.inputs && !w.removed(e.Release) {
		w.pinned.sure = true
	}
	if e.Seq > before.Pinned && before.NeedBuild == NeedNone && (e.Fresh || e.Release != before.LastBuilt) {
		w.asked()
	}
}

// down records that the machine is told of the end of generation n.
func (w *world) down(n int, clean bool, cause Cause) {
	g := w.tree(n)
	told := g.failed || g.leaving
	g.failed = true
	switch {
	case told, g.process != "":
	case g.group == w.public && w.othersOf(n):
	case g.group == w.public:
		w.public, w.lost = 0, false
		p := w.s.Policy.Restart
		if p == RestartNever || p == RestartOnFailure && clean {
			w.halted = true
			return
		}
		w.deaths++
		w.since++
	case cause != causeHost && g.version != w.served:
		w.tried(g.version, cause)
	}
}

// tried records that a candidate has failed. It is rejected at its third own failure, or where it
// stands in the way of what is to replace a new release that hangs.
func (w *world) tried(v Version, cause Cause) {
	if w.trial != v {
		w.trial, w.faults = v, 0
	}
	if cause == CauseRelease {
		w.faults++
	}
	if w.faults == 3 || cause == CauseSettled || w.s.Serving.Unhealthy && w.s.Fallback.Release != "" {
		w.condemned(v)
		w.trial = Version{}
	}
}

func (w *world) condemned(v Version) { w.failed[v], w.bad[v] = true, true }

// spawned checks a new generation against what was decided before.
func (w *world) spawned(f Spawn) {
	w.require(!w.halted || w.s.Candidate.N == f.N && w.want == WantServe && !f.Public, "spawns though its policy says no")
	w.require(w.timer(TimerRestart).IsZero() || !f.Public, "the public listener is served before the backoff ends")
	if !f.Public {
		w.require(w.timer(TimerCandidate).IsZero(), "a candidate before the backoff ends")
		other := w.served != Version{} && f.Version != w.served && !w.removed(w.served.Release) // something else can serve
		w.require(!w.bad[f.Version] || !other, "%v is tried again", f.Version)
		for i, g := range w.trees[:f.N-1] {
			w.require(!g.staged || g.leaving || g.failed || g.group == w.public || w.proved[g.version] && w.public != g.group && g.leaving,
				"two candidates: %d and %d", i+1, f.N)
		}
	}
}

// bounded checks a deadline against the backoff's bounds.
func (w *world) bounded(f SetTimer) {
	d, p := f.At.Sub(w.now), w.s.Policy
	within := func(n int, from, limit time.Duration) {
		full := limit
		if n < 30 {
			full = min(from<<n, limit)
		}
		w.require(d <= full && d >= full*3/4, "%s in %v, want %v to %v", f.Kind, d, full*3/4, full)
	}
	switch {
	case f.At.IsZero():
	case f.Kind == TimerRestart:
		w.require(w.deaths >= 2, "waits after death %d in a row", w.deaths)
		within(w.deaths-2, time.Second, p.DelayMax)
	case f.Kind == TimerCandidate:
		w.require(d <= max(p.DelayMax, 5*time.Minute) && d >= min(time.Second, p.DelayMax)*3/4, "next candidate in %v", d)
		w.require(w.served != Version{} || d <= p.DelayMax, "next candidate in %v, and nothing serves", d)
	case f.Kind == TimerBuild:
		w.require(d >= 10*time.Second && d <= 5*time.Minute, "next build in %v", d)
	case f.Kind == TimerMembers:
		w.require(d <= 5*time.Minute, "next of a member in %v", d)
	case f.Kind == TimerStable:
		w.require(d == p.StableAfter, "stable in %v, want %v", d, p.StableAfter)
	}
}

// noted takes what the machine tells people as the record of its decisions.
func (w *world) noted(f Note) {
	switch f.Event {
	case EventTookOver, EventRecovered, EventHealthy, EventStable:
		w.refused = false
	case EventCandidateFailed:
		w.refused = true
	}
	switch f.Event {
	case EventTookOver:
		v := w.tree(f.N).version
		if v.Release != w.served.Release {
			w.deaths, w.since, w.unstable, w.missed = 0, 0, true, false
		}
		w.served, w.halted = v, false
		if w.trial == v {
			w.trial = Version{}
		}
		delete(w.bad, v)
		delete(w.failed, v)
		w.prune()
	case EventUnhealthy:
		w.missed = true
	case EventGaveWay:
		w.require(w.unstable, "release %s gives way though it was stable", f.Release)
		w.require(w.since >= 2 || w.missed, "release %s gives way after %d deaths", f.Release, w.since)
		w.condemned(w.tree(f.N).version)
		if w.s.Release != w.should {
			should := Version{w.should, w.s.RunKey}
			if w.trial == should {
				w.condemned(should)
			}
			w.trial = Version{}
			w.require(w.should == f.Release || w.failed[should], "the fix %s is thrown away", w.should)
			w.moved = max(w.moved, w.inputsOf(f.Release), w.inputsOf(w.should))
		}
		w.pinned.release = ""
		if w.s.Proven.Release != f.Release {
			w.served, w.deaths, w.unstable = w.s.Proven, 1, false
		}
	case EventStable:
		w.require(w.groupOf(f.N) == w.public && w.s.Serving.Misses == 0, "%d is stable though its last probe failed", f.N)
		w.deaths, w.since, w.unstable = 0, 0, false
	case EventReplicaFailed, EventProcessExited:
		w.since++
	case EventAdopted, EventProved, EventRecovered, EventCandidateFailed, EventExited, EventHealthy, EventStopping,
		EventReplicaReady, EventProcessReady:
		w.tree(f.N)
	default:
		w.require(false, "a note of an unknown event %q", f.Event)
	}
}

// ordered checks the place of an effect among those of its step.
func (w *world) ordered(effects []Effect, i int) {
	switch effects[i].(type) {
	case Save:
		w.require(i == len(effects)-1 || i == len(effects)-2 && w.s.Dead, "not everything is saved")
	case Gone:
		w.require(i == len(effects)-1, "something comes after the end")
	case Retire:
		w.require(!w.named || w.s.Want == WantServe, "retires what serves before the name is withdrawn")
	}
}

// settled checks what must hold after each step.
func (w *world) settled(before, s State, e Event, effects []Effect) {
	w.require(s.Want == w.want, "wants %q, not %q", s.Want, w.want)
	w.require((s.Halted != "") == w.halted, "halted %q, want %v", s.Halted, w.halted)
	w.require(w.groupOf(s.Serving.N) == w.public || s.Swapping, "%d serves, not %d", s.Serving.N, w.public)
	w.require(s.Serving.N == 0 || s.Serving.Version == s.Proven, "what serves has not passed its check")
	w.require(s.Previous == "" || s.Previous != s.Proven.Release, "the release before is the same")
	w.require(s.Fallback.Release == "" || s.Fallback.Release != s.Proven.Release, "would give way to itself")
	w.require(len(effects) == 0 || effects[len(effects)-1] == Effect(Save{}) || s.Dead, "a step that is not saved")
	w.require(s.Dead == w.gone && (!before.Dead || len(effects) == 0), "dead without Gone, or has effects after it")
	for i, at := range [...]time.Time{s.RestartAt, s.CandidateAt, s.StableAt, s.BuildAt, s.OpenAt, s.MembersAt} {
		k := timerKinds[i]
		held := w.timers[i].Equal(at) || slices.Contains(w.mail, Event(Timer{Kind: k}))
		// health starts counting again at the next good probe
		broken := k == TimerStable && s.Serving.Misses > 0
		w.require(at.IsZero() || held || broken, "waits for a timer %s that nobody holds", k)
	}
}

// atPeace checks what must hold after an event and all its results.
func (w *world) atPeace() {
	if w.want == WantUnknown {
		return // adopted: the file's entry comes next
	}
	s := &w.s
	w.require(!s.Swapping && !s.Opening, "a result is missing")
	w.require(s.Open == w.named && s.Refusing == w.refuses, "has a wrong idea of the public name")
	if w.want == WantServe && w.named {
		nobody := w.public == 0 || w.lost && s.Candidate.N == 0
		w.require(w.refuses == nobody, "clients hang, or are refused while %d serves", w.public)
		w.require(s.Lost == w.lost, "has a wrong idea of whom clients reach")
	}
	if w.want != WantServe {
		w.require(!w.named && w.public == 0 && s.Candidate.N == 0, "still serves while %q", w.want)
		w.require(w.build == nil || w.build.cancelling, "builds on while %q", w.want)
	}
	if w.public != 0 {
		g := w.trees[w.public-1]
		w.require(w.proved[g.version], "the name leads to %d, which never passed its check", w.public)
	}
	for i, g := range w.trees {
		known := i+1 == s.Serving.N || i+1 == s.Candidate.N || slices.Contains(s.Ending, i+1)
		for _, list := range s.members() {
			known = known || slices.ContainsFunc(list, func(m Member) bool { return m.N == i+1 || m.Old == i+1 })
		}
		w.require(g.ended || known, "generation %d has no owner", i+1)
	}
	if p := &w.pinned; p.release != "" && p.sure {
		w.require(s.Release == p.release, "the rollback to %s was undone", p.release)
	}
	if w.gone {
		w.require(!w.named && w.build == nil, "gone, but not all of it")
		w.require(w.want == WantRemoved || w.want == WantShutdown, "gone while %q", w.want)
	}
}

// atRest checks what must hold in a world without faults after time has passed.
func (w *world) atRest() {
	s := &w.s
	for i, at := range w.timers {
		w.require(at.IsZero(), "timer %s is left", timerKinds[i])
	}
	w.require(len(s.Ending) == 0 && s.Candidate.N == 0 && !s.Building.Running, "something is left to do")
	w.require(w.gone == (w.want == WantRemoved || w.want == WantShutdown), "not gone while %q", w.want)
	if w.want != WantServe {
		w.require(w.s.Want == WantUnknown || w.s.Phase() == PhaseStopped, "is %s while %q", s.Phase(), w.want)
		return
	}
	w.require(s.NeedBuild == NeedNone, "a build is still needed")
	newest := Version{w.released(w.inputs), w.runKey}
	w.require(w.inputs <= w.moved || w.inputsOf(s.Release) == w.inputs || w.failed[newest],
		"would serve inputs %d, not %d", w.inputsOf(s.Release), w.inputs)
	if s.Halted != "" {
		w.require(s.Reason() == s.Halted, "nobody is told why it is halted")
		w.require(s.Phase() == PhaseStopped && s.Serving.N == 0 && w.refuses, "halted, and serves")
		return
	}
	w.require(s.Phase() == PhaseRunning && s.Failures == 0 && s.Fallback == Version{}, "is %s", s.Phase())
	halted := w.membersAtRest()
	want := Version{s.Release, w.runKey}
	if s.Serving.Version != want {
		w.require(w.failed[want], "%v serves, not %v", s.Serving.Version, want)
		w.require(s.Reason() != "", "nobody is told why %v does not serve", want)
	} else if s.Release == s.LastBuilt && !w.refused && !halted {
		w.require(s.Reason() == "", "all is well, but %q", s.Reason())
	}
}

// kept is a copy of what a State refers to.
type kept struct {
	ending    []int // with what lies behind its length
	bad       map[Version]string
	members   [3][]Member // the same
	processes []ProcessPolicy
}

func keep(s State) kept {
	k := kept{ending: slices.Clone(s.Ending[:cap(s.Ending)]), bad: maps.Clone(s.Bad), processes: slices.Clone(s.Policy.Processes)}
	for i, list := range s.members() {
		k.members[i] = slices.Clone(list[:cap(list)])
	}
	return k
}

func (s State) members() [3][]Member {
	return [3][]Member{s.Serving.Beside, s.Candidate.Beside, s.Processes}
}

func (k kept) equals(s State) bool {
	for i, list := range s.members() {
		if !slices.Equal(k.members[i], list[:cap(list)]) {
			return false
		}
	}
	return slices.Equal(k.ending, s.Ending[:cap(s.Ending)]) && maps.Equal(k.bad, s.Bad) && slices.Equal(k.processes, s.Policy.Processes)
}
