package machine

import (
	"strings"
	"testing"
	"time"
)

// Promises about a release that fails before it has taken over.

const (
	away  = "GET / answered 500, want <500"
	wrong = "exit code 3"
)

// failsOutside has the candidate fail for what may lie outside it.
func (l life) failsOutside() {
	l.Helper()
	l.take(ProofFailed{N: l.s.Candidate.N, Reason: away, Cause: CauseOutside})
}

// lastNote is the reason of the last note of an event.
func (l life) lastNote(event EventName) (reason string) {
	for _, m := range l.history {
		for _, f := range m.effects {
			if n, ok := f.(Note); ok && n.Event == event {
				reason = n.Reason
			}
		}
	}
	return reason
}

func (l life) reads(want string) {
	l.Helper()
	got := l.s.ReasonAt(l.now)
	l.wants("the reason "+want+", not "+got, got == want)
}

func TestReleaseIsRejectedAfterThreeFailuresOfItsOwn(t *testing.T) {
	l := serving(t)
	l.edits()
	begun := l.now
	l.take(Exited{N: 2, Reason: wrong})
	l.reads("release r2 did not take over (1 of 3 tries): exit code 3; tried again in 1 s")
	l.wants("the same in the event", l.lastNote(EventCandidateFailed) == "exit code 3; tried again in 1 s")
	l.wants("a command waits", l.s.Retries())
	l.passes(time.Second)
	l.take(Exited{N: 3, Reason: wrong})
	l.reads("release r2 did not take over (2 of 3 tries): exit code 3; tried again in 4 s")
	l.passes(4 * time.Second)
	l.take(Exited{N: 4, Reason: wrong})
	l.wants("a verdict within seconds", l.now.Sub(begun) <= 5*time.Second && !l.s.Retries())
	l.reads("release r2 did not take over (3 of 3 tries): exit code 3; not tried again until an input changes or somebody asks")
	l.wants("the same in the event", l.lastNote(EventCandidateFailed) == "exit code 3; not tried again until an input changes or somebody asks")
	l.passes(24 * time.Hour)
	l.serves("r1")
	l.wants("no more tries", l.s.Spawned == 4)
	l.edits()
	l.take(Ready{N: 5})
	l.serves("r3")
	l.reads("")
}

func TestFailureThatMayPassByItselfNeverRejectsARelease(t *testing.T) {
	l := serving(t)
	l.edits()
	tries, last := 0, time.Duration(0)
	for end := l.now.Add(3 * time.Hour); l.now.Before(end); tries++ {
		l.failsOutside()
		l.wants("no command waits for the end of an outage", !l.s.Retries())
		l.wants("told so", strings.Contains(l.s.ReasonAt(l.now), away+"; tried again in "))
		wait := l.s.CandidateAt.Sub(l.now)
		l.wants("growing waits up to 5 min", wait >= min(last, 150*time.Second) && wait <= 5*time.Minute)
		last = wait
		l.passes(wait)
		l.serves("r1")
		l.wants("another try", l.s.Candidate.Version.Release == "r2")
	}
	l.wants("few of them", tries < 60)
	l.take(Ready{N: l.s.Candidate.N})
	l.serves("r2")
	l.reads("")
}

func TestOutageOfMinutesDoesNotHideAFailureOfTheReleaseItself(t *testing.T) {
	l := serving(t)
	l.edits()
	for range 3 {
		l.failsOutside()
		l.passes(l.s.Trial.Wait)
	}
	l.rejects(wrong)
}

func TestWhatAnotherTryCannotChangeIsNotRepeated(t *testing.T) {
	l := serving(t)
	l.runKey = "k2"
	l.configure(false)
	l.take(ProofFailed{N: 2, Reason: "Access denied", Cause: CauseSettled})
	l.reads("release r1 did not take over with the changed run settings: Access denied; not tried again until an input changes or somebody asks")
	l.passes(24 * time.Hour)
	l.wants("no more tries", l.s.Spawned == 2)
	l.took(Exited{N: 1, Reason: "killed by SIGKILL"}, Ready{N: 3})
	l.passes(time.Hour)
	l.wants("what served before comes back", l.s.Serving.Version == Version{"r1", "k1"})
	l.reads("the changed run settings are not in use: Access denied; not tried again until an input changes or somebody asks")
	l.runKey = "k3"
	l.configure(false)
	l.take(Ready{N: 4})
	l.wants("the correction serves", l.s.Serving.Version == Version{"r1", "k3"})
}

