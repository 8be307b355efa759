package machine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// life is the life of one build in a world where everything succeeds except what a test makes fail.
// Every step is checked against the invariants.
type life struct {
	*testing.T
	*world
}

func begin(t *testing.T) life {
	t.Helper()
	t.Parallel()
	l := life{t, newWorld(func(history string) { t.Helper(); t.Fatal(history) })}
	l.configure(false)
	return l
}

// serving is a life in which r1 serves and is stable.
func serving(t *testing.T) life {
	t.Helper()
	l := begin(t)
	l.builds()
	l.take(Ready{N: 1})
	l.passes(l.policy.StableAfter)
	return l
}

// edits changes an input and builds it.
func (l life) edits() {
	l.edit()
	l.take(InputsChanged{})
	l.builds()
}

// builds lets the running attempt succeed.
func (l life) builds() {
	l.finish()
	l.hears()
}

// takesOver builds another release and lets it take over as generation n.
func (l life) takesOver(n int) {
	l.edits()
	l.take(Ready{N: n})
}

// rejects has the release that is tried fail by its own doing until it is not tried again.
func (l life) rejects(reason string) {
	l.Helper()
	tried := l.s.Candidate.Version
	for range mostFaults {
		l.wants("another try", l.s.Candidate.Version == tried)
		l.take(ProofFailed{N: l.s.Candidate.N, Reason: reason})
		if l.s.onTrial() {
			l.passes(l.s.Trial.Wait)
		}
	}
	l.wants("rejected", l.s.Bad[tried] != "")
}

// passes lets time go by, timers included.
func (l life) passes(d time.Duration) {
	for end := l.now.Add(d); ; l.hears() {
		next, any := l.nextTimer()
		if !any || next.After(end) {
			l.now = end
			return
		}
		l.now = later(l.now, next)
		l.ring()
	}
}

// hears delivers the waiting events.
func (l life) hears() {
	for len(l.mail) > 0 {
		l.deliver()
	}
}

// fails makes the next effect that can fail do so.
func (l life) fails(next Effect, e Event) {
	l.dice = map[string]uint64{"Open": 2, "Spawn": 7, "Swap": 9}[name(next)]
	l.take(e)
	l.dice = 0
}

// took returns the effects of events, except the notes to people.
func (l life) took(events ...Event) []string {
	from := len(l.history)
	for _, e := range events {
		l.take(e)
	}
	return l.effects(from)
}

func (l life) effects(from int) (effects []string) {
	for _, m := range l.history[from:] {
		for _, f := range m.effects {
			switch f.(type) {
			case Save, Note:
			default:
				effects = append(effects, name(f))
			}
		}
	}
	return effects
}

// name is an event or effect without its package.
func name(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "machine.") }

func (l life) wants(what string, holds bool) {
	l.Helper()
	if !holds {
		l.require(false, "want: %s", what)
	}
}

func (l life) is(want Phase) {
	l.Helper()
	l.wants(fmt.Sprintf("%s, not %s", want, l.s.Phase()), l.s.Phase() == want)
}

func (l life) serves(release string) {
	l.Helper()
	l.wants(release+" serves", l.s.Serving.Version.Release == release && l.s.Serving.Ready)
}

func TestBrokenCandidateNeverTakesTheName(t *testing.T) {
	l := serving(t)
	l.edits()
	l.rejects("GET / answered 404, want 200")
	l.wants("not tried again", l.s.Candidate.N == 0)
	l.passes(time.Hour)
	l.serves("r1")
	l.is(PhaseRunning)
	l.wants("the reason in status", strings.Contains(l.s.Reason(), "r2") && strings.Contains(l.s.Reason(), "404"))
	l.took(Start{})
	l.wants("tried again when asked", l.s.Candidate.Version.Release == "r2")
}

func TestReasonStaysAsLongAsTheNewestDoesNotServe(t *testing.T) {
	l := serving(t)
	l.edits()
	l.rejects("exit code 3")
	l.took(Exited{N: 1, Reason: "killed by SIGKILL"}, Ready{N: 5})
	l.serves("r1")
	l.passes(time.Hour)
	l.wants("the reason of r2", strings.Contains(l.s.Reason(), "exit code 3"))
}

func TestFirstReleaseIsTriedForEver(t *testing.T) {
	l := begin(t)
	l.builds()
	for n := 1; n <= 20; n++ {
		l.is(PhaseStarting)
		l.took(Exited{N: n, Reason: "exit code 3"})
		l.is(PhaseBackoff)
		l.wants("clients refused", l.refuses)
		l.passes(l.policy.DelayMax)
	}
	l.took(Ready{N: 21})
	l.serves("r1")
	l.wants("no reason left", l.s.Reason() == "" && len(l.s.Bad) == 0)
}

