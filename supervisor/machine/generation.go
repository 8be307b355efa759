package machine

import (
	"fmt"
	"slices"
	"time"
)

// What became of the public name.

const openRetry = 5 * time.Second

func (t *turn) openFailed(reason string) {
	t.Opening, t.OpenErr = false, reason
	t.openAt(t.now.Add(openRetry))
}

func (t *turn) swapped(n int) {
	if t.Candidate.N != n || !t.Swapping {
		return
	}
	old, before := t.Serving, t.Proven
	stable := old.Ready && t.StableAt.IsZero()
	t.Swapping = false
	t.Serving, t.Candidate = t.Candidate, Generation{}
	t.Serving.Since = t.now
	t.Proven = t.Serving.Version
	t.forgive(func(v Version) bool { return v == t.Proven })
	t.Trouble, t.Tries, t.Halted, t.Lost, t.Alone, t.Anew = "", 0, "", false, false, false
	if t.Trial.Version == t.Proven {
		t.Trial = Trial{}
	}
	t.nextTry()
	if before.Release != t.Proven.Release {
		t.Failures = 0
		t.goneBefore(before, stable)
	}
	if t.Fallback.Release == t.Proven.Release {
		t.Fallback = Version{}
	}
	t.Gone = ""
	t.Restarts += b2i(before == t.Proven)
	t.RestartsByHand += b2i(before == t.Proven && t.Serving.Asked)
	if t.Serving.Asked {
		t.replaceProcesses()
	}
	t.restartAt(time.Time{})
	t.note(EventTookOver, t.Serving, "")
	if old.N != 0 {
		t.retire(old)
	}
	t.serves()
}

// goneBefore keeps v, which another release took over from: to go back to by hand, and
// automatically while the new one is not stable. The last stable release is better to go back to
// than one that came and went since; a release known to be bad is kept for neither.
func (t *turn) goneBefore(v Version, stable bool) {
	t.Previous = ""
	if _, bad := t.Bad[v]; bad || v.Release == t.Gone || v.Release == "" {
		return
	}
	t.Previous = v.Release
	if stable || t.Fallback.Release == "" {
		t.Fallback = v
	}
}

func (t *turn) swapFailed(e SwapFailed) {
	if t.Candidate.N == e.N && t.Swapping {
		t.Swapping = false
		t.candidateFailed(e.Reason, causeHost)
	}
}

// serves begins the time after which the serving generation counts as stable.
func (t *turn) serves() {
	t.do(Watch{N: t.Serving.N})
	for _, m := range t.Serving.Beside {
		if m.Ready {
			t.do(Watch{N: m.N})
		}
	}
	t.stableAt(t.now.Add(t.Policy.StableAfter))
}

// adopted starts from what an earlier supervisor left. The generation it left had passed its check,
// or it would not have the name; its probes will confirm it.
func (t *turn) adopted(e Adopted) {
	if t.Want != WantUnknown && t.Want != WantStopped || t.Serving.N != 0 {
		return
	}
	if e.Newer && t.Want == WantStopped { // it was started after that had been written down
		t.Want, t.ByHand = WantUnknown, false
	}
	before := t.Proven
	t.Open, t.Proven, t.Alone = e.Open, e.Version, e.Alone
	if before.Release != t.Proven.Release { // that was not written down any more
		t.goneBefore(before, false)
	}
	if t.Fallback.Release == t.Proven.Release {
		t.Fallback = Version{}
	}
	t.Spawned = max(t.Spawned, e.N)
	if t.Release == "" || e.Newer {
		t.Release = e.Version.Release
	}
	if e.N == 0 {
		t.LastExit, t.Trouble = e.Reason, e.Reason
		t.Restarts++
		return
	}
	t.Serving = Generation{Tree: Tree{N: e.N, Version: e.Version, Pid: e.Pid, Ready: true, Since: e.Since}}
	if e.Since.IsZero() {
		t.Serving.Since = t.now
	}
	t.note(EventAdopted, t.Serving, "")
	t.do(Watch{N: t.Serving.N}) // when it is stable the entry says, which comes next
}

// What became of generations.

func (t *turn) spawned(e Spawned) {
	switch e.N {
	case 0:
	case t.Serving.N:
		t.Serving.Pid = e.Pid
	case t.Candidate.N:
		t.Candidate.Pid = e.Pid
	default:
		if m := t.member(e.N); m != nil {
			m.Pid = e.Pid
		}
	}
}

