package limits

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

const pool = trees + "/pool:one"

// pooled makes the cgroups of v2 of a tree in the pool "one".
func pooled(f fake, name string) string {
	f.Helper()
	f.cgroup(pool, "cpu memory pids")
	f.cgroup(pool+"/"+name, "cpu memory pids")
	return f.path(pool + "/" + name)
}

func TestTreesOfAPoolHaveItsLimitsTogether(t *testing.T) {
	t.Parallel()
	f, r := fakeRoom(t)
	if err := r.Bound("one", all.Twice()); err != nil { // before there is any
		t.Fatal(err)
	}
	f.has(map[string]string{pool + "/memory.max": ""})
	own := pooled(f, "x:one:1")
	g, enter, err := r.Make(all, "x/one/1", own, "one")
	if err != nil || len(enter) > 0 {
		t.Fatal(enter, err)
	}
	f.has(map[string]string{
		pool + "/memory.max": "1073741824", pool + "/memory.swap.max": "0", pool + "/cpu.max": "300000 100000", pool + "/pids.max": "200",
		// Where memory runs out in the pool, one of its trees is killed and not all of them.
		pool + "/memory.oom.group": "0", pool + "/x:one:1/memory.oom.group": "1",
		pool + "/x:one:1/memory.max": "536870912", pool + "/x:one:1/cpu.max": "150000 100000", pool + "/x:one:1/pids.max": "100",
	})
	f.file(pool+"/cgroup.subtree_control", "cpu memory pids\n")
	if err := r.Bound("one", all); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{pool + "/memory.max": "536870912", pool + "/cpu.max": "150000 100000", pool + "/pids.max": "100"})
	// Both have a brake.
	g.OOMKills()
	f.has(map[string]string{pool + "/memory.high": "483183820", pool + "/x:one:1/memory.high": "483183820"})
	// A second tree changes nothing of that, also of its brake.
	if _, _, err := r.Make(all, "x/one/2", pooledBeside(f, "x:one:2"), "one"); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{pool + "/memory.max": "536870912", pool + "/memory.high": "483183820"})
}

func TestPoolThatNobodyIsInIsForgotten(t *testing.T) {
	t.Parallel()
	f, r := fakeRoom(t)
	own := pooled(f, "x:one:1")
	g, _, err := r.Make(all, "x/one/1", own, "one")
	if err != nil || g.pool.want != (Limits{}) {
		t.Fatal(g, err)
	}
	if err := r.Bound("one", Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(f.path(pool)); err != nil {
		t.Fatal(err)
	}
	if err := r.Bound("one", Limits{}); err != nil || len(r.pools) != 0 {
		t.Errorf("%d pools are remembered that nobody is in (%v)", len(r.pools), err)
	}
}

func pooledBeside(f fake, name string) string {
	f.cgroup(pool+"/"+name, "cpu memory pids")
	return f.path(pool + "/" + name)
}

func TestControllersAreEnabledForTheTreesOfAPool(t *testing.T) {
	t.Parallel()
	f, m := v2(t, "/machine", "cpu memory pids")
	const trees = "cgroup/machine/medctrl-x"
	f.cgroup(trees, "cpu memory pids")
	f.cgroup(trees+"/pool:one", "cpu memory pids")
	f.cgroup(trees+"/pool:one/x:one:1", "")
	r := NewRoom(m, f.path(trees), "medctrl-x")
	if _, _, err := r.Make(Limits{Memory: 64 << 20}, "x/one/1", f.path(trees+"/pool:one/x:one:1"), "one"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"cgroup/machine", trees, trees + "/pool:one"} {
		f.has(map[string]string{dir + "/cgroup.subtree_control": "+memory"})
	}
}

// What an earlier supervisor has started is bound as before, wherever its cgroups are.
func TestPoolOfAnEarlierSupervisorIsFound(t *testing.T) {
	t.Parallel()
	f, r := fakeRoom(t)
	own := pooled(f, "x:one:1")
	alone := trees + "/x:one:2" // of a version that knew no pools
	f.cgroup(alone, "cpu memory pids")
	r.Of("x/one/1", own, 0)
	before := r.Of("x/one/2", f.path(alone), 0)
	if err := errors.Join(r.Bound("one", all), before.Set(all)); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{pool + "/pids.max": "100", alone + "/pids.max": "100"})

	f, m := v1(t, "/elsewhere")
	dirs := []string{"cgroup/memory/ours/medctrl-x/pool:one", "cgroup/pids/ours/medctrl-x/pool:one", "cgroup/pids/elsewhere/medctrl-x/pool:one"}
	for _, dir := range dirs {
		f.cgroupV1(dir)
		f.cgroupV1(dir + "/x:one:1")
	}
	f.file("proc/77/cgroup", "3:memory:/ours/medctrl-x/pool:one/x:one:1\n1:pids:/ours/medctrl-x/pool:one/x:one:1\n")
	r = NewRoom(m, "", "medctrl-x")
	found := r.Of("x/one/1", "", 77)
	if err := errors.Join(r.Bound("one", all), found.Set(all)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		want := map[string]string{dir + "/pids.max": "100"}
		if dir == dirs[0] {
			want = map[string]string{dir + "/memory.limit_in_bytes": "536870912", dir + "/x:one:1/memory.limit_in_bytes": "536870912"}
		}
		f.has(want)
	}
}

