package machine

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// Promises about which release serves: giving way, rolling back, replacing.

func TestReleaseThatKeepsDyingGivesWay(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.take(Exited{N: 2, Reason: "exit code 1"})
	l.wants("one death may be an accident", l.s.Serving.Version.Release == "r2")
	l.take(Exited{N: 3, Reason: "exit code 1"})
	l.wants("r1 at once", l.s.Serving.Version.Release == "r1" && l.s.Release == "r1")
	l.take(Ready{N: 4})
	l.passes(time.Hour)
	l.serves("r1")
	l.wants("the reason", l.s.Reason() == "release r2 is not served: exit code 1")
	l.take(InputsChanged{})
	l.builds()
	l.passes(time.Hour)
	l.serves("r1") // the same inputs build the same r2
}

func TestStableReleaseDoesNotGiveWay(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.passes(l.policy.StableAfter)
	for range 5 {
		l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
		l.passes(l.policy.DelayMax)
	}
	l.wants("r2 forever", l.s.Serving.Version.Release == "r2")
}

func TestFixOnItsWayIsNotThrownAway(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.take(Exited{N: 2, Reason: "exit code 1"})
	l.edits() // r3 is to fix it
	l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
	l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
	l.wants("r1 serves until then", l.s.Serving.Version.Release == "r1")
	l.take(Ready{N: l.s.Candidate.N})
	l.serves("r3")
}

func TestWhatWasStableLastIsWentBackTo(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.takesOver(3)
	for range 2 {
		l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
	}
	l.wants("r1, for r2 was never stable", l.s.Serving.Version.Release == "r1")
}

func TestHungNewReleaseGivesWayAndIsNotComeBackTo(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 2, Reason: "no answer"})
	}
	l.take(Ready{N: 3})
	l.serves("r1")
	for range 4 {
		l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
		l.passes(l.policy.DelayMax)
	}
	l.wants("r1 forever", l.s.Serving.Version.Release == "r1")
	l.wants("no release to roll back to but a bad one", l.s.Previous == "")
}

func TestHungNewReleaseWaitsForItsFixFirst(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.edits() // r3 is to fix it
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 2, Reason: "no answer"})
	}
	l.wants("r3 tried", l.s.Candidate.Version.Release == "r3" && l.s.Release == "r3")
	l.take(ProofFailed{N: 3, Reason: "no answer"})
	l.passes(time.Second)
	l.take(Ready{N: 4})
	l.serves("r1")
}