func (t *turn) spawnFailed(e SpawnFailed) {
	switch e.N {
	case 0:
	case t.Serving.N:
		t.leadDied(e.Reason, false)
	case t.Candidate.N:
		t.candidateFailed(e.Reason, causeHost)
	default:
		t.memberDied(e.N, e.Reason, false, causeHost)
	}
}

func (t *turn) ready(n int) {
	switch {
	case n == 0:
	case n == t.Candidate.N && !t.Candidate.Ready:
		t.Candidate.Ready = true
		t.proved()
	case n == t.Serving.N && !t.Serving.Ready:
		t.Serving.Ready, t.Serving.Since = true, t.now
		t.recovered()
		t.do(Watch{N: n})
	default:
		t.memberReady(n)
	}
}

// proved tells that a candidate has passed its check, with all its trees.
func (t *turn) proved() {
	if t.Candidate.complete() {
		t.note(EventProved, t.Candidate, "")
	}
}

// recovered is that the serving generation has passed its check once more.
func (t *turn) recovered() {
	t.Trouble = ""
	t.note(EventRecovered, t.Serving, "")
	t.stableAt(t.now.Add(t.Policy.StableAfter))
}

func (t *turn) proofFailed(e ProofFailed) {
	switch {
	case e.N == 0:
	case e.N == t.Candidate.N && !t.Candidate.Ready:
		t.candidateFailed(e.Reason, e.Cause)
	case e.N == t.Serving.N && !t.Serving.Ready:
		t.leadDied(e.Reason, false)
	case e.N != t.Candidate.N && e.N != t.Serving.N:
		if m := t.member(e.N); m != nil && !m.Ready {
			t.memberDied(e.N, e.Reason, false, e.Cause)
		}
	}
}

func (t *turn) exited(e Exited) {
	switch e.N {
	case 0:
	case t.Candidate.N:
		t.candidateFailed(e.Reason, e.Cause)
	case t.Serving.N:
		t.leadDied(e.Reason, e.Clean)
	default:
		t.memberDied(e.N, e.Reason, e.Clean, e.Cause)
	}
}

// end tells a generation to end; what is left of a dead one's tree is ended too.
func (t *turn) end(n int) {
	t.do(End{N: n})
	t.ending(n)
}

func (t *turn) ending(n int) {
	t.Ending = append(slices.Clone(t.Ending), n)
}

// candidateFailed ends the candidate. Its version is tried again with backoff. It is bad, and not
// tried again until an input changes or a person asks, once it has failed by its own doing as often
// as it may, or if it keeps what served before from coming back in the place of what hangs.
func (t *turn) candidateFailed(reason string, cause Cause) {
	c := t.Candidate
	t.Candidate, t.Swapping = Generation{}, false
	t.endAll(c)
	t.LastExit = reason
	t.Again = t.Again || c.Asked && cause == causeHost
	t.Trouble = t.notTaken(c.Version) + ": " + reason
	bad, wait := false, time.Duration(0)
	switch {
	case c.Version == t.Proven:
		t.Trial.Yields = false
	case cause != causeHost:
		bad = t.failed(c, reason, cause) || t.Serving.Unhealthy && t.Fallback.Release != ""
		t.Trouble = t.Trial.Reason
		if c.Version == t.Fallback {
			t.Fallback = Version{} // it would fail again
		}
	}
	if t.Proven.Release == "" || cause == causeHost || t.replaced() {
		t.Tries++
		wait = t.backoff(t.Tries + 1)
	} else if t.onTrial() && !bad {
		wait = t.Trial.Wait
	}
	outlook := notAgain
	if wait > 0 {
		t.candidateAt(t.now.Add(wait))
		if !bad || t.Proven.Release == "" {
			outlook = again(wait)
		}
	}
	told := reason
	if t.Halted == "" {
		told += "; " + outlook
	}
	t.note(EventCandidateFailed, c, told)
	t.Failed = Failure{At: t.now, Tries: max(t.Tries, t.Trial.Faults+t.Trial.Others)}
	if bad {
		t.condemn(c.Version, reason)
		t.Trial = Trial{}
		t.hungGivesWay()
	}
}

// givesWayAfter is how many deaths before it was stable make a new release give way to the previous
// one. A single death may have an outside cause.
const givesWayAfter = 2

