package claim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestMarkOfATaskIsReadStrictly(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"run.abcdefghijkl", "schedule.nightly-1.abcdefghijkl", "schedule.abcdefghijkl"} {
		if build, got, ok := taskOf("id", "id/one/"+id); build != "one" || got != id || !ok {
			t.Errorf("%s, %s, %v", build, got, ok)
		}
		if _, _, ok := generationOf("id", "id/one/"+id); ok {
			t.Errorf("%s is a generation", id)
		}
	}
	for _, mark := range []string{
		"", "id/one/7", "id/one/run.", "id/one/run.abc", "id/one/run.ABCDEFGHIJKL", "id/one/hook.abcdefghijkl", "id/one/run./../abcdefghijkl",
		"id/../run.abcdefghijkl", "id2/one/run.abcdefghijkl", "id/one/run.abcdefghijkl/x", "id/one/run.abcdefghijkl\n",
	} {
		if build, id, ok := taskOf("id", mark); ok {
			t.Errorf("%q is task %s of %s", mark, id, build)
		}
	}
}

func TestTaskIsConfirmedAsAGenerationIs(t *testing.T) {
	t.Parallel()
	const builds, another, id = 1001, 1002, "run.abcdefghijkl"
	recorded := state.Record{Tasks: []state.Task{{ID: id, Pid: 50, StartTime: 500, BootID: "boot", User: new(builds)}}}
	claimOf := func(pid int, start uint64, user int, leads bool, cgroup string) world.Marked {
		return world.Marked{Process: actor.Process{Pid: pid, StartTime: start}, Mark: "id/one/" + id, User: user, Leader: leads, Cgroup: cgroup}
	}
	for name, c := range map[string]struct {
		record  state.Record
		claims  []world.Marked
		cgroups []string
		want    string
	}{
		"the recorded main process":                 {recorded, []world.Marked{claimOf(50, 500, builds, true, ""), claimOf(49, 490, builds, true, "")}, nil, "[50 [50 49]]"},
		"which has changed its user":                {recorded, []world.Marked{claimOf(50, 500, another, true, "")}, nil, "[50 [50]]"},
		"another process with its pid":              {recorded, []world.Marked{claimOf(50, 501, another, true, "")}, nil, "[]"},
		"its rest":                                  {recorded, []world.Marked{claimOf(51, 501, builds, false, "")}, nil, "[0 [51]]"},
		"another user's":                            {recorded, []world.Marked{claimOf(51, 501, another, false, "")}, nil, "[]"},
		"another user's in its cgroup":              {recorded, []world.Marked{claimOf(51, 501, another, false, "id/one/"+id)}, []string{"id/one/" + id}, "[0 [51]]"},
		"one not written down":                      {state.Record{}, []world.Marked{claimOf(61, 610, builds, true, ""), claimOf(60, 600, builds, true, "")}, nil, "[60 [61 60]]"},
		"one not written down, of another user":     {state.Record{}, []world.Marked{claimOf(60, 600, another, true, "")}, nil, "[]"},
		"a cgroup without a process":                {recorded, nil, []string{"id/one/" + id}, "[0 []]"},
		"a generation's cgroup, whatever it claims": {recorded, []world.Marked{claimOf(51, 501, builds, false, "id/one/7")}, []string{"id/one/7"}, "[]"},
	} {
		c0 := Sort("id", c.claims, c.cgroups)["one"]
		e := Evidence{RootID: "id", BootID: "boot", Record: c.record, User: builds}
		left, refused := e.confirmTasks(c0.tasks)
		var got []any
		n := 0
		for _, l := range left {
			pids := []int{}
			for _, p := range l.Members {
				pids = append(pids, p.Pid)
			}
			n += len(pids)
			got = append(got, l.Leader.Pid, pids)
			if l.Task != id || l.Mark != "id/one/"+id || l.User != builds {
				t.Errorf("%s: %+v", name, l)
			}
		}
		if got == nil {
			got = []any{}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
		if other := slices.ContainsFunc(c.claims, func(m world.Marked) bool { return m.Cgroup == "id/one/7" }); !other && n+len(refused) != len(c.claims) {
			t.Errorf("%s: %v are refused", name, refused)
		}
	}
}
