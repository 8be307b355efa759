package simulate

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// fault is one that a supervisor might have. It is put between the supervisor and the world, so
// that the program itself needs no switch: what is not done, or is done too soon, does not come
// through.
type fault struct {
	name  string
	plant plant
}

var faults = []fault{
	{"a queue is not drained", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.drained = func(context.Context) error { return nil } })
	}},
	{"a socket is closed with clients in it", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.forward = func(context.Context, string) (int, error) { return 0, nil } })
	}},
	{"a lost name is not restored", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.restore = func() error { return nil } })
	}},
	{"a refusal never ends", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) {
			l.refuse = func(ctx context.Context, after func() time.Duration) int {
				go l.listener.Refuse(inc.life, after)
				<-ctx.Done()
				return 0
			}
		})
	}},
	{"a socket that is let go is not closed", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.close = func() error { return nil } })
	}},
	{"the public name is not removed", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.unlink = func() error { return nil } })
	}},
	{"a candidate gets the name before its check", func(inc *incarnation, w *ports.World) { w.Host = blindHost{w.Host} }},
	{"a start time is not compared at an adoption", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, adopt: func(l actor.Leftover) actor.Leftover {
			inc.w.mu.Lock()
			defer inc.w.mu.Unlock()
			if p := inc.w.procs[l.Leader.Pid]; p != nil {
				l.Leader.StartTime = p.start
			}
			return l
		}}
	}},
	{"a pid is not compared before a signal", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return pidTree{t, inc} }}
	}},
	{"a leftover is not ended", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, remains: func(actor.Leftover) actor.Tree { return nobody{} }}
	}},
	{"leftovers are not looked for", func(inc *incarnation, w *ports.World) { w.Trees = &badTrees{Trees: w.Trees, blind: true} }},
	{"TERM comes after the successor", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return lateTree{t, inc} }}
	}},
	{"a tree that ignores TERM is not killed", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return mildTree{t, inc} }}
	}},
	{"an exit is not noticed", func(inc *incarnation, w *ports.World) { w.Trees = &badTrees{Trees: w.Trees, deaf: true} }},
	{"no state is written", func(inc *incarnation, w *ports.World) { w.Store = &badStore{Store: w.Store, never: true} }},
	{"the state is written before its effect", func(inc *incarnation, w *ports.World) {
		w.Store = &badStore{Store: w.Store, last: map[string]state.Record{}}
	}},
	{"the record of a removed build is not deleted", func(inc *incarnation, w *ports.World) {
		w.Store = &badStore{Store: w.Store, keeps: true}
	}},
	{"a backoff is never reset", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.StableAfter = 48 * time.Hour }
	}},
	{"there is no backoff", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.RestartDelayMax = 200 * time.Millisecond }
	}},
	{"the timer of the health probe is never set", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.Health.Interval = 48 * time.Hour }
	}},
	{"an attempt is not cancelled", func(inc *incarnation, w *ports.World) { w.Releases = badReleases{w.Releases, inc, false} }},
	{"a release in use is pruned", func(inc *incarnation, w *ports.World) { w.Releases = badReleases{w.Releases, inc, true} }},
	{"static files go live before the check", func(inc *incarnation, w *ports.World) { w.Releases = hastyStatics{w.Releases} }},
	{"static files do not follow what serves", func(inc *incarnation, w *ports.World) { w.Releases = idleStatics{w.Releases} }},
	{"an edit is overlooked", func(inc *incarnation, w *ports.World) { w.Watcher = deafWatcher{w.Watcher} }},
	{"the gate stays closed after an upgrade that failed", func(inc *incarnation, w *ports.World) { w.Upgrader = stuckUpgrader{w.Upgrader, inc} }},
	{"a command that is overtaken is lost", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return &forgetful{Backend: b, inc: inc} }}
	}},
	{"a command is done before its result holds", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return hasty{b} }}
	}},
	{"sockets that the service manager holds are closed at a restart", func(inc *incarnation, w *ports.World) { w.Holder = blindHolder{w.Holder} }},
	{"what is deleted of the supervisor's folder is not noticed", func(inc *incarnation, w *ports.World) { w.Own = lazyOwn{} }},
	{"records that were deleted are not written again", func(inc *incarnation, w *ports.World) { w.Store = trustingStore{w.Store} }},
	{"a release that is gone is started for ever", func(inc *incarnation, w *ports.World) { w.Trees = vagueTrees{w.Trees} }},
	{"a folder that is made again is not watched again", func(inc *incarnation, w *ports.World) { w.Sockets = &onceGuarded{w.Sockets, inc, map[string]bool{}} }},
	{"an event is written by whoever reports it", func(inc *incarnation, w *ports.World) { w.Events = patientEvents{w.Events, inc} }},
	{"the status waits for the disk", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return patient{b, inc} }}
	}},
	{"the clock on the wall is believed", func(inc *incarnation, w *ports.World) { w.Host = wallHost{w.Host} }},
	{"runs of schedules are not found again", func(inc *incarnation, w *ports.World) { w.Trees = blindToRuns{w.Trees} }},
	{"runs of a schedule overlap", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) {
			b.Schedules = slices.Clone(b.Schedules)
			for i := range b.Schedules {
				b.Schedules[i].Overlap, b.Schedules[i].Timeout = true, time.Hour
			}
		}
	}},
	{"a time of a schedule is run twice", func(inc *incarnation, w *ports.World) { w.Trees = repeatedRuns{w.Trees} }},
	{"what was handled of a schedule is not written down", func(inc *incarnation, w *ports.World) {
		w.Store = &staleSchedules{w.Store, inc}
	}},
	{"a command of an operator outlives its caller", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return longWaiting{b, inc} }}
	}},
	{"the result of an operator's command is another one", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return cheerful{b} }}
	}},
	{"a replica that has ended is not started again", func(inc *incarnation, w *ports.World) { w.Trees = alone{w.Trees, inc} }},
	{"the end of a process is not noticed", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, exited: func(actor.Exit) {}}
	}},
	{"the processes of the release before are kept after a swap", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return keptTree{t, inc} }}
	}},
	{"a process starts before the one in its place has ended", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return goneTree{t} }}
	}},
	{"a hook is called twice", func(inc *incarnation, w *ports.World) { w.Trees = eager{w.Trees} }},
	{"sockets are not handed over at an upgrade", func(inc *incarnation, w *ports.World) { w.Upgrader = forgetfulUpgrader{w.Upgrader} }},
}

