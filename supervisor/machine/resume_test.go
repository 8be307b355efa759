package machine

import (
	"testing"
	"time"
)

// Promises about a release that is on trial when its supervisor ends.

// after is what another supervisor of a build begins with: r1 serves, and r2 is on trial.
func after(trial Trial) State {
	return State{Release: "r2", LastBuilt: "r2", Proven: Version{"r1", "k1"}, Spawned: 3, Trial: trial}
}

// resumed lets that supervisor adopt what serves and read the file.
func resumed(s State, now time.Time) State {
	if s.Proven.Release != "" {
		s, _ = Step(s, Adopted{N: 1, Version: s.Proven, Pid: 1, Open: true}, now)
	} else {
		s.Open = true
	}
	s, _ = Step(s, Configured{Policy: newWorld(nil).policy, RunKey: "k1"}, now)
	return s
}

func TestTriesAreCountedOverARestartOfTheSupervisor(t *testing.T) {
	t.Parallel()
	v := Version{"r2", "k1"}
	s := resumed(after(Trial{Version: v, Faults: 2, Own: true, Reason: "release r2 did not take over (2 of 3 tries): exit code 3"}), epoch)
	if s.Candidate.N != 0 || !s.CandidateAt.Equal(epoch.Add(4*time.Second)) {
		t.Fatalf("the next try is at %v, want %v", s.CandidateAt, epoch.Add(4*time.Second))
	}
	if got, want := s.ReasonAt(epoch), "release r2 did not take over (2 of 3 tries): exit code 3; tried again in 4 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	now := epoch.Add(4 * time.Second)
	s, _ = Step(s, Timer{TimerCandidate}, now)
	if s.Candidate.Version != v {
		t.Fatalf("%+v is tried", s.Candidate)
	}
	s, _ = Step(s, Exited{N: s.Candidate.N, Reason: wrong}, now)
	if s.Bad[v] == "" || s.onTrial() || s.Serving.Version.Release != "r1" {
		t.Errorf("after its third failure: bad %v, %+v", s.Bad, s.Serving)
	}
}

// It may take all the memory, and with it the supervisor.
func TestReleaseThatEndsItsSupervisorIsTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	s, last := after(Trial{}), time.Duration(0)
	for range 12 {
		s = resumed(after(s.Interrupted(Version{"r2", "k1"}).Trial), epoch)
		wait := s.CandidateAt.Sub(epoch)
		if s.Candidate.N != 0 || wait < min(2*last, outsideRetryMax) || wait > outsideRetryMax || wait <= 0 {
			t.Fatalf("it waits for %v after %v", wait, last)
		}
		last = wait
	}
	if last != outsideRetryMax || len(s.Bad) > 0 {
		t.Errorf("at last it waits for %v, bad %v", last, s.Bad)
	}
}

// Nothing else can serve.
func TestOnlyReleaseThatEndsItsSupervisorIsTriedWithBackoff(t *testing.T) {
	t.Parallel()
	trial := Trial{}
	for n := range 12 {
		s := after(trial)
		s.Proven = Version{}
		trial = s.Interrupted(Version{"r2", "k1"}).Trial
		s.Trial = trial
		s = resumed(s, epoch)
		switch wait := s.CandidateAt.Sub(epoch); {
		case n == 0:
			if s.Candidate.N == 0 {
				t.Error("it waits after the first time")
			}
		case s.Candidate.N != 0 || wait <= 0 || wait > s.Policy.DelayMax:
			t.Errorf("it waits for %v after %d times", wait, n+1)
		}
	}
}

func TestTrialOfOtherRunSettingsIsForgotten(t *testing.T) {
	t.Parallel()
	s := resumed(after(Trial{Version: Version{"r2", "k0"}, Faults: 2, Own: true}), epoch)
	if s.Trial != (Trial{}) || s.Candidate.Version != (Version{"r2", "k1"}) {
		t.Errorf("%+v is tried, with %+v", s.Candidate, s.Trial)
	}
}
