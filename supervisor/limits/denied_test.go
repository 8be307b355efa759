package limits

import (
	"os"
	"strings"
	"testing"
)

func TestLimitIsDeniedWhereItsControllerIsNotDelegated(t *testing.T) {
	t.Parallel()
	_, m := v2(t, "/own", "cpu pids")
	if err := m.Denied(Limits{CPU: 1, Tasks: 1}); err != nil {
		t.Error(err)
	}
	if err := m.Denied(Limits{Memory: 1}); err == nil || !strings.Contains(err.Error(), "the cgroup controller memory is not delegated to ") {
		t.Error(err)
	}
	_, m = v1(t, "/own")
	if err := m.Denied(all); err != nil {
		t.Error(err)
	}
	f, _ := v2(t, "/own", "")
	f.file("cgroup/cgroup.controllers", "cpu\n")
	if err := f.machine().Denied(Limits{Memory: 1}); err == nil || !strings.Contains(err.Error(), "memory") || strings.Contains(err.Error(), "delegated") {
		t.Error(err)
	}
	if err := m.Denied(Limits{}); err != nil {
		t.Error("no limit is denied:", err)
	}
}

func TestLimitThatTheKernelDoesNotTakeIsNamedAndNotNoted(t *testing.T) {
	t.Parallel()
	f, r := fakeRoom(t)
	tree := trees + "/x:one:1"
	f.cgroup(tree, "cpu memory pids")
	g, _, err := r.Make(all, "x/one/1", f.path(tree), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"memory.max", "cpu.max", "pids.max"} { // which nobody can write into now
		if err := os.Remove(f.path(tree + "/" + name)); err != nil {
			t.Fatal(err)
		}
		f.mkdir(tree + "/" + name)
	}
	said := func(l Limits, want ...string) {
		t.Helper()
		err := g.Set(l)
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text+" cannot be applied") {
				t.Errorf("%v does not say %q", err, text)
			}
		}
	}
	said(Limits{Memory: 256 << 20, CPU: 0.5, Tasks: 20}, "limits.memory = "+Size(256<<20), "limits.cpu = 0.5", "limits.tasks = 20")
	said(Limits{}, "limits.memory = none", "limits.cpu = none", "limits.tasks = none")
	if got := g.Memory(); got != all.Memory {
		t.Errorf("the limit of memory is said to be %d, it is %d", got, all.Memory)
	}
	if n := all.Count(); n != 3 {
		t.Errorf("%d limits", n)
	}
}
