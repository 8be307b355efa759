package machine

import (
	"slices"
	"time"
)

// Replicas and processes in the world of the tests.

// processes is what a file may ask for beside the server.
var processes = [...][]ProcessPolicy{
	nil,
	{{Name: "worker", Count: 1, Restart: RestartAlways, Key: "p1"}},
	{{Name: "worker", Count: 2, Restart: RestartAlways, Required: true, Key: "p1"}, {Name: "beat", Count: 1, Restart: RestartOnFailure, Overlap: true, Key: "p2"}},
	{{Name: "beat", Count: 2, Restart: RestartAlways, Overlap: true, Required: true, Key: "p2"}},
}

// cast decides how many server trees and which processes there are: in most histories one tree
// and no process at first.
func (w *world) cast(history []uint64) {
	if len(history) == 0 || history[0]/4096%4 != 0 {
		return
	}
	dice := history[0] / 16384
	w.replicas = map[string]int{"k1": int(dice%2 + dice/2%2 + 1), "k2": 1, "k3": int(dice/4%3 + 1)}
	w.policy.Replicas = w.replicas["k1"]
	if dice /= 16; dice%2 == 1 {
		w.policy.Processes = processes[dice/2%uint64(len(processes))]
	}
}

// restartProcesses changes what the processes run.
func (w *world) restartProcesses() {
	w.policy.Processes = slices.Clone(w.policy.Processes)
	for i := range w.policy.Processes {
		w.policy.Processes[i].Key += "+"
	}
	w.configure(false)
}

func (w *world) replicasOf(v Version) int { return max(w.replicas[v.RunKey], 1) }

// of lists the trees of a generation.
func (w *world) of(group int) (trees []*tree) {
	for _, g := range w.trees {
		if g.group == group {
			trees = append(trees, g)
		}
	}
	return trees
}

func (w *world) groupOf(n int) int {
	if n == 0 {
		return 0
	}
	return w.tree(n).group
}

// othersOf says that another tree of the generation of n runs, as far as the machine was told.
func (w *world) othersOf(n int) bool {
	g := w.tree(n)
	return slices.ContainsFunc(w.of(g.group), func(o *tree) bool { return o != g && !o.failed && !o.leaving })
}

func (w *world) spawnedReplica(f Spawn) {
	g := w.trees[f.N-1]
	g.group = w.public
	if f.With != 0 {
		g.group = f.With
		w.require(!f.Public && w.tree(f.With).staged && !w.tree(f.With).leaving, "%d beside %d, which is no candidate", f.N, f.With)
	} else {
		w.require(w.named && !w.lost && !w.alone, "%d on a public listener that is not there", f.N)
	}
	running := 0
	for _, o := range w.of(g.group) {
		w.require(o.version == g.version, "%v beside %v", g.version, o.version)
		running += b2i(!o.failed && !o.leaving)
	}
	w.require(g.version.Release == "inherited" || running <= max(w.tree(g.group).count, g.count), "%d trees side by side", running)
}

func (w *world) spawnedProcess(f Spawn) {
	p := w.s.policyOfTest(f.Process)
	w.require(f.Index < p.Count && f.Version == Version{w.served.Release, p.Key}, "a process nobody wants")
	running := 0
	for i, o := range w.trees[:f.N-1] {
		if o.process != f.Process || o.index != f.Index {
			continue
		}
		w.require(o.ended || p.Overlap, "%d and %d are the same instance of %s", i+1, f.N, f.Process)
		running += b2i(!o.failed && !o.leaving)
	}
	w.require(running <= 1, "%d instances in the place of one", running+1)
}

func (s State) policyOfTest(process string) ProcessPolicy {
	return (&turn{State: s}).policyOf(process)
}

// membersAtRest checks that everything runs that the file asks for, and returns whether something does
// not by its restart policy.
func (w *world) membersAtRest() (halted bool) {
	s := &w.s
	want := s.Serving.Version
	w.require(want.RunKey != s.RunKey || len(s.Serving.Beside)+1 == w.replicasOf(want), "%d trees", len(s.Serving.Beside)+1)
	count := 0
	for _, p := range s.Policy.Processes {
		count += p.Count
	}
	w.require(len(s.Processes) == count, "%d processes, not %d", len(s.Processes), count)
	for _, m := range slices.Concat(s.Serving.Beside, s.Processes) {
		if m.Halted != "" {
			restart := s.Policy.Restart
			if m.Process != "" {
				restart = s.policyOfTest(m.Process).Restart
			}
			w.require(restart != RestartAlways, "%s is halted", m.label())
			halted = true
			continue
		}
		want := s.Serving.Version
		if m.Process != "" {
			want.RunKey = s.policyOfTest(m.Process).Key
		}
		w.require(m.N != 0 && m.Ready && m.Version == want && m.Old == 0, "%s does not run as it should", m.label())
		w.require(m.Failures == 0 && m.StableAt == time.Time{}, "%s is not stable", m.label())
	}
	return halted
}
