package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hungry is the entry of build "one", whose server takes what it can get, within limits.
func hungry(limits string, lines ...string) string {
	return Entry("one", append(lines, `command = ["{python}", "-I", "-S", "hungry_server.py"]`, `stable_after = "100ms"`,
		`health.interval = "200ms"`, `health.timeout = "20s"`, "[build.limits]", limits)...)
}

// hungryWorld is a world of that build, beside "two", which serves little and needs little.
func hungryWorld(t *testing.T, limits string, lines ...string) *World {
	t.Helper()
	w := tinyWorld(t)
	text, err := os.ReadFile("testdata/hungry_server.py")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.Source, "API", "hungry_server.py"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	inCgroup(t, w)
	w.SetBuilds(hungry(limits, lines...), tinyEntry("two"))
	return w
}

// inCgroup has the supervisor of w run with cgroups that it may limit, or skips the test. With v1 root
// has them; with v2 nobody else may be in the supervisor's own.
func inCgroup(t *testing.T, w *World) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may make cgroups here")
	}
	if info, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil && info.Mode().IsRegular() {
		return
	}
	controllers := " " + strings.TrimSpace(readAll("/sys/fs/cgroup/cgroup.subtree_control")) + " "
	for _, needed := range []string{"memory", "cpu", "pids"} {
		if !strings.Contains(controllers, " "+needed+" ") {
			t.Skip("there is no cgroup controller ", needed, " in v1, nor in v2 below its root")
		}
	}
	dir, err := os.MkdirTemp("/sys/fs/cgroup", "medctrl-e2e-")
	if err != nil {
		t.Skip(err)
	}
	// Where limits are from a supervisor before, the kernel takes processes only into the one that it moved to.
	w.Wrap = []string{"sh", "-c", `own=$0/medctrl-supervisor; [ -d "$own" ] || own=$0; echo 0 >"$own/cgroup.procs" && exec "$@"`, dir}
	t.Cleanup(func() {
		w.end()
		syscall.Rmdir(filepath.Join(dir, "medctrl-supervisor")) // the supervisor's own
		if err := syscall.Rmdir(dir); err != nil {
			left, _ := filepath.Glob(filepath.Join(dir, "*"))
			t.Errorf("cgroups are left: %v: %v", left, err)
		}
	})
}

// rootID is how the supervisor's cgroups are called.
func (w *World) rootID() string {
	return strings.Fields(readAll(filepath.Join(w.Root, ".supervisor", "id")))[0]
}

// cgroups are the folders that the supervisor of w has made for cgroups.
func (w *World) cgroups() []string {
	var all []string
	for at := "/sys/fs/cgroup"; strings.Count(at, "/") < 12; at += "/*" {
		found, err := filepath.Glob(filepath.Join(at, "medctrl-"+w.rootID()))
		if err == nil {
			all = append(all, found...)
		}
	}
	return all
}

// limit is what the kernel says of a limit of a process: a file of v2, or of a controller of v1.
func limit(t *testing.T, pid int, controller, v1, v2 string) string {
	t.Helper()
	return limitAt(pid, ".", controller, v1, v2)
}

// limitAt is that of the cgroup which is called so from the one that the process is in.
func limitAt(pid int, from, controller, v1, v2 string) string {
	for line := range strings.Lines(readAll(fmt.Sprintf("/proc/%d/cgroup", pid))) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == controller:
			return strings.TrimSpace(readAll(filepath.Join("/sys/fs/cgroup", controller, parts[2], from, v1)))
		case parts[1] == "" && readAll(filepath.Join("/sys/fs/cgroup", parts[2], from, v2)) != "":
			return strings.TrimSpace(readAll(filepath.Join("/sys/fs/cgroup", parts[2], from, v2)))
		}
	}
	return ""
}

// ask sends a request to build "one" whose response nobody waits for.
func (w *World) ask(path string) {
	go Ask("unix", w.Socket("one"), path)
}

// kills is what the metrics say of a build.
func (w *World) kills(name string) int {
	w.t.Helper()
	text, err := w.get("/metrics")
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if number, ok := strings.CutPrefix(line, fmt.Sprintf("medctrl_oom_kills_total{build=%q} ", name)); ok {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				w.t.Fatal(err)
			}
			return n
		}
	}
	return 0
}

// besides compares how the neighbour serves while f is done with how it did before.
func besides(t *testing.T, w *World, f func()) {
	t.Helper()
	rate, room := 50, 100*time.Millisecond
	if os.Getenv("MEDCTRL_TEST_VM") != "" { // its processor is emulated, beside what else the machine does
		rate, room = 10, time.Second
	}
	tr := w.Load("two", float64(rate))
	tr.WaitMore(t, rate)
	before := tr.Since()
	f()
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	calmly, then := r.Within(span{0, before}), r.Within(span{before, time.Hour})
	t.Logf("the neighbour before: %v; beside it: %v", calmly, then)
	// Twenty requests have come within a second before: a machine that others use as well is left some room.
	if most := 10*calmly.P50 + room; then.P50 > most {
		t.Errorf("the neighbour takes %v, before it was %v", then.P50, calmly.P50)
	}
}