func TestBadReleaseIsNotGivenWayTo(t *testing.T) {
	for what, trouble := range map[string]func(l life){
		"hangs": func(l life) {
			for range l.policy.Failures {
				l.take(ProbeFailed{N: l.s.Serving.N, Reason: "no answer"})
			}
		},
		"dies": func(l life) {
			for range 2 {
				l.take(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			l := serving(t)
			l.takesOver(2)
			l.write(1) // the edit is undone
			l.take(InputsChanged{})
			l.builds()
			l.rejects("GET / answered 404") // r1 does not work any more
			trouble(l)
			l.passes(time.Hour)
			l.wants("r2 started again", (l.s.Serving.N > 5) != (l.s.Candidate.N > 5) &&
				max(l.s.Serving.N, l.s.Candidate.N) == l.s.Spawned && l.tree(l.s.Spawned).version.Release == "r2")
		})
	}
}

func TestHungServingIsReplaced(t *testing.T) {
	l := serving(t)
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.is(PhaseUnhealthy)
	l.wants("swapped", slices.Equal(l.took(Ready{N: 2}), []string{"Swap", "Retire", "Watch", "SetTimer"}))
	l.is(PhaseRunning)
}

func TestHungServingIsReplacedEvenWhereTheNewestIsBad(t *testing.T) {
	l := serving(t)
	l.edits()
	l.rejects("GET / answered 404")
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.take(Ready{N: 5})
	l.serves("r1")
	l.wants("another generation", l.s.Serving.N == 5)
}

func TestRecoveredServingKeepsTheName(t *testing.T) {
	l := serving(t)
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.wants("the candidate ended", slices.Equal(l.took(ProbeOK{N: 1}), []string{"End"}))
	l.serves("r1")
}

func TestRestartByHandIsDoneThoughTheOldOneRecovers(t *testing.T) {
	l := serving(t)
	l.take(RestartNow{})
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	l.wants("the candidate stays", l.took(ProbeOK{N: 1}) == nil)
	l.take(Ready{N: 2})
	l.wants("restarted", l.s.Serving.N == 2)
}

func TestRestartByHandOutlivesAFailedFork(t *testing.T) {
	l := serving(t)
	l.fails(Spawn{}, RestartNow{})
	l.passes(time.Second)
	l.take(Ready{N: 3})
	l.wants("restarted", l.s.Serving.N == 3)
	l.passes(time.Hour)
	l.wants("once", l.s.Spawned == 3)
}

func TestStopForgetsARestart(t *testing.T) {
	l := serving(t)
	l.take(RestartNow{})
	l.take(RestartNow{}) // another, once the first is done
	l.took(Stop{}, Start{}, Ready{N: 3})
	l.builds()
	l.passes(time.Hour)
	l.wants("one generation after the start", l.s.Spawned == 3)
}

// Nobody who has chosen something for a build that is stopped wants to see, not for a second, what served
// before.
func TestStartServesWhatWasChosenWhileItWasStopped(t *testing.T) {
	for what, choose := range map[string]func(l life) (release string){
		"a rollback":   func(l life) string { l.take(Rollback{Release: "r1"}); return "r1" },
		"run settings": func(l life) string { l.runKey = "k2"; l.configure(false); return "r2" },
	} {
		t.Run(what, func(t *testing.T) {
			l := serving(t)
			l.takesOver(2)
			l.took(Stop{})
			l.hears()
			release := choose(l)
			l.took(Start{})
			l.hears()
			l.wants("only what was chosen starts", l.s.Serving.N == 0 && l.s.Candidate.Version == Version{release, l.runKey})
			l.took(Ready{N: l.s.Candidate.N})
			l.hears()
			l.serves(release)
		})
	}
}

// What was chosen may not run: then what served before is better than nothing.
func TestStartServesWhatServedBeforeWhereWhatWasChosenFails(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.took(Stop{})
	l.hears()
	l.took(Rollback{Release: "r1"}, Start{})
	l.hears()
	l.took(ProofFailed{N: l.s.Candidate.N, Reason: "exit code 1"})
	l.wants("r2 starts", l.s.Serving.Version.Release == "r2")
}

func TestRollbackStaysUntilAnInputChanges(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.passes(time.Minute)
	l.take(Rollback{Release: "r1"})
	l.take(Ready{N: 3})
	l.serves("r1")
	l.take(InputsChanged{}) // a touch
	l.builds()
	l.serves("r1")
	l.took(Stop{}, Start{}, Ready{N: 4})
	l.builds()
	l.serves("r1")
	l.takesOver(5)
	l.serves("r3")
}

func TestBuildThatBeganBeforeARollbackDoesNotUndoIt(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.edit()
	l.take(InputsChanged{})
	l.take(Rollback{Release: "r1"})
	l.builds()
	l.take(Ready{N: 3})
	l.take(InputsChanged{})
	l.builds()
	l.passes(time.Hour)
	l.serves("r1")
}

func TestEditAfterARollbackIsNotTakenForWhatWasThere(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.take(Rebuild{})
	l.take(Rollback{Release: "r1"})
	l.edit()
	l.take(InputsChanged{})
	l.builds() // of the inputs as they are after the edit
	l.builds()
	l.wants("the edit tried", l.inputsOf(l.s.Candidate.Version.Release) == 3)
}

// If the public socket comes late, the candidate and what served before are both about to take it.
func TestOnlyOneTakesAPublicNameThatComesLate(t *testing.T) {
	l := serving(t)
	l.take(Stop{})
	l.fails(Open{}, Start{})
	l.runKey = "k2"
	l.fails(Open{}, Configured{Policy: l.policy, RunKey: l.runKey})
	l.take(Ready{N: 2})
	l.passes(5 * time.Second)
	l.serves("r1")
	l.wants("nothing next to it", l.s.Spawned == 2)
}

func TestClientsAreRefusedAgainWhereTheNameCannotBeGiven(t *testing.T) {
	l := begin(t)
	l.builds()
	l.wants("refused", l.refuses)
	l.fails(Swap{}, Ready{N: 1})
	l.wants("refused again", l.refuses)
	l.passes(time.Second)
	l.take(Ready{N: 2})
	l.serves("r1")
	l.wants("not refused", !l.refuses)
}

func TestFailuresOfForgottenReleasesAreForgotten(t *testing.T) {
	l := serving(t)
	for range 50 {
		l.edits()
		l.rejects("GET / answered 404")
	}
	l.wants("the last", len(l.s.Bad) == 1)
}

func TestLateNewsChangeNothing(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.took(Ended{N: 1}, BuildCommitted{Seq: 2})
	for _, e := range []Event{
		Ready{N: 1}, ProofFailed{N: 1}, Exited{N: 1}, ProbeOK{N: 1}, ProbeFailed{N: 1}, Ended{N: 1},
		Exited{N: 99}, BuildDone{Seq: 1, Release: "r9", Fresh: true}, BuildFailed{Seq: 2}, BuildCommitted{Seq: 1},
		Timer{Kind: TimerRestart}, Timer{Kind: TimerStable}, Timer{Kind: TimerBuild}, Ready{}, Exited{}, Ended{},
	} {
		after, effects := Step(l.s, e, l.now)
		effects = slices.DeleteFunc(effects, func(f Effect) bool { return f == Save{} })
		if len(effects) > 0 || !reflect.DeepEqual(after, l.s) {
			t.Errorf("%s changes something: %v", show(e), effects)
		}
	}
}

func TestReplacementOfAHungOneIsTriedWithBackoff(t *testing.T) {
	l := serving(t)
	for range l.policy.Failures {
		l.take(ProbeFailed{N: 1, Reason: "no answer"})
	}
	for n := 2; n < 10; n++ {
		l.wants("a candidate", l.s.Candidate.N == n)
		l.take(ProofFailed{N: n, Reason: "no answer"})
		l.wants("a pause", l.s.Candidate.N == 0)
		l.passes(l.policy.DelayMax)
	}
}

func TestDeathIsARestartToo(t *testing.T) {
	l := serving(t)
	l.edits()
	l.took(RestartNow{}, Exited{N: 1, Reason: "exit code 1"}, Ready{N: 3})
	l.rejects("GET / answered 404")
	l.passes(time.Hour)
	l.wants("no more restarts", l.s.Serving.N == 3 && l.s.Spawned == 5)
}

// The supervisor was killed when the name had been given and nothing of that was written down.
func TestReleaseThatWasAdoptedUnrecordedHasTheOneBeforeBehindIt(t *testing.T) {
	for name, c := range map[string]struct {
		adopted, previous string
	}{
		"went on":   {"r3", "r2"},
		"went back": {"r1", "r2"},
		"recorded":  {"r2", "r1"},
	} {
		s := State{Proven: Version{"r2", "k1"}, Previous: "r1", Fallback: Version{"r1", "k1"}, Release: "r2", Spawned: 2}
		s, _ = Step(s, Adopted{N: 3, Version: Version{c.adopted, "k1"}, Open: true}, epoch)
		if s.Previous != c.previous || s.Fallback.Release == c.adopted {
			t.Errorf("%s: %q is before %q, which may give way to %q", name, s.Previous, c.adopted, s.Fallback.Release)
		}
	}
}

func TestAdoptedReleaseThatWasNotStableMayStillGiveWay(t *testing.T) {
	v := Version{"r2", "k1"}
	s := State{Proven: v, Fallback: Version{"r1", "k1"}, Release: "r2", Spawned: 2}
	s, _ = Step(s, Adopted{N: 2, Version: v, Open: true}, epoch)
	s, _ = Step(s, Configured{Policy: Policy{Autostart: true, Restart: RestartAlways, StableAfter: time.Minute, Failures: 3, DelayMax: time.Minute}, RunKey: "k1"}, epoch)
	s, _ = Step(s, Timer{Kind: TimerStable}, epoch)
	if !s.StableAt.Equal(epoch.Add(time.Minute)) || s.Fallback.Release != "r1" {
		t.Errorf("it is stable at %v, before it may give way to %q", s.StableAt, s.Fallback.Release)
	}
}

func TestDeployTriesARejectedReleaseAgain(t *testing.T) {
	l := serving(t)
	l.edit()
	l.take(InputsChanged{})
	l.builds()
	l.take(ProofFailed{N: 2, Reason: "login refused", Cause: CauseSettled})
	l.passes(time.Hour)
	l.wants("it is not tried again by itself", l.s.Candidate.N == 0)
	l.take(Deploy{})
	l.wants("another look at the inputs, and another try", l.s.Building.Running && !l.s.Building.Forced && l.inputsOf(l.s.Candidate.Version.Release) == 2)
}

func TestDeployOfUnchangedInputsLetsARollbackStand(t *testing.T) {
	l := serving(t)
	l.takesOver(2)
	l.take(Rollback{Release: "r1"})
	l.take(Ready{N: 3})
	l.take(Deploy{})
	l.builds()
	l.passes(time.Hour)
	l.serves("r1")
	l.wants("the release of the inputs known", l.inputsOf(l.s.LastBuilt) == 2 && l.s.Candidate.N == 0)
	l.edit()
	l.take(Deploy{})
	l.builds()
	l.wants("the edit tried", l.inputsOf(l.s.Candidate.Version.Release) == 3)
}
