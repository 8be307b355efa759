package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const trees = "cgroup/system.slice/s.service/medctrl-x"

var all = Limits{Memory: 512 << 20, CPU: 1.5, Tasks: 100}

// fakeRoom is the room of a service with cgroup v2 whose controllers are enabled.
func fakeRoom(t *testing.T) (fake, *Room) {
	f, m := v2(t, "/system.slice/s.service", "cpu memory pids")
	f.cgroup(trees, "cpu memory pids")
	for _, dir := range []string{"cgroup/system.slice/s.service", trees} {
		f.file(dir+"/cgroup.subtree_control", "cpu memory pids\n")
	}
	return f, NewRoom(m, f.path(trees), "medctrl-x")
}

func TestTreeOfV2HasItsLimitsInItsOwnCgroup(t *testing.T) {
	t.Parallel()
	f, r := fakeRoom(t)
	f.cgroup(trees+"/x:one:1", "cpu memory pids")
	g, enter, err := r.Make(all, "x/one/1", f.path(trees+"/x:one:1"), "")
	if err != nil || len(enter) > 0 {
		t.Fatal(enter, err)
	}
	f.has(map[string]string{
		trees + "/x:one:1/memory.max": "536870912", trees + "/x:one:1/memory.swap.max": "0", trees + "/x:one:1/memory.oom.group": "1",
		trees + "/x:one:1/cpu.max": "150000 100000", trees + "/x:one:1/pids.max": "100",
	})
	// Of what an earlier supervisor has started they are changed and taken back as well.
	if err := r.Of("x/one/1", f.path(trees+"/x:one:1"), 0).Set(Limits{CPU: 0.001}); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{
		trees + "/x:one:1/memory.max": "max", trees + "/x:one:1/memory.swap.max": "max",
		trees + "/x:one:1/cpu.max": "1000 100000", trees + "/x:one:1/pids.max": "max",
	})
	f.file(trees+"/x:one:1/memory.events", "low 0\nhigh 7\nmax 3\noom 2\noom_kill 4\noom_group_kill 1\n")
	if n := g.OOMKills(); n != 3 {
		t.Errorf("%d kills", n)
	}
	if err := os.RemoveAll(f.path(trees + "/x:one:1")); err != nil {
		t.Fatal(err)
	}
	if n := g.OOMKills(); n != 3 {
		t.Errorf("%d kills, once it has been removed", n)
	}
}

func TestProcessThatTheKernelCountsTwiceIsOneKill(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"oom 1\noom_kill 2\noom_group_kill 1\n": 1, // a tree of one process
		"oom 1\noom_kill 1\noom_group_kill 1\n": 1, // it had ended before the rest of its tree was counted
		"oom 2\noom_kill 7\noom_group_kill 2\n": 5,
		"oom 1\noom_kill 2\n":                   2, // before Linux 5.17
		"oom_kill_disable 0\noom_kill 3\n":      3, // v1
		"oom_kill 0\noom_group_kill 0\n":        0,
	} {
		if got, ok := killsIn(text); got != want || !ok {
			t.Errorf("of %q: %d (%v), want %d", text, got, ok, want)
		}
	}
	if _, ok := killsIn("oom_kill many\n"); ok {
		t.Error("what is no number is taken for one")
	}
}

func TestControllersAreEnabledWhenTheFirstLimitNeedsThem(t *testing.T) {
	t.Parallel()
	f, m := v2(t, "/machine", "cpu memory pids")
	f.cgroup("cgroup/machine/medctrl-x", "")
	r := NewRoom(m, f.path("cgroup/machine/medctrl-x"), "medctrl-x")
	if _, _, err := r.Make(Limits{}, "x/one/1", f.path("cgroup/machine/medctrl-x/x:one:1"), ""); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{"cgroup/machine/cgroup.subtree_control": ""})
	f.cgroup("cgroup/machine/medctrl-x/x:one:1", "")
	if _, _, err := r.Make(Limits{Tasks: 3}, "x/one/1", f.path("cgroup/machine/medctrl-x/x:one:1"), ""); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{
		"cgroup/machine/cgroup.subtree_control": "+pids", "cgroup/machine/medctrl-x/cgroup.subtree_control": "+pids",
		"cgroup/machine/medctrl-x/x:one:1/pids.max": "3",
	})
}

func TestSupervisorThatMovedIntoItsLeafKeepsItsPlace(t *testing.T) {
	t.Parallel()
	for own, want := range map[string]string{
		"/system.slice/s.service/" + LeafName: "cgroup/system.slice/s.service", "/system.slice/s.service": "cgroup/system.slice/s.service", "/": "cgroup",
	} {
		f, m := v2(t, own, "memory")
		if got := m.Base(); got != f.path(want) {
			t.Errorf("in %s: %s, want %s", own, got, want)
		}
	}
}