func TestServerThatEatsMemoryIsKilledAndSaid(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, `memory = "64M"`)
	first := w.Serve("one", "two")
	besides(t, w, func() {
		w.ask("/eat")
		after := w.WaitStatus("one", "running anew", func(s BuildStatus) bool { return s.State == "running" && s.Pid != first.Pid })
		if after.LastExit != "killed by the kernel: out of memory (limit 64M)" {
			t.Errorf("the last exit is %q", after.LastExit)
		}
	})
	if n := w.kills("one"); n < 1 || w.kills("two") != 0 {
		t.Errorf("%d kills of one and %d of two are counted", n, w.kills("two"))
	}
	if events := w.MustCLI("events"); !strings.Contains(events, "the kernel killed a process: out of memory (limit 64M)") {
		t.Errorf("the events do not say it: %s", events)
	}
	w.Stop()
	if left := w.cgroups(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

func TestWorkerThatEatsMemoryIsSaidWhileItsServerLives(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, `memory = "64M"`)
	first := w.Serve("one", "two")
	besides(t, w, func() {
		w.ask("/eat-in-worker")
		Eventually(t, patience, "the kill is counted", func() (bool, string) { return w.kills("one") > 0, w.MustCLI("events") })
		if now := w.WaitState("one", "running"); now.Pid == first.Pid { // with v2 the whole tree is replaced
			if status := strings.Join(strings.Fields(w.MustCLI("status", "one")), " "); !strings.Contains(status, "the kernel killed a process of what serves: out of memory (limit 64M)") {
				t.Errorf("status does not say it: %s", status)
			}
		}
	})
}

func TestServerThatForksWithoutEndStaysWithinItsTasks(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, "tasks = 20\nnofile = 100")
	first := w.Serve("one", "two")
	besides(t, w, func() {
		if a := MustAsk(t, "unix", w.Socket("one"), "/fork"); a.Body != "19" {
			t.Errorf("beside the server there may be %s processes, want 19", a.Body)
		}
		w.KillMaster("one", syscall.SIGKILL)
		w.WaitStatus("one", "running anew", func(s BuildStatus) bool { return s.State == "running" && s.Pid != first.Pid })
		if a := MustAsk(t, "unix", w.Socket("one"), "/fork"); a.Body != "19" {
			t.Errorf("after a crash there may be %s, want 19", a.Body)
		}
	})
	if a := MustAsk(t, "unix", w.Socket("one"), "/files"); a.Body >= "99" || len(a.Body) != 2 {
		t.Errorf("it may open %s files", a.Body)
	}
}

func TestServerThatBurnsTheProcessorGetsItsShareAlone(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, "cpu = 0.2")
	first := w.Serve("one", "two")
	besides(t, w, func() {
		MustAsk(t, "unix", w.Socket("one"), "/burn")
		began, spent := time.Now(), cpuOf(t, first.Pid)
		Eventually(t, patience, "half a second of work", func() (bool, string) {
			now := cpuOf(t, first.Pid) - spent
			return now >= 500*time.Millisecond, now.String()
		})
		if took := time.Since(began); took < 1500*time.Millisecond {
			t.Errorf("four processes have half a second of the processor after %v, want after 2.5 s", took)
		}
	})
}

// beside is an entry of a process beside the server.
func beside(script string) string {
	return fmt.Sprintf("\n[[build.process]]\nname = \"beside\"\ncommand = [\"{python}\", \"-I\", \"-S\", \"-c\", %q]", script)
}

const sleeps = "import time\nheld = bytearray(4 << 20)\ntime.sleep(3600)"

func TestReplicaThatEatsTheMemoryOfTheBuildLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, `memory = "96M"`+beside(sleeps), "replicas = 2")
	w.Serve("one", "two")
	first := w.WaitStatus("one", "all up", allUp)
	for _, pid := range append(first.Replicas.Pids, first.Processes[0].Pid) {
		if got := limitAt(pid, "..", "memory", "memory.limit_in_bytes", "memory.max"); got != "100663296" {
			t.Errorf("with the others %d may use %q", pid, got)
		}
	}
	tr := w.Load("one", 20)
	tr.WaitMore(t, 5)
	besides(t, w, func() {
		w.ask("/eat")
		Eventually(t, patience, "the kill is counted", func() (bool, string) { return w.kills("one") > 0, w.MustCLI("events") })
		w.WaitStatus("one", "both replicas", allUp)
	})
	tr.WaitMore(t, 5)
	tr.Stop().NoneLostBut(t, 1) // in its hands
	after := w.WaitStatus("one", "all up", allUp)
	if same := len(intersection(first.Replicas.Pids, after.Replicas.Pids)); same != 1 {
		t.Errorf("of %v, %d are left in %v, want one", first.Replicas.Pids, same, after.Replicas.Pids)
	}
	if first.Processes[0].Pid != after.Processes[0].Pid {
		t.Errorf("the process beside was %d, and is %d", first.Processes[0].Pid, after.Processes[0].Pid)
	}
}

