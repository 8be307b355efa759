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

// A thousand processes that came up one after the other kept a processor busy for half a minute, as each step
// looked through all of them for each. With so many as here such a step takes ten seconds, and one in
// proportion to their number some milliseconds.
func TestStepTakesTimeInProportionToTheProcesses(t *testing.T) {
	t.Parallel()
	const n, limit = 20_000, 3 * time.Second
	s := manyProcesses(n)
	fastest := time.Hour
	for range 3 {
		begun := time.Now()
		after, effects := Step(s, InputsChanged{}, begun)
		fastest = min(fastest, time.Since(begun))
		if len(after.Processes) != n {
			t.Fatalf("%d processes after a step, want %d: %v", len(after.Processes), n, effects)
		}
		for _, e := range effects {
			if _, spawns := e.(Spawn); spawns {
				t.Fatalf("a step of what is settled starts something: %v", e)
			}
		}
		if fastest < limit {
			return
		}
	}
	t.Errorf("a step with %d processes takes %v, want less than %v", n, fastest, limit)
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