// A service that could not be started again would be worse than one without limits.
func TestSupervisorStaysInTheCgroupOfAServiceThatIsNotPreparedForItsMove(t *testing.T) {
	t.Parallel()
	f, m := v2(t, "/system.slice/s.service", "memory")
	r := NewRoom(m, f.path(trees), "medctrl-x")
	base := f.path("cgroup/system.slice/s.service")
	if err := r.move(base); err == nil || !strings.Contains(err.Error(), "DelegateSubgroup=") {
		t.Errorf("moved: %v", err)
	}
	f.cgroup("cgroup/system.slice/s.service/"+LeafName, "")
	if err := r.move(base); err != nil {
		t.Error(err)
	}
	f.has(map[string]string{"cgroup/system.slice/s.service/" + LeafName + "/cgroup.procs": "0"})
}

func TestTreeOfV1HasACgroupForEachOfItsLimits(t *testing.T) {
	t.Parallel()
	f, m := v1(t, "/ours")
	r := NewRoom(m, "", "medctrl-x")
	dirs := []string{"cgroup/memory/ours/medctrl-x/x:one:1", "cgroup/cpu,cpuacct/ours/medctrl-x/x:one:1", "cgroup/pids/ours/medctrl-x/x:one:1"}
	for _, dir := range dirs {
		f.cgroupV1(dir)
	}
	g, enter, err := r.Make(all, "x/one/1", "", "")
	if err != nil || !slices.Equal(enter, []string{f.path(dirs[0]), f.path(dirs[1]), f.path(dirs[2])}) {
		t.Fatal(enter, err)
	}
	f.has(map[string]string{
		dirs[0] + "/memory.limit_in_bytes": "536870912", dirs[0] + "/memory.memsw.limit_in_bytes": "536870912",
		dirs[1] + "/cpu.cfs_quota_us": "150000", dirs[1] + "/cpu.cfs_period_us": "100000", dirs[2] + "/pids.max": "100",
	})
	f.file(dirs[0]+"/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
	f.file(dirs[2]+"/cgroup.procs", "12\n34\n")
	if n, pids := g.OOMKills(), g.Pids(); n != 2 || !slices.Equal(pids, []int{12, 34}) {
		t.Errorf("%d kills, pids %v", n, pids)
	}
	if err := g.Set(Limits{}); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{dirs[0] + "/memory.limit_in_bytes": "-1", dirs[1] + "/cpu.cfs_quota_us": "-1", dirs[2] + "/pids.max": "max"})
	// It is found from another cgroup too, by where its processes are.
	f.file("proc/self/cgroup", "3:memory:/another\n2:cpu,cpuacct:/another\n1:pids:/another\n")
	f.file("proc/77/cgroup", "3:memory:/ours/medctrl-x/x:one:1\n2:cpu,cpuacct:/\n1:pids:/ours/medctrl-y/x:one:1\n")
	later := NewRoom(f.machine(), "", "medctrl-x").Of("x/one/1", "", 77)
	if err := later.Set(all); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{dirs[0] + "/memory.limit_in_bytes": "536870912", dirs[1] + "/cpu.cfs_quota_us": "-1", dirs[2] + "/pids.max": "max"})
}

func TestCgroupsOfV1ThatNobodyUsesAreRemoved(t *testing.T) {
	t.Parallel()
	f, m := v1(t, "/ours")
	f.mkdir("cgroup/memory/ours/medctrl-x/x:one:1/below")
	f.mkdir("cgroup/memory/ours/medctrl-other/x:one:1")
	f.cgroupV1("cgroup/pids/ours/medctrl-x/x:one:2") // a plain folder with files is like a cgroup in use
	NewRoom(m, "", "medctrl-x").Tidy()
	for name, want := range map[string]bool{
		"cgroup/memory/ours/medctrl-x": false, "cgroup/memory/ours/medctrl-other/x:one:1": true, "cgroup/pids/ours/medctrl-x/x:one:2": true,
	} {
		if got := isThere(f.dir, name); got != want {
			t.Errorf("%s is there: %v", name, got)
		}
	}
}

func TestLimitThatCannotBeHadNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	plain := func(f fake, m *Machine) error {
		_, _, err := NewRoom(m, f.path("cgroup/a/medctrl-x"), "medctrl-x").Make(all, "x/one/1", f.path("cgroup/a/medctrl-x/x:one:1"), "")
		return err
	}
	for name, c := range map[string]struct {
		err  func() error
		want []string
	}{
		"no cgroups": {func() error {
			f := fake{t, t.TempDir()}
			f.file("proc/self/mountinfo", "20 1 0:1 / / rw - ext4 /dev/vda rw\n")
			f.file("proc/self/cgroup", "")
			return plain(f, f.machine())
		}, []string{"no cgroup controller memory", "cgroup_enable=memory"}},
		"not delegated": {func() error {
			f, m := v2(t, "/a", "pids")
			f.cgroup("cgroup/a/medctrl-x", "")
			return plain(f, m)
		}, []string{"limits.memory cannot be applied", "controller memory is not delegated to", "Delegate=yes"}},
		"no cgroups for trees": {func() error {
			_, m := v2(t, "/a", "cpu memory pids")
			_, _, err := NewRoom(m, "", "medctrl-x").Make(Limits{CPU: 1}, "x/one/1", "", "")
			return err
		}, []string{"limits.cpu cannot be applied", "may not make cgroups", "Delegate=yes"}},
		"v1 elsewhere": {func() error {
			f, _ := v1(t, "/a")
			f.file("proc/self/mountinfo", "31 20 0:29 /docker/1 /cgroup/memory rw - cgroup cgroup rw,memory\n")
			_, _, err := NewRoom(f.machine(), "", "medctrl-x").Make(Limits{Memory: 1 << 30}, "x/one/1", "", "")
			return err
		}, []string{"limits.memory cannot be applied", "is not in"}},
		"a limit that is refused": {func() error {
			f, r := fakeRoom(t)
			f.cgroup(trees+"/x:one:1", "")
			if err := os.Remove(f.path(trees + "/x:one:1/memory.max")); err != nil {
				t.Fatal(err)
			}
			f.mkdir(trees + "/x:one:1/memory.max")
			_, _, err := r.Make(all, "x/one/1", f.path(trees+"/x:one:1"), "")
			return err
		}, []string{"limits.memory = 512M cannot be applied"}},
		"a tree without a mark": {func() error {
			_, r := fakeRoom(t)
			_, _, err := r.Make(all, "", "/x", "")
			return err
		}, []string{"cannot have limits"}},
	} {
		err := c.err()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want that it says %q", name, err, want)
			}
		}
	}
}

func TestMachineWithoutAControllerIsTold(t *testing.T) {
	t.Parallel()
	f, m := v2(t, "/a", "")
	if err := m.Lacks(all); err != nil {
		t.Errorf("what is not delegated to us may be to the supervisor: %v", err)
	}
	f.file("cgroup/cgroup.controllers", "cpu pids\n")
	if err := m.Lacks(Limits{CPU: 1, Tasks: 1}); err != nil {
		t.Error(err)
	}
	if err := m.Lacks(all); err == nil || !strings.Contains(err.Error(), "controller memory") {
		t.Errorf("%v", err)
	}
	if _, m := v1(t, "/a"); m.Lacks(all) != nil {
		t.Error(m.Lacks(all))
	}
}

func TestBrakeIsOnWhileItHelps(t *testing.T) {
	t.Parallel()
	f, _ := v2(t, "/a", "memory")
	const limit, high = 1000 << 20, "943718400"
	var b brake
	at := time.Now()
	for i, step := range []struct {
		used string
		then time.Duration
		high string
	}{
		{"524288000", 0, high},                // put on
		{"943718400", time.Second, high},      // at the brake
		{"943718400", 3 * time.Second, high},  // still
		{"734003200", time.Second, high},      // it has helped
		{"943700000", time.Second, high},      // again
		{"943700000", 5 * time.Second, "max"}, // it does not help
		{"1048576000", time.Second, "max"},    // the limit decides
		{"524288000", time.Second, high},      // what is left has room again
		{"no number", time.Second, high},
	} {
		at = at.Add(step.then)
		f.file("cgroup/a/memory.current", step.used+"\n")
		b.look(f.path("cgroup/a"), limit, at)
		if got, err := os.ReadFile(filepath.Join(f.dir, "cgroup/a/memory.high")); err != nil || strings.TrimSpace(string(got)) != step.high {
			t.Errorf("step %d: memory.high is %q (%v), want %s", i, got, err, step.high)
		}
	}
}