func allUp(s BuildStatus) bool {
	return s.State == "running" && len(s.Processes) == 1 && s.Replicas.Ready == s.Replicas.Want && s.Processes[0].State == "running"
}

func intersection(a, b []int) (both []int) {
	for _, n := range a {
		if slices.Contains(b, n) {
			both = append(both, n)
		}
	}
	return both
}

func TestProcessThatForksWithoutEndLeavesTheServerWhatItHas(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, "tasks = 20"+beside("import os, time\nwhile True:\n    try:\n        if os.fork() == 0:\n            os.setsid()\n            time.sleep(3600)\n    except OSError:\n        time.sleep(0.1)"))
	first := w.Serve("one", "two")
	tr := w.Load("one", 20)
	most := 0
	besides(t, w, func() {
		Eventually(t, patience, "as many processes as may be", func() (bool, string) {
			s := w.WaitState("one", "running")
			if len(s.Processes) == 0 || s.Processes[0].Pid == 0 {
				return false, ""
			}
			n := len(Tree(s.Pid)) + len(Tree(s.Processes[0].Pid))
			most = max(most, n)
			return n >= 19, fmt.Sprint(n)
		})
		tr.WaitMore(t, 10)
	})
	tr.Stop().NoneLost(t)
	if now := w.WaitState("one", "running"); now.Pid != first.Pid || most > 20 {
		t.Errorf("%d serves, it was %d; they had %d processes", now.Pid, first.Pid, most)
	}
	w.Stop()
	if left := w.cgroups(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

// cpuOf is the time that a tree of processes has used.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	var ticks int
	for _, p := range Tree(pid) {
		stat := readAll(fmt.Sprintf("/proc/%d/stat", p.Pid))
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		for _, i := range []int{11, 12} {
			n, err := strconv.Atoi(fields[i])
			if err != nil {
				t.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func TestNewLimitsAreThoseOfWhatServesWithoutARestart(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, "memory = \"64M\"\ntasks = 20")
	first := w.Serve("one", "two")
	memory := func(pid int) string { return limit(t, pid, "memory", "memory.limit_in_bytes", "memory.max") }
	if got := memory(first.Pid); got != "67108864" {
		t.Errorf("memory is limited to %q", got)
	}
	w.SetBuilds(hungry("memory = \"128M\"\ntasks = 30"), tinyEntry("two"))
	Eventually(t, patience, "another limit", func() (bool, string) { return memory(first.Pid) == "134217728", memory(first.Pid) })
	tasks := func() string { return limit(t, first.Pid, "pids", "pids.max", "pids.max") } // set a moment later
	Eventually(t, patience, "another limit of tasks", func() (bool, string) { return tasks() == "30", tasks() })

	// The next supervisor goes on with them.
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.SetBuilds(hungry("memory = \"96M\"\ntasks = 30"), tinyEntry("two"))
	w.Start()
	Eventually(t, patience, "another limit, by another supervisor", func() (bool, string) { return memory(first.Pid) == "100663296", memory(first.Pid) })
	if now := w.WaitState("one", "running"); now.Pid != first.Pid {
		t.Errorf("%d serves, want %d, which was adopted", now.Pid, first.Pid)
	}
	w.Upgrade()
	w.ask("/eat")
	w.WaitStatus("one", "the kill", func(s BuildStatus) bool {
		return s.Pid != first.Pid && s.LastExit == "killed by the kernel: out of memory (limit 96M)"
	})

	// A kind of limit that it was started without comes with another generation.
	second := w.WaitState("one", "running")
	w.SetBuilds(hungry("memory = \"96M\"\ntasks = 30\ncpu = 0.5"), tinyEntry("two"))
	third := w.WaitStatus("one", "another generation", func(s BuildStatus) bool { return s.State == "running" && s.Pid != second.Pid })
	if got := limit(t, third.Pid, "cpu", "cpu.cfs_quota_us", "cpu.max"); !strings.HasPrefix(got, "50000") {
		t.Errorf("the processor is limited to %q", got)
	}
	w.SetBuilds(tinyEntry("two"))
	Eventually(t, patience, "no cgroup of a build that was removed", func() (bool, string) {
		var left []string
		for _, dir := range w.cgroups() {
			for _, name := range []string{"*:one:*", "pool:one"} {
				found, err := filepath.Glob(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, found...)
			}
		}
		return len(left) == 0, fmt.Sprint(left)
	})
	w.Stop()
	if left := w.cgroups(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
}

func TestStepThatEatsMemoryFailsAndSaysWhy(t *testing.T) {
	t.Parallel()
	w := hungryWorld(t, "memory = \"128M\"\n[build.steps]\nafter_migrate = [[\"{python}\", \"-I\", \"-S\", \"-c\", \"bytearray(1 << 30)\"]]")
	w.Start()
	s := w.WaitStatus("one", "failed", func(s BuildStatus) bool { return s.BuildError != "" })
	if !strings.Contains(s.BuildError, "killed by the kernel: out of memory (limit 128M)") {
		t.Errorf("the build fails by %q", s.BuildError)
	}
	if n := w.kills("one"); n < 1 {
		t.Errorf("%d kills are counted", n)
	}
	w.WaitState("two", "running")
}