func TestCrashIsRestartedAtOnceThenWithBackoff(t *testing.T) {
	l := serving(t)
	for n, want := range []time.Duration{0, 1, 2, 4, 8, 16, 30, 30, 30} {
		want *= time.Second
		before := l.now
		l.took(Exited{N: l.s.Serving.N, Reason: "killed by SIGKILL"})
		l.wants("TERM before the successor", l.effects(len(l.history) - 2)[0] == "End" || want > 0)
		l.passes(want)
		l.wants(fmt.Sprintf("up again %v after death %d", want, n+1), l.s.Serving.N != 0)
		waited := l.s.Serving.Since.Sub(before)
		l.wants(fmt.Sprintf("%v to wait, not %v", want, waited), waited >= want*3/4)
	}
	l.took(Ready{N: l.s.Serving.N})
	l.passes(l.policy.StableAfter)
	l.took(Exited{N: l.s.Serving.N})
	l.is(PhaseStarting) // at once again, after it was stable
}

func TestHealthMustBeUnbrokenToCountAsStable(t *testing.T) {
	l := serving(t)
	l.took(Exited{N: 1}, Ready{N: 2})
	l.passes(9 * time.Second)
	l.took(ProbeFailed{N: 2, Reason: "no answer"})
	l.passes(time.Minute)
	l.wants("not stable while its health is unknown", l.s.Failures == 1)
	l.took(ProbeOK{N: 2})
	l.passes(9 * time.Second)
	l.wants("not stable yet", l.s.Failures == 1)
	l.passes(time.Second)
	l.wants("stable", l.s.Failures == 0)
}

// inBackoff is a life whose serving release has died three times.
func inBackoff(t *testing.T) life {
	t.Helper()
	l := serving(t)
	for range 3 {
		l.took(Exited{N: l.s.Serving.N, Reason: "exit code 1"})
		if l.s.Failures < 3 {
			l.passes(time.Second)
		}
	}
	l.is(PhaseBackoff)
	return l
}

func TestChangedInputCutsTheBackoffShort(t *testing.T) {
	for what, change := range map[string]func(l life){
		"a file":       life.edits,
		"run settings": func(l life) { l.runKey = "k2"; l.configure(false) },
		"a start":      func(l life) { l.take(Start{}) },
		"a restart":    func(l life) { l.take(RestartNow{}) },
	} {
		t.Run(what, func(t *testing.T) {
			l := inBackoff(t)
			change(l)
			l.wants("up at once", l.s.Serving.N != 0)
		})
	}
	t.Run("not a touch", func(t *testing.T) {
		l := inBackoff(t)
		l.take(InputsChanged{})
		l.builds()
		l.is(PhaseBackoff)
	})
}

func TestClientsAreRefusedWhileNothingServes(t *testing.T) {
	l := inBackoff(t)
	l.wants("refused", l.refuses)
	l.passes(l.policy.DelayMax)
	l.wants("not refused", !l.refuses && l.s.Serving.N != 0)
}

func TestOneBuildAtATimeOfTheNewestInputs(t *testing.T) {
	l := serving(t)
	l.edit()
	l.wants("a build", slices.Equal(l.took(InputsChanged{}), []string{"Build"}))
	l.edit()
	l.wants("it cancelled", slices.Equal(l.took(InputsChanged{}, InputsChanged{}), []string{"CancelBuild"}))
	l.wants("the next when it is over", slices.Equal(l.took(BuildFailed{Seq: 2, Cancelled: true}), []string{"Build"}))
	l.builds()
	l.wants("the newest", l.inputsOf(l.s.Candidate.Version.Release) == 3)
}

func TestCommittedBuildIsNotCancelled(t *testing.T) {
	l := serving(t)
	l.take(Rebuild{})
	l.wants("nothing cancelled", l.took(BuildCommitted{Seq: 2}, InputsChanged{}, InputsChanged{}) == nil)
	l.builds()
	l.wants("the newest is built next", l.s.Building.Running && l.s.Building.Seq == 3)
	l.take(BuildCommitted{Seq: 3})
	l.wants("except by a stop", slices.Contains(l.took(Stop{}), "CancelBuild"))
}

func TestCancelThatCameTooLateIsSaidAgainAtAStop(t *testing.T) {
	l := serving(t)
	l.take(Rebuild{})
	l.took(InputsChanged{}, BuildCommitted{Seq: 2}) // they crossed
	l.wants("cancelled with grace", slices.Contains(l.took(Stop{}), "CancelBuild"))
}