func FuzzWhatTheKernelSaysOfCgroups(f *testing.F) {
	f.Add("30 20 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a\n")
	f.Add("31 20 0:29 /x /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n", "3:memory:/x/y\n")
	f.Fuzz(func(t *testing.T, mounts, ours string) {
		dir := t.TempDir()
		for name, text := range map[string]string{"mountinfo": mounts, "cgroup": ours} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		m, err := at("/nowhere", dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, own := range []string{m.V2.Own, m.Base()} {
			if own != "" && !strings.HasPrefix(own+"/", m.V2.Mount+"/") && !strings.HasPrefix(m.V2.Mount, own) {
				t.Errorf("we are in %q, which is not below %q", own, m.V2.Mount)
			}
		}
		_ = m.Lacks(all)
	})
}

func TestServiceWhoseSupervisorWasKilledCanBeStartedAgain(t *testing.T) {
	t.Parallel()
	const service = "cgroup/system.slice/s.service"
	f, m := v2(t, "/system.slice/s.service/.control", "memory")
	if err := f.machine().free(); err == nil || !strings.Contains(err.Error(), "cgroup.subtree_control") {
		t.Errorf("in what is no cgroup: %v", err)
	}
	f.cgroup(service, "memory")
	for _, dir := range []string{"", "/medctrl-x", "/" + LeafName} {
		f.cgroup(service+dir, "memory")
	}
	f.file(service+"/medctrl-x/cgroup.subtree_control", "memory\n")
	f.file(service+"/cgroup.subtree_control", "pids\n")
	f.file(service+"/others/cgroup.subtree_control", "pids\n")
	if err := m.free(); err != nil {
		t.Fatal(err)
	}
	f.has(map[string]string{
		service + "/medctrl-x/cgroup.subtree_control": "-memory", service + "/cgroup.subtree_control": "-pids", service + "/others/cgroup.subtree_control": "pids\n",
	})
	if _, m := v2(t, "/user.slice", "memory"); m.free() == nil {
		t.Error("it does not say that it was not called by systemd")
	}
}

func TestServiceOfAnotherUserMayEnterItsLeaf(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	const service, user = "cgroup/system.slice/s.service", 65_001
	f, m := v2(t, "/system.slice/s.service", "memory")
	for _, dir := range []string{service, service + "/" + LeafName} {
		f.cgroup(dir, "")
	}
	if err := os.Chown(f.path(service), user, user); err != nil {
		t.Fatal(err)
	}
	if err := m.free(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "/cgroup.procs"} {
		var st unix.Stat_t
		if err := unix.Stat(f.path(service+"/"+LeafName+name), &st); err != nil || st.Uid != user || st.Gid != user {
			t.Errorf("%s%s belongs to %d:%d (%v), want %d", LeafName, name, st.Uid, st.Gid, err, user)
		}
	}
}

// What limits need must never hurt whoever has none.
func TestSupervisorWithoutLimitsChangesNoCgroup(t *testing.T) {
	t.Parallel()
	const service = "cgroup/system.slice/s.service"
	f, m := v2(t, "/system.slice/s.service", "cpu memory pids")
	f.file(service+"/cgroup.type", "domain\n")
	f.file(service+"/cgroup.procs", "12\n")
	for _, dir := range []string{"/" + LeafName, "/medctrl-x", "/medctrl-x/x:one:1"} {
		for _, file := range []string{"cgroup.controllers", "cgroup.subtree_control", "cgroup.procs"} {
			f.file(service+dir+"/"+file, "") // the kernel makes no others where no controller is enabled
		}
	}
	all := func() string {
		var text strings.Builder
		err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				var content []byte
				content, err = os.ReadFile(path)
				fmt.Fprintf(&text, "%s: %s\n", path, content)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	before := all()
	r, own := NewRoom(m, f.path(trees), "medctrl-x"), f.path(trees+"/x:one:1")
	g, enter, err := r.Make(Limits{}, "x/one/1", own, "")
	if err != nil || len(enter) > 0 {
		t.Fatal(enter, err)
	}
	adopted := r.Of("x/one/1", own, 12)
	err = errors.Join(g.Set(Limits{}), adopted.Set(Limits{}))
	g.OOMKills()
	adopted.OOMKills()
	r.Tidy()
	if err := errors.Join(err, g.Remove(), adopted.Remove()); err != nil {
		t.Error(err)
	}
	r.Close()
	if after := all(); after != before {
		t.Errorf("cgroups were changed: %s\nbefore: %s", after, before)
	}
}

func TestProcessesOfOthersInOurCgroupAreSaid(t *testing.T) {
	t.Parallel()
	f, m := v2(t, "/a", "cpu memory pids")
	f.file("cgroup/a/cgroup.type", "domain\n")
	f.file("cgroup/a/cgroup.procs", "12\n") // it stays there: the folder is no cgroup
	f.cgroup("cgroup/a/"+LeafName, "")
	f.cgroup("cgroup/a/medctrl-x", "")
	_, _, err := NewRoom(m, f.path("cgroup/a/medctrl-x"), "medctrl-x").Make(Limits{Tasks: 3}, "x/one/1", f.path("cgroup/a/medctrl-x/x:one:1"), "")
	if err == nil || !strings.Contains(err.Error(), "has processes other than the supervisor") {
		t.Errorf("%v", err)
	}
	f.has(map[string]string{"cgroup/a/" + LeafName + "/cgroup.procs": "0", "cgroup/a/cgroup.subtree_control": ""})
}