// TestPlantedFaultsAreFound holds that the promises bite: each fault breaks one within a thousand
// histories.
func TestPlantedFaultsAreFound(t *testing.T) {
	if !plantedToo {
		t.Skip("is run without the race detector")
	}
	if testing.Short() {
		t.Skip("is run by make test, with its histories")
	}
	for name := range foundBy {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.name == name }) {
			t.Errorf("no fault is called %q", name)
		}
	}
	found := 0
	for _, output := range inShards(t, "TestShardOfPlantedFaults") {
		if strings.Contains(output, "--- FAIL") {
			t.Error(output)
		} else {
			t.Log(output)
		}
		found += strings.Count(output, "is found")
	}
	if found != len(faults) {
		t.Errorf("%d of %d planted faults are found", found, len(faults))
	}
}

// foundBy is which of the first thousand histories finds a fault that takes more than a few. It is lived
// first; where it finds nothing any more, as histories change with the simulation, all are.
var foundBy = map[string]uint64{
	"a refusal never ends":                                           156,
	"a queue is not drained":                                         104,
	"a release that is gone is started for ever":                     71,
	"an event is written by whoever reports it":                      70,
	"a command that is overtaken is lost":                            66,
	"the gate stays closed after an upgrade that failed":             64,
	"the state is written before its effect":                         62,
	"a backoff is never reset":                                       44,
	"runs of schedules are not found again":                          41,
	"a replica that has ended is not started again":                  22,
	"an attempt is not cancelled":                                    21,
	"the end of a process is not noticed":                            17,
	"sockets that the service manager holds are closed at a restart": 10,
}

// TestShardOfPlantedFaults is a part of TestPlantedFaultsAreFound.
func TestShardOfPlantedFaults(t *testing.T) {
	i, of := shard(t)
	for ; i < len(faults); i += of {
		begun, f := time.Now(), faults[i]
		for n := 0; ; n++ {
			seed := uint64(n)
			if n == 0 {
				seed = max(foundBy[f.name], 1)
			}
			if n > 1000 {
				t.Errorf("%s: not found within 1000 histories, %v", f.name, time.Since(begun))
				break
			}
			if w := lived(t, planned(seed), f.plant); len(w.broken) > 0 {
				if calm := lived(t, planned(seed), nil); len(calm.broken) > 0 {
					t.Errorf("history %d breaks a promise without a planted fault: %v", seed, calm.broken[0])
					break
				}
				t.Logf("%s: is found by history %d: %v", f.name, seed, w.broken[0])
				break
			}
		}
	}
}