// An attempt whose inputs were only touched while it ran is not followed by a newer release: the
// next attempt finds the same one.
func TestTouchDuringABuildDoesNotLoseIt(t *testing.T) {
	l := begin(t)
	l.took(BuildCommitted{Seq: 1}, InputsChanged{})
	l.builds()
	l.builds()
	l.took(Ready{N: 1})
	l.serves("r1")
}

func TestFailedBuildIsTriedAgainByItself(t *testing.T) {
	l := begin(t)
	l.take(BuildFailed{Seq: 1, Reason: "pip: no network"})
	l.is(PhaseFailed)
	l.wants("the reason", l.s.Reason() == "pip: no network")
	l.passes(10 * time.Second)
	l.is(PhaseBuilding)
}

// What a migration did half-way it would do once more.
func TestAttemptThatFailedForGoodWaitsForSomebody(t *testing.T) {
	for name, asked := range map[string]Event{
		"an edit": InputsChanged{}, "a start": Start{}, "a restart": RestartNow{}, "a rebuild": Rebuild{}, "a deploy": Deploy{},
		"another environment": Configured{RunKey: "k2", Policy: Policy{Autostart: true, Restart: RestartAlways}},
	} {
		t.Run(name, func(t *testing.T) {
			l := begin(t)
			l.take(BuildCommitted{Seq: 1})
			l.take(BuildFailed{Seq: 1, Reason: "migrate: exit code 1", Final: true})
			l.passes(24 * time.Hour)
			l.is(PhaseFailed)
			l.wants("the first reason", l.s.Reason() == "migrate: exit code 1")
			l.take(asked)
			l.is(PhaseBuilding)
		})
	}
}

func TestWhatWasAskedForDuringAnAttemptThatFailsForGoodIsBuilt(t *testing.T) {
	l := begin(t)
	l.take(BuildCommitted{Seq: 1})
	l.take(InputsChanged{})
	l.take(BuildFailed{Seq: 1, Reason: "migrate: exit code 1", Final: true})
	l.wants("the edit is built", l.s.Building.Running && l.s.Building.Seq == 2 && !l.s.Building.Forced)
}

func TestFailedRebuildIsTriedAgainAsOne(t *testing.T) {
	l := serving(t)
	l.take(Rebuild{})
	l.take(BuildFailed{Seq: 2, Reason: "pip: no network"})
	l.passes(10 * time.Second)
	l.wants("forced again", l.s.Building.Running && l.s.Building.Forced)
}

func TestFreshRebuildStaysOneUntilItIsMade(t *testing.T) {
	l := serving(t)
	l.take(Rebuild{Fresh: true})
	l.wants("fresh", l.s.Building.Running && l.s.Building.Forced && l.s.Building.Fresh)
	l.took(InputsChanged{}, BuildFailed{Seq: 2, Cancelled: true})
	l.wants("fresh of the newer inputs", l.s.Building.Running && l.s.Building.Fresh)
	l.take(BuildFailed{Seq: 3, Reason: "pip: no network"})
	l.passes(10 * time.Second)
	l.wants("fresh again", l.s.Building.Running && l.s.Building.Fresh)
	l.took(Rebuild{}, BuildFailed{Seq: 4, Cancelled: true})
	l.wants("not less by a later rebuild", l.s.Building.Running && l.s.Building.Fresh)
	l.builds()
	l.take(Rebuild{})
	l.wants("once", l.s.Building.Running && l.s.Building.Forced && !l.s.Building.Fresh)
}

func TestStopWithdrawsTheNameFirst(t *testing.T) {
	l := serving(t)
	l.wants("the name first", slices.Equal(l.took(Stop{}), []string{"Withdraw", "Retire"}))
	l.is(PhaseStopping)
	l.wants("nothing after it", l.took(InputsChanged{}, Rebuild{}, Ended{N: 1}) == nil)
	l.is(PhaseStopped)
}

func TestShutdownLeavesASocketThatSomebodyElseHoldsAndItsQueue(t *testing.T) {
	l := serving(t)
	l.wants("no drain, which new clients would prolong", slices.Equal(l.took(Shutdown{Held: true}), []string{"Leave", "End"}))
	l.is(PhaseStopping)
	l.wants("gone", slices.Equal(l.took(Ended{N: 1}), []string{"Gone"}))
}

