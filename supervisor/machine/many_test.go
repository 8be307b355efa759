package machine

import (
	"fmt"
	"testing"
	"time"
)

// manyProcesses is a build that serves, with n processes that are up.
func manyProcesses(n int) State {
	s := State{Want: WantServe, RunKey: "k", Release: "r", LastBuilt: "r", Proven: Version{"r", "k"}}
	s.Policy = Policy{Autostart: true, Restart: RestartAlways, DelayMax: time.Minute, StableAfter: time.Second, Failures: 3}
	s.Serving.Tree = Tree{N: 1, Version: s.Proven, Pid: 1, Ready: true}
	s.Spawned = 1
	for p := range n / 50 {
		policy := ProcessPolicy{Name: fmt.Sprint("p", p), Count: 50, Restart: RestartAlways, Key: "p"}
		s.Policy.Processes = append(s.Policy.Processes, policy)
		for i := range policy.Count {
			s.Spawned++
			s.Processes = append(s.Processes, Member{Process: policy.Name, Index: i, Tree: Tree{N: s.Spawned, Version: Version{"r", "p"}, Pid: s.Spawned, Ready: true}})
		}
	}
	return s
}

// A thousand processes that come up one after the other kept a processor busy for half a minute.
func TestStepTakesTimeInProportionToTheProcesses(t *testing.T) {
	t.Parallel()
	fastest := func(n int) time.Duration {
		s := manyProcesses(n)
		least := time.Hour
		for range 20 {
			begun := time.Now()
			after, effects := Step(s, InputsChanged{}, time.Now())
			least = min(least, time.Since(begun))
			if len(after.Processes) != n {
				t.Fatalf("%d processes after a step, want %d: %v", len(after.Processes), n, effects)
			}
			for _, e := range effects {
				if _, spawns := e.(Spawn); spawns {
					t.Fatalf("a step of what is settled starts something: %v", e)
				}
			}
		}
		return least
	}
	// As many times as long, or ten times that: with the square of the number it was 400 times.
	if few, many := fastest(200), fastest(4000); many > 200*few {
		t.Errorf("a step with 4,000 processes takes %v, with 200 %v", many, few)
	}
}

func TestTreesAreThoseThatTreeFinds(t *testing.T) {
	t.Parallel()
	s := manyProcesses(50)
	s.Candidate.Tree = Tree{N: 900, Pid: 9}
	s.Serving.Beside = []Member{{Tree: Tree{N: 901}}, {Tree: Tree{N: 902}, Old: 903}, {}}
	s.Candidate.Beside = []Member{{Tree: Tree{N: 904}}}
	s.Processes[3].Old, s.Processes[4].Tree = 905, Tree{}
	trees := s.Trees()
	for n := range 1000 {
		want, found := s.Tree(n)
		if got, known := trees[n]; known != found || got != want {
			t.Errorf("tree %d is %v, %v, want %v, %v", n, got, known, want, found)
		}
	}
}
