package machine

import (
	"testing"
	"time"
)

// Promises about what the state says and what is tried next. That no other test held them was found by
// `make mutate`.

func TestServerThatDiedUnwatchedCountsAsARestart(t *testing.T) {
	t.Parallel()
	s, _ := Step(State{Release: "r1"}, Adopted{Version: Version{"r1", "k1"}, Reason: "it ended while no supervisor watched"}, epoch)
	if s.Restarts != 1 || s.LastExit != "it ended while no supervisor watched" || s.Trouble != s.LastExit {
		t.Errorf("restarts %d, last exit %q, trouble %q", s.Restarts, s.LastExit, s.Trouble)
	}
}

// What serves was started after the record had been written that says otherwise.
func TestGenerationNewerThanTheRecordOverrulesIt(t *testing.T) {
	t.Parallel()
	for _, newer := range []bool{false, true} {
		s, _ := Step(State{Want: WantStopped, ByHand: true, Release: "r1"}, Adopted{N: 2, Version: Version{"r2", "k1"}, Pid: 7, Newer: newer}, epoch)
		want, release := WantStopped, "r1"
		if newer {
			want, release = WantUnknown, "r2"
		}
		if s.Want != want || s.ByHand == newer || s.Release != release || (s.Serving.Pid == 7) != newer {
			t.Errorf("newer %v: wants %v, by hand %v, release %s, %+v", newer, s.Want, s.ByHand, s.Release, s.Serving)
		}
	}
}

func TestShutdownRemembersWhatWasWantedBefore(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		t.Run(map[bool]string{false: "serving", true: "stopped"}[stopped], func(t *testing.T) {
			l := serving(t)
			want := WantServe
			if stopped {
				l.take(Stop{})
				want = WantStopped
			}
			l.take(Shutdown{})
			l.wants("what was wanted before", l.s.Want == WantShutdown && l.s.Before == want)
		})
	}
}

func TestCandidateAndServerAreShownWithTheirPids(t *testing.T) {
	l := serving(t)
	l.wants("the pid of what serves", l.s.Serving.Pid != 0)
	l.edits()
	l.wants("a candidate with its pid", l.s.Candidate.N == 2 && l.s.Candidate.Pid != 0)
}

func TestStopEndsATrialAndAShutdownKeepsIt(t *testing.T) {
	for _, e := range []Event{Stop{}, Shutdown{}} {
		t.Run(name(e), func(t *testing.T) {
			l := serving(t)
			l.edits()
			l.take(ProofFailed{N: l.s.Candidate.N, Reason: "exit code 3"})
			l.wants("a trial", l.s.Trial.Version != Version{})
			l.take(e)
			l.wants("its end at a stop alone", (l.s.Trial == Trial{}) == (e == Stop{}))
		})
	}
}

// After one that only a person repeats, others are waited for as after the first.
func TestFailureThatIsNotRepeatedCountsForNoDelay(t *testing.T) {
	l := serving(t)
	fail := func(final bool) time.Duration {
		l.take(Rebuild{})
		l.take(BuildFailed{Seq: l.s.Building.Seq, Reason: "no space left", Final: final})
		return l.s.BuildAt.Sub(l.now)
	}
	first, second := fail(false), fail(false)
	l.wants("a longer delay after the second", first > 0 && second > first)
	fail(true)
	l.wants("none after a final one", l.s.BuildAt.IsZero() && l.s.BuildTry == 0)
	l.wants("the first delay after the next", fail(false) == first)
}

func TestDeathOfWhatServesIsTold(t *testing.T) {
	l := serving(t)
	l.take(Exited{N: 1, Reason: "killed by SIGKILL"})
	l.wants("the trouble and the last exit", l.s.Trouble == "killed by SIGKILL" && l.s.LastExit == l.s.Trouble)
	l.take(Ready{N: l.s.Serving.N})
	l.wants("no trouble when it has recovered", l.s.Trouble == "" && l.s.LastExit == "killed by SIGKILL")
}

// Of two trees side by side, that one dies again and again before the release was stable means what it
// means with one: the release before comes back. It takes two.
func TestReleaseWhoseTreesBesideKeepDyingGivesWay(t *testing.T) {
	for deaths := 1; deaths <= givesWayAfter; deaths++ {
		t.Run([]string{"", "once", "twice"}[deaths], func(t *testing.T) {
			l := begin(t)
			l.policy.Replicas = 2
			l.replicas = map[string]int{l.runKey: 2}
			l.configure(false)
			l.builds()
			l.take(Ready{N: 1})
			l.take(Ready{N: 2})
			l.passes(l.policy.StableAfter)
			l.edits()
			l.take(Ready{N: 3})
			l.take(Ready{N: 4})
			l.serves("r2")
			for range deaths {
				n := l.s.Serving.Beside[0].N
				if n == 0 {
					l.passes(time.Second)
					n = l.s.Serving.Beside[0].N
				}
				l.take(Ready{N: n})
				l.take(Exited{N: n, Reason: "exit code 1"})
			}
			gone := deaths == givesWayAfter
			l.wants("r1 again after two deaths, and not after one", (l.s.Release == "r1") == gone)
		})
	}
}

// A tree of two that leads and misses probes lets the other lead once that is well again.
func TestTreeThatIsWellAgainLeads(t *testing.T) {
	l := begin(t)
	l.policy.Replicas = 2
	l.replicas = map[string]int{l.runKey: 2}
	l.configure(false)
	l.builds()
	l.take(Ready{N: 1})
	l.take(Ready{N: 2})
	l.passes(l.policy.StableAfter)
	for _, n := range []int{2, 1} {
		for range l.policy.Failures - 1 {
			l.take(ProbeFailed{N: n, Reason: "no answer"})
		}
	}
	lead := l.s.Serving.N
	l.take(ProbeOK{N: 3 - lead})
	l.take(ProbeFailed{N: lead, Reason: "no answer"})
	l.wants("the other one in front", l.s.Serving.N == 3-lead)
	l.is(PhaseRunning)
}