func TestGoneOnlyWhenAllHasEnded(t *testing.T) {
	l := serving(t)
	l.edits()
	l.took(Removed{}, Ended{N: 2})
	l.wants("not gone yet", !l.gone)
	l.wants("gone", slices.Equal(l.took(Ended{N: 1}), []string{"Gone"}))
	l.wants("nothing more", l.took(InputsChanged{}, Start{}, Ended{N: 1}) == nil)
}

func TestBuildThatComesBackDoesWhatItsFileSays(t *testing.T) {
	for _, autostart := range []bool{true, false} {
		t.Run(fmt.Sprintf("autostart=%v", autostart), func(t *testing.T) {
			l := serving(t)
			l.take(Removed{})
			l.policy.Autostart = autostart
			l.configure(false)
			l.wants("as its file says", (l.s.Want == WantServe) == autostart)
		})
	}
}

// Nobody has stopped it: it was the file that did not want it.
func TestBuildThatWasNotToBeStartedIsStartedOnceItsFileSaysSo(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped by hand=%v", byHand), func(t *testing.T) {
			l := serving(t)
			l.take(Removed{})
			l.policy.Autostart = false
			l.configure(false)
			l.wants("not started", l.s.Want == WantStopped && !l.s.ByHand)
			if byHand {
				l.take(Stop{})
			}
			l.policy.Autostart = true
			l.configure(false)
			l.wants("started unless somebody stopped it", (l.s.Want == WantServe) != byHand)
			l.take(Start{})
			l.wants("started by hand", l.s.Want == WantServe && !l.s.ByHand)
		})
	}
}

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy Restart
		clean  bool
		back   bool
	}{
		{RestartAlways, true, true},
		{RestartAlways, false, true},
		{RestartOnFailure, true, false},
		{RestartOnFailure, false, true},
		{RestartNever, true, false},
		{RestartNever, false, false},
	} {
		t.Run(fmt.Sprintf("%s,clean=%v", c.policy, c.clean), func(t *testing.T) {
			l := serving(t)
			l.policy.Restart = c.policy
			l.configure(false)
			l.take(Exited{N: 1, Reason: "exit code 0", Clean: c.clean})
			l.passes(time.Hour)
			l.wants("back as the policy says", (l.s.Serving.N != 0) == c.back)
			if !c.back {
				l.is(PhaseStopped)
				l.wants("refused, with the reason", l.refuses && l.s.Reason() != "")
				l.take(Start{})
				l.is(PhaseStarting)
			}
		})
	}
}

func TestPolicyAlwaysBringsBackWhatHasHalted(t *testing.T) {
	l := serving(t)
	l.policy.Restart = RestartNever
	l.configure(false)
	l.take(Exited{N: 1, Reason: "exit code 1"})
	l.is(PhaseStopped)
	l.policy.Restart = RestartAlways
	l.configure(false)
	l.is(PhaseStarting)
}

func TestRestartOfAFailedBuildBuildsAgain(t *testing.T) {
	l := begin(t)
	l.take(BuildFailed{Seq: 1, Reason: "pip: no network"})
	l.take(RestartNow{})
	l.is(PhaseBuilding)
}

func TestStopWhileTheSupervisorEndsIsRemembered(t *testing.T) {
	l := serving(t)
	l.take(Shutdown{})
	l.take(Stop{})
	if l.s.Before != WantStopped {
		t.Errorf("before the end it was to be %q", l.s.Before)
	}
}

// A tree that is killed beside another one is started again at once; one that hung when its end has had
// the processors for a while.
func TestTreeBesideAnotherComesBack(t *testing.T) {
	l := begin(t)
	l.policy.Replicas = 2
	l.replicas = map[string]int{l.runKey: 2}
	l.configure(false)
	l.builds()
	l.take(Ready{N: 1})
	l.take(Ready{N: 2})
	l.passes(l.policy.StableAfter)
	l.is(PhaseRunning)
	l.wants("the end and a start at once", slices.Equal(l.took(Exited{N: 2, Reason: "killed by SIGKILL"}), []string{"End", "Spawn"}))
	l.hears()
	l.take(Ready{N: 3})
	l.passes(l.policy.StableAfter)
	for range l.policy.Failures - 1 {
		l.take(ProbeFailed{N: 3, Reason: "no answer"})
	}
	l.wants("the end and a timer", slices.Equal(l.took(ProbeFailed{N: 3, Reason: "no answer"}), []string{"End", "SetTimer"}))
	l.passes(afterHang)
	l.wants("a start then", l.s.Serving.Beside[0].N == 4)
	l.is(PhaseRunning)
}
