package machine

import (
	"fmt"
	"time"
)

// Trial is how a version fares that has failed as a candidate and is tried again. The zero Trial is
// of none.
type Trial struct {
	Version Version
	Faults  int           // failures that were the release's own: the third is the last
	Others  int           // failures whose cause may lie outside
	Own     bool          // the last failure was the release's own
	Wait    time.Duration // from the last failure to the next try
	Yields  bool          // it failed last: if what serves hangs, that is replaced first
	Reason  string        // in a sentence, why it does not serve yet
}

// mostFaults is how many failures of its own a release has before it is not tried again. What failed
// at once, such as an import, fails again at once, so people need not wait long for the verdict.
const mostFaults = 3

// What may pass by itself is tried again after waits that grow to as long as those between attempts.
const (
	outsideRetryMin = 2 * time.Second
	outsideRetryMax = buildRetryMax
)

// failed counts a failure of the candidate c, of which nothing serves yet, and returns whether it was
// the last.
func (t *turn) failed(c Generation, reason string, cause Cause) (last bool) {
	r := &t.Trial
	if r.Version != c.Version {
		*r = Trial{Version: c.Version}
	}
	r.Yields, r.Own = true, cause != CauseOutside
	tries := ""
	switch cause {
	case CauseOutside:
		r.Others++
		r.Wait = t.jitter(r.wait())
	case CauseSettled:
		last = true
	default:
		r.Faults++
		r.Wait = r.wait()
		if t.Proven.Release != "" { // else it is tried for ever
			tries = fmt.Sprintf(" (%d of %d tries)", r.Faults, mostFaults)
		}
		last = r.Faults >= mostFaults
	}
	r.Reason = t.notTaken(c.Version) + tries + ": " + reason
	return last
}

// wait is how long it is until the next try.
func (r Trial) wait() time.Duration {
	if r.Own {
		return exponential(2*r.Faults-1, backoffMin, outsideRetryMax) // 1 s, 4 s
	}
	return exponential(r.Others, outsideRetryMin, outsideRetryMax)
}

// Interrupted returns s after its supervisor ended while v was being checked. That may be the
// doing of v, if it takes all the memory for example: another supervisor waits longer each time
// before it tries v again.
func (s State) Interrupted(v Version) State {
	if s.Trial.Version != v {
		s.Trial = Trial{Version: v}
	}
	s.Trial.Own = false
	s.Trial.Others++
	s.Trial.Reason = s.notTaken(v) + ": the supervisor ended while it was being checked"
	return s
}

// resume goes on with the trial that an earlier supervisor began.
func (t *turn) resume(r Trial) {
	if r.Version == (Version{}) || r.Version != t.desired() || r.Version == t.Proven {
		return
	}
	t.Trial = r
	t.Trial.Wait = r.wait()
	if t.Proven.Release != "" {
		t.nextTry()
		return
	}
	t.Tries = r.Faults + r.Others
	if d := t.backoff(t.Tries); d > 0 {
		t.candidateAt(t.now.Add(d))
	}
}

// notTaken says that v did not take over.
func (s State) notTaken(v Version) string {
	if v.Release == s.Proven.Release && v != s.Proven {
		return fmt.Sprintf("release %s did not take over with the changed run settings", v.Release)
	}
	return fmt.Sprintf("release %s did not take over", v.Release)
}

// onTrial says that the version that should serve has failed and is tried again.
func (s State) onTrial() bool {
	return s.Trial.Version != Version{} && s.Trial.Version == s.desired()
}

// Retries says that the version that should serve failed just now by its own doing and is tried again
// within seconds: its fate is not decided yet.
func (s State) Retries() bool {
	return s.onTrial() && s.Trial.Own && s.Halted == "" && !s.CandidateAt.IsZero()
}

// nextTry lets the next candidate start: at once, or when it is the turn of what is on trial.
func (t *turn) nextTry() {
	if t.onTrial() {
		t.candidateAt(t.now.Add(t.Trial.Wait))
	} else {
		t.candidateAt(time.Time{})
	}
}