func TestTreeOfAPoolOfV1IsBelowItInEachHierarchy(t *testing.T) {
	t.Parallel()
	f, m := v1(t, "/ours")
	var want []string
	for _, h := range []string{"memory", "cpu,cpuacct", "pids"} {
		dir := "cgroup/" + h + "/ours/medctrl-x/pool:one"
		f.cgroupV1(dir)
		f.file(dir+"/memory.use_hierarchy", "0\n")
		f.cgroupV1(dir + "/x:one:1")
		want = append(want, f.path(dir+"/x:one:1"))
	}
	r := NewRoom(m, "", "medctrl-x")
	if err := r.Bound("one", all); err != nil {
		t.Fatal(err)
	}
	_, enter, err := r.Make(all, "x/one/1", "", "one")
	if err != nil || !slices.Equal(enter, want) {
		t.Fatal(enter, err)
	}
	f.has(map[string]string{
		"cgroup/memory/ours/medctrl-x/pool:one/memory.use_hierarchy":  "1",
		"cgroup/memory/ours/medctrl-x/pool:one/memory.limit_in_bytes": "536870912",
		"cgroup/pids/ours/medctrl-x/pool:one/pids.max":                "100",
		"cgroup/cpu,cpuacct/ours/medctrl-x/pool:one/cpu.cfs_quota_us": "150000",
	})
}

func TestPoolGoesWithItsLastTreeAndComesWithTheNext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var all sync.WaitGroup
	for _, name := range []string{"x:one:1", "x:one:2"} {
		all.Go(func() {
			for range 300 {
				made, err := MakeFolder(dir, "one", name)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.Remove(made); err != nil {
					t.Error(err)
					return
				}
				DropPool(made)
			}
		})
	}
	all.Wait()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left are %q (%v)", left, err)
	}
}

func TestOnlyThePoolThatAMarkNamesIsLookedInto(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"x:one:1", "pool:two/x:two:1", "pool:two/x:one:2"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for mark, want := range map[string]string{"x/one/1": "x:one:1", "x/two/1": "pool:two/x:two:1", "x/one/2": "", "x/two/2": ""} {
		name, err := nameOf(mark)
		if err != nil {
			t.Fatal(err)
		}
		if want != "" {
			want = filepath.Join(dir, want)
		}
		if got := FindFolder(dir, mark, name); got != want {
			t.Errorf("%s is in %q, want %q", mark, got, want)
		}
	}
	if MayBeWithin("x/one/1", "two") || MayBeWithin("x/one/1", "one/1") || !MayBeWithin("x/one/1", "one") {
		t.Error("a tree may be in the pool that its mark names, and in no other")
	}
}

func TestServiceIsFreedOfThePoolsBelow(t *testing.T) {
	t.Parallel()
	f, _ := v2(t, "/system.slice/s.service/.control", "memory")
	for _, dir := range []string{"cgroup/system.slice/s.service", "cgroup/system.slice/s.service/" + LeafName, trees, pool} {
		f.cgroup(dir, "memory")
		f.file(dir+"/cgroup.subtree_control", "memory\n")
	}
	if err := f.machine().free(); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{pool + "/cgroup.subtree_control": "-memory", trees + "/cgroup.subtree_control": "-memory"})
}