func TestRunSettingsThatAreTakenBackLeaveNoReason(t *testing.T) {
	l := serving(t)
	l.runKey = "k2"
	l.configure(false)
	l.failsOutside()
	l.runKey = "k1"
	l.configure(false)
	l.reads("")
	l.passes(time.Hour)
	l.wants("nothing else is tried", l.s.Spawned == 2)
}

func TestSomebodyWhoAsksNeedNotWaitForTheNextTry(t *testing.T) {
	for what, ask := range map[string]Event{"start": Start{}, "restart": RestartNow{}} {
		t.Run(what, func(t *testing.T) {
			l := serving(t)
			l.edits()
			for range 8 {
				l.failsOutside()
				l.passes(l.s.Trial.Wait)
			}
			l.failsOutside()
			l.take(ask)
			l.wants("tried at once", l.s.Candidate.Version.Release == "r2")
		})
	}
}

func TestWhatHangsIsReplacedBeforeAFailedReleaseIsTriedAgain(t *testing.T) {
	l := serving(t)
	l.edits()
	for range 8 {
		l.failsOutside()
		l.passes(l.s.Trial.Wait)
	}
	l.failsOutside()
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.wants("r1 at once", l.s.Candidate.Version.Release == "r1")
	l.take(ProofFailed{N: l.s.Candidate.N, Reason: "no answer", Cause: CauseOutside})
	l.passes(time.Second)
	l.wants("r2 in turn, it may be the fix", l.s.Candidate.Version.Release == "r2")
	l.failsOutside()
	l.passes(2 * time.Second)
	l.take(Ready{N: l.s.Candidate.N})
	l.serves("r1")
	l.wants("r2 waits again", l.s.Candidate.N == 0 && l.s.Release == "r2")
	l.wants("and its reason stays", strings.HasPrefix(l.s.Reason(), "release r2 did not take over: "))
	l.passes(5 * time.Minute)
	l.take(Ready{N: l.s.Candidate.N})
	l.serves("r2")
}

func TestReleaseIsTriedAtOnceWhenAnOutageIsSeenToEnd(t *testing.T) {
	for what, cause := range map[string]Cause{"at once": CauseOutside, "in its time": CauseRelease} {
		t.Run(what, func(t *testing.T) {
			l := serving(t)
			l.edits()
			l.take(ProofFailed{N: 2, Reason: away, Cause: cause})
			for range l.policy.Failures {
				l.take(ProbeFailed{N: 1, Reason: away})
			}
			l.take(ProbeOK{N: 1})
			l.wants("tried "+what, (l.s.Candidate.Version.Release == "r2") == (cause == CauseOutside))
			l.passes(time.Second)
			l.wants("tried", l.s.Candidate.Version.Release == "r2")
		})
	}
}

func TestWhatIsBeingTriedIsNotEndedBecauseWhatServesHangs(t *testing.T) {
	l := serving(t)
	l.edits()
	l.failsOutside()
	l.passes(l.s.Trial.Wait)
	n := l.s.Candidate.N
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.wants("still tried", l.s.Candidate.N == n)
	l.take(Ready{N: n})
	l.serves("r2")
}

func TestFirstReleaseIsTriedWithTheBackoffOfARestart(t *testing.T) {
	l := begin(t)
	l.builds()
	for range 10 {
		l.failsOutside()
		l.wants("clients are told when", l.s.CandidateAt.Sub(l.now) <= l.policy.DelayMax)
		l.wants("told so", strings.Contains(l.s.ReasonAt(l.now), "; tried again in "))
		l.passes(l.policy.DelayMax)
	}
}

func TestFailedAttemptSaysWhenItIsRepeated(t *testing.T) {
	l := serving(t)
	l.edit()
	l.take(InputsChanged{})
	l.take(BuildFailed{Seq: 2, Reason: "pip: no network"})
	l.wants("told so", l.s.BuildErrAt(l.now) == "pip: no network; tried again in 10 s" && l.s.NextTry().Sub(l.now) == 10*time.Second)
	l.passes(10 * time.Second)
	l.take(BuildFailed{Seq: 3, Reason: "migrate", Final: true})
	l.wants("nothing to come", l.s.BuildErrAt(l.now) == "migrate" && l.s.NextTry().IsZero())
}

func TestWaitsAreToldInWords(t *testing.T) {
	t.Parallel()
	for wait, want := range map[time.Duration]string{
		-time.Second: "tried again now", 1: "tried again in 1 s", 1500 * time.Millisecond: "tried again in 2 s",
		90 * time.Second: "tried again in 90 s", 5 * time.Minute: "tried again in 5 min",
	} {
		if got := again(wait); got != want {
			t.Errorf("%v: %q, want %q", wait, got, want)
		}
	}
}
