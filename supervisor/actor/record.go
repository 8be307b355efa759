package actor

import (
	"maps"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// The roles of a generation in a record.
const (
	roleServing   = "serving"
	roleCandidate = "candidate"
	roleRetiring  = "retiring"
	roleProcess   = "process"
)

// save passes on what is to be written down of the build.
func (a *Actor) save() {
	if st := a.state; st.Want == machine.WantRemoved || st.Want == machine.WantShutdown && st.Before == machine.WantRemoved {
		a.Ports.Records.Save(a.name, nil)
		return
	}
	a.Ports.Records.Save(a.name, a.record())
}

// record returns the facts about this build that must outlive the supervisor.
func (a *Actor) record() *state.Record {
	st := a.state
	want := st.Want
	if want == machine.WantShutdown {
		want = st.Before
	}
	r := &state.Record{
		Build:         a.name,
		StoppedByHand: want == machine.WantStopped && st.ByHand,
		Release:       st.Release, LastBuilt: st.LastBuilt, Previous: st.Previous,
		Proven: st.Proven.Release, ProvenRunKey: st.Proven.RunKey,
		Fallback: st.Fallback.Release, FallbackRunKey: st.Fallback.RunKey,
		Bad:      map[string]string{},
		Wish:     wishOf(st),
		Restarts: st.Restarts, RestartsByHand: st.RestartsByHand, LastExit: st.LastExit, BuildError: st.BuildErr,
		NextGeneration: st.Spawned + 1,
		Stays:          a.history.stays,
		Schedules:      a.scheduleRecord(),
		Tasks:          a.taskRecord(),
		Alerted:        a.hooks.alerted,
	}
	for v, reason := range st.Bad {
		r.Bad[v.Release+"/"+v.RunKey] = reason
	}
	if t := st.Trial; t.Version.Release != "" {
		r.Trial = &state.Trial{Release: t.Version.Release, RunKey: t.Version.RunKey, Faults: t.Faults, Others: t.Others, Own: t.Own, Reason: t.Reason}
	}
	trees := st.Trees()
	for _, n := range slices.Sorted(maps.Keys(a.generations)) {
		g, inode := a.generations[n], uint64(0)
		if g.sock != nil {
			inode = g.sock.Inode()
		}
		r.Generations = append(r.Generations, state.Generation{
			N: g.n, Role: a.role(g.n, trees), Release: g.version.Release, RunKey: g.version.RunKey,
			Pid: g.tree.Pid(), StartTime: g.tree.StartTime(), BootID: a.BootID,
			SocketInode: inode, User: &g.user, Process: g.process, Index: g.index, Asked: g.asked,
		})
		if tree, ok := trees[g.n]; ok && tree.N != st.Candidate.N {
			r.Generations[len(r.Generations)-1].Since = tree.Since.UTC().Round(0)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(a.leftovers)) {
		if g := a.leftovers[n].record; g != nil {
			r.Generations = append(r.Generations, *g)
		}
	}
	return r
}

// What somebody asked for is carried on by the next supervisor, in whatever way this one ends.
const (
	wishRestart = "restart"
	wishRebuild = "rebuild"
	wishFresh   = "rebuild --fresh"
)

// wishOf returns what was asked for and is neither done nor has failed. An attempt that migrates is not
// begun once more unless somebody asks again.
func wishOf(st *machine.State) string {
	b := st.Building
	uncommitted := b.Running && !b.Committed
	switch {
	case st.Want != machine.WantServe:
		return ""
	case st.NeedBuild == machine.NeedFresh, uncommitted && b.Fresh:
		return wishFresh
	case st.NeedBuild == machine.NeedForced, uncommitted && b.Forced:
		return wishRebuild
	case st.Again, st.Candidate.N != 0 && st.Candidate.Asked:
		return wishRestart
	}
	return ""
}

func (a *Actor) role(n int, trees map[int]machine.Tree) string {
	if a.state.Serving.Owns(n) {
		return roleServing
	}
	if a.state.Candidate.Owns(n) {
		return roleCandidate
	}
	if _, ok := trees[n]; ok {
		return roleProcess
	}
	return roleRetiring
}

// restore begins an actor's life where the record of an earlier one left off, as far as its
// releases still exist.
func (a *Actor) restore(r state.Record, releases []build.Release) {
	st := a.state
	kept := func(id string) bool {
		return slices.ContainsFunc(releases, func(r build.Release) bool { return r.ID == id })
	}
	st.LastBuilt, st.Previous = r.LastBuilt, r.Previous
	st.Restarts, st.RestartsByHand, st.LastExit = r.Restarts, r.RestartsByHand, r.LastExit
	st.Spawned = max(r.NextGeneration-1, 0)
	a.history.restored(r.Stays)
	a.hooks.alerted = r.Alerted
	if r.StoppedByHand {
		st.Want, st.ByHand = machine.WantStopped, true
	}
	if len(r.Bad) > 0 {
		st.Bad = map[machine.Version]string{}
	}
	for key, reason := range r.Bad {
		if release, runKey, ok := strings.Cut(key, "/"); ok {
			st.Bad[machine.Version{Release: release, RunKey: runKey}] = reason
		}
	}
	if kept(r.Proven) {
		st.Proven = machine.Version{Release: r.Proven, RunKey: r.ProvenRunKey}
	}
	if kept(r.Fallback) {
		st.Fallback = machine.Version{Release: r.Fallback, RunKey: r.FallbackRunKey}
	}
	if t := r.Trial; t != nil && kept(t.Release) {
		st.Trial = machine.Trial{
			Version: machine.Version{Release: t.Release, RunKey: t.RunKey},
			Faults:  max(t.Faults, 0), Others: max(t.Others, 0), Own: t.Own && t.Faults > 0, Reason: t.Reason,
		}
	}
	a.before = map[int]state.Generation{}
	interrupted := map[machine.Version]bool{} // once, however many trees it has
	for _, g := range r.Generations {
		a.before[g.N] = g
		if v := (machine.Version{Release: g.Release, RunKey: g.RunKey}); g.Role == roleCandidate && v != st.Proven && kept(g.Release) && !interrupted[v] {
			interrupted[v] = true
			*st = st.Interrupted(v)
		}
	}
	switch r.Wish {
	case wishRestart:
		st.Again = r.Release != ""
	case wishRebuild:
		st.NeedBuild = machine.NeedForced
	case wishFresh:
		st.NeedBuild = machine.NeedFresh
	}
	if r.Release == "" {
		return
	}
	if !kept(r.Release) {
		_, err := a.Ports.Releases.Get(a.name, r.Release)
		a.log.Warn("release of the last run is gone, it will be built again", "release", r.Release, "error", err)
		st.LastBuilt = ""
		return
	}
	st.Release = r.Release
}