// died ends what is left of the serving generation, of which no tree runs any more, and decides when
// the public listener is served again, and by which version.
func (t *turn) died(reason string, clean bool) {
	g := t.Serving
	t.Serving, t.Again, t.Lost, t.Alone = Generation{}, false, false, false
	// TERM before the successor starts: orphaned workers finish what they hold (gunicorn, kill -9
	// of the master).
	t.endAll(g)
	t.note(EventExited, g, reason)
	t.stableAt(time.Time{})
	t.LastExit = reason
	t.Trouble = reason
	defer t.servesNoMore()
	if t.Policy.Restart == RestartNever || t.Policy.Restart == RestartOnFailure && clean {
		t.Halted = fmt.Sprintf("%s; restart = %q, `start` brings it back", reason, t.Policy.Restart)
		return
	}
	t.Restarts++
	t.Failures++
	if t.Failures >= givesWayAfter && t.Fallback.Release != "" {
		t.giveWay(g, reason)
		t.Proven, t.Failures = t.Fallback, 1
		t.Fallback, t.Previous = Version{}, ""
	}
	if d := t.backoff(t.Failures); d > 0 {
		t.restartAt(t.now.Add(d))
	}
}

// giveWay makes the release before the serving one the one that should serve, unless a newer one is
// on its way, which may be the fix.
func (t *turn) giveWay(g Generation, reason string) {
	if t.target().Release == g.Version.Release {
		t.Release = t.Fallback.Release
		t.retry()
	}
	t.condemn(g.Version, reason)
	t.Trouble = fmt.Sprintf("release %s gave way to %s: %s", g.Version.Release, t.Fallback.Release, reason)
	t.note(EventGaveWay, g, reason)
}

func (t *turn) probeOK(n int) {
	if n != t.Serving.N && !t.Lost {
		t.memberOK(n)
		return
	}
	if n == 0 || t.Serving.Misses == 0 || t.Lost {
		t.changed = false
		return
	}
	t.Serving.Misses, t.Serving.Reason = 0, ""
	if !t.StableAt.IsZero() {
		t.stableAt(t.now.Add(t.Policy.StableAfter)) // interrupted health starts counting again
	}
	if !t.Serving.Unhealthy {
		return
	}
	t.Serving.Unhealthy = false
	t.healthy()
}

// healthy is that what serves passes its probes again.
func (t *turn) healthy() {
	t.Trouble = ""
	if t.Trial.Own {
		t.nextTry()
	} else {
		t.candidateAt(time.Time{}) // whatever was missing is most likely back
	}
	t.note(EventHealthy, t.Serving, "")
	if t.Candidate.N != 0 && t.Candidate.Version == t.Serving.Version && !t.Candidate.Asked && !t.Swapping {
		t.dropCandidate() // it was to replace a generation that is healthy again
	}
	t.replaceHung()
}

func (t *turn) probeFailed(e ProbeFailed) {
	if e.N != t.Serving.N && !t.Lost {
		t.memberMissed(e)
		return
	}
	if e.N == 0 || !t.Serving.Ready || t.Lost {
		t.changed = false
		return
	}
	t.Serving.Misses++
	t.Serving.Reason = e.Reason
	if t.Serving.Misses < t.Policy.Failures || t.Serving.Unhealthy {
		return
	}
	t.Serving.Unhealthy = true
	if i := t.Serving.fittest(); i >= 0 && t.Serving.Beside[i].fit() == fitWell {
		t.promote(i)
		t.replaceHung()
		return
	}
	t.note(EventUnhealthy, t.Serving, e.Reason)
	t.hungGivesWay()
	if t.onTrial() && t.Trial.Yields {
		t.candidateAt(time.Time{}) // clients wait for what is to replace it
	}
}

// hungGivesWay goes back from a new release that hangs. The hung one serves until the other has passed
// its check again.
func (t *turn) hungGivesWay() {
	if t.Serving.Unhealthy {
		t.servingGivesWay(t.Serving.Reason)
	}
}

// servingGivesWay goes back from a new release that serves, unless a newer one is being tried or the
// previous one is known to be bad.
func (t *turn) servingGivesWay(reason string) {
	if t.Fallback.Release == "" || t.target().Release != t.Serving.Version.Release {
		return
	}
	if _, bad := t.Bad[Version{Release: t.Fallback.Release, RunKey: t.RunKey}]; bad {
		return
	}
	if t.onTrial() && t.Trial.Version != t.Serving.Version {
		t.condemn(t.Trial.Version, t.Trial.Reason) // it has failed, and something has to serve
	}
	t.giveWay(t.Serving, reason)
	t.Fallback = Version{}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
