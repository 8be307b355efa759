package claim

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestMarkThatNoneOfOursCanHaveIsNobodys(t *testing.T) {
	t.Parallel()
	if build, n, ok := generationOf("id", "id/one/7"); build != "one" || n != 7 || !ok {
		t.Errorf("%s, %d, %v", build, n, ok)
	}
	for _, mark := range []string{
		"", "id", "id/", "id/one", "id/one/", "id/one/x", "id/one/0", "id/one/-1", "id/one/+7", "id/one/07", "id/one/7/8",
		"id/one/9223372036854775807", "id/one/99999999999999999999", "id/one/1073741825",
		"id/../5", "id/./5", "id//5", "id/One/5", "id/.supervisor/5", "id/a\nb/5", "id/" + strings.Repeat("a", 33) + "/5",
		"other/one/7", "id2/one/7", "MEDCTRL_STEP=id/one/7",
	} {
		if build, n, ok := generationOf("id", mark); ok {
			t.Errorf("%q is generation %d of %s", mark, n, build)
		}
	}
}

func TestClaimIsConfirmedByRecordUserOrCgroupAlone(t *testing.T) {
	t.Parallel()
	const builds, another = 1001, 1002
	recordedAs := func(user *int) state.Record {
		return state.Record{NextGeneration: 6, Generations: []state.Generation{{N: 5, Pid: 50, StartTime: 500, BootID: "boot", User: user}}}
	}
	was, own := 1003, -1
	claimOf := func(n, pid int, start uint64, user int, leads bool) world.Marked {
		return world.Marked{Process: actor.Process{Pid: pid, StartTime: start}, Mark: "id/one/" + strconv.Itoa(n), User: user, Leader: leads}
	}
	inside := func(m world.Marked, n int) world.Marked {
		m.Cgroup = "id/one/" + strconv.Itoa(n)
		return m
	}
	main := claimOf(5, 50, 500, builds, true)
	for name, c := range map[string]struct {
		record  state.Record
		claims  []world.Marked
		cgroups []string
		want    map[int][]int // by generation: its main process, or 0, then the others
	}{
		"the recorded main process": {recordedAs(nil), []world.Marked{main, claimOf(5, 51, 510, builds, false)}, nil, map[int][]int{5: {50, 51}}},
		"one of another user beside it, which leads a group too": {
			recordedAs(nil), []world.Marked{main, claimOf(5, 60, 600, another, true)}, nil, map[int][]int{5: {50}}},
		"one of the build's own user beside it, which leads a group too": {
			recordedAs(nil), []world.Marked{claimOf(5, 49, 400, builds, true), main}, nil, map[int][]int{5: {50, 49}}},
		"another user's with a number that is given next": {recordedAs(nil), []world.Marked{claimOf(6, 60, 600, another, true)}, nil, nil},
		"the build's own, not written down any more": {
			recordedAs(nil), []world.Marked{claimOf(6, 60, 600, builds, true), claimOf(6, 61, 600, builds, true)}, nil, map[int][]int{6: {60, 61}}},
		"the build's own with a number far beyond":   {recordedAs(nil), []world.Marked{claimOf(6+unrecorded, 60, 600, builds, true)}, nil, nil},
		"the build's own without a record":           {state.Record{}, []world.Marked{claimOf(70, 60, 600, builds, true)}, nil, map[int][]int{70: {60}}},
		"another user's without a record":            {state.Record{}, []world.Marked{claimOf(70, 60, 600, another, true)}, nil, nil},
		"a set-user-ID program":                      {state.Record{}, []world.Marked{claimOf(70, 60, 600, -1, true)}, nil, nil},
		"root's, where the build has another user":   {state.Record{}, []world.Marked{claimOf(70, 60, 600, 0, true)}, nil, nil},
		"the pid of the record at another time":      {recordedAs(nil), []world.Marked{claimOf(5, 50, 501, another, true)}, nil, nil},
		"the recorded user, whom the entry has not":  {recordedAs(&was), []world.Marked{claimOf(5, 51, 510, was, false)}, nil, map[int][]int{5: {0, 51}}},
		"the entry's user, whom the record has not":  {recordedAs(&was), []world.Marked{claimOf(5, 51, 510, builds, false)}, nil, nil},
		"the supervisor's own user":                  {recordedAs(&own), []world.Marked{claimOf(5, 51, 510, os.Geteuid(), false)}, nil, map[int][]int{5: {0, 51}}},
		"the user of the main process":               {recordedAs(nil), []world.Marked{claimOf(5, 50, 500, was, true), claimOf(5, 51, 510, was, false)}, nil, map[int][]int{5: {50, 51}}},
		"a process in the cgroup, whoever it is now": {recordedAs(nil), []world.Marked{inside(claimOf(5, 51, 510, another, false), 5)}, []string{"id/one/5"}, map[int][]int{5: {0, 51}}},
		"a process in a cgroup that names another generation": {
			recordedAs(nil), []world.Marked{main, inside(claimOf(900, 60, 600, builds, true), 5)}, []string{"id/one/5"}, map[int][]int{5: {50, 60}}},
		"a process in another build's cgroup": {
			recordedAs(nil), []world.Marked{{Process: actor.Process{Pid: 60}, Mark: "id/one/5", Cgroup: "id/two/5", User: builds, Leader: true}}, nil, nil},
		"who is in the cgroup rather than who is not": {
			state.Record{}, []world.Marked{claimOf(7, 60, 600, builds, true), inside(claimOf(7, 61, 610, builds, true), 7)}, []string{"id/one/7"}, map[int][]int{7: {61, 60}}},
		"a cgroup alone": {state.Record{}, nil, []string{"id/one/8", "id/../8"}, map[int][]int{8: {0}}},
		"of another boot": {
			state.Record{NextGeneration: 6, Generations: []state.Generation{{N: 5, Pid: 50, StartTime: 500, BootID: "earlier"}}},
			[]world.Marked{claimOf(5, 50, 500, another, true)}, nil, nil},
	} {
		e := Evidence{RootID: "id", BootID: "boot", Record: c.record, User: builds}
		left, _, refused := e.Confirm("one", Sort("id", c.claims, c.cgroups)["one"])
		got, n := map[int][]int{}, len(refused)
		for _, l := range left {
			pids := []int{l.Leader.Pid}
			for _, m := range l.Members {
				if n++; m.Pid != l.Leader.Pid {
					pids = append(pids, m.Pid)
				}
			}
			got[l.N] = pids
			if want := "id/one/" + strconv.Itoa(l.N); l.Mark != want {
				t.Errorf("%s: mark %s, want %s", name, l.Mark, want)
			}
		}
		same := len(got) == len(c.want)
		for n, pids := range c.want {
			same = same && slices.Equal(got[n], pids)
		}
		if !same {
			t.Errorf("%s: confirmed are %v, want %v", name, got, c.want)
		}
		if name != "a process in another build's cgroup" && n != len(c.claims) {
			t.Errorf("%s: %d of %d processes are confirmed or refused", name, n, len(c.claims))
		}
	}
}
