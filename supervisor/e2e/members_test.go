package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// With two server trees a whole one may die or hang: the other takes what comes.
func TestClientsDoNotWaitForATreeBesideAnother(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(probedOften, stableSoon, "replicas = 2"))
	w.Serve("one")
	both := func() BuildStatus {
		return w.WaitStatus("one", "two trees that serve", func(b BuildStatus) bool { return b.Replicas.Ready == 2 && len(b.Replicas.Pids) == 2 })
	}
	both()
	for what, sig := range map[string]syscall.Signal{"kill -9": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP} {
		tr := w.Load("one", 100)
		tr.GoOn(t, calm)
		calm := tr.Stop().LongestGap
		tr = w.Load("one", 100)
		tr.GoOn(t, 200*time.Millisecond)
		victim := both().Replicas.Pids[1]
		KillAll(t, Tree(victim), sig)
		w.WaitStatus("one", "another tree in its place", func(b BuildStatus) bool {
			return b.Replicas.Ready == 2 && !slices.Contains(b.Replicas.Pids, victim)
		})
		tr.GoOn(t, calm)
		r := tr.Stop()
		r.NoneLostBut(t, workers)
		t.Logf("%s of one tree of two: longest gap %v, undisturbed %v; %v", what, r.LongestGap.Round(time.Millisecond), calm.Round(time.Millisecond), r)
	}
	tr := w.Load("one", 100)
	before := both().Replicas.Pids
	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	after := both().Replicas.Pids
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	for _, pid := range after {
		if slices.Contains(before, pid) {
			t.Errorf("trees %v serve the new release, %v served the one before", after, before)
		}
	}
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if now := both().Replicas.Pids; !slices.Equal(slices.Sorted(slices.Values(now)), slices.Sorted(slices.Values(after))) {
		t.Errorf("after the death of the supervisor trees %v serve, before %v", now, after)
	}
	w.Stop()
}

// Each tree of another server is probed by itself as well, also by the next supervisor.
func TestHungTreeOfAServerByCommandIsFoundWhileAnotherServes(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(probedOften, stableSoon, "replicas = 2", `command = ["{python}", "-I", "-S", "tiny_server.py", "{private}"]`))
	w.Serve("one")
	tr := w.Load("one", 100)
	hangs := func() {
		t.Helper()
		victim := w.replicas(2)[1]
		tr.GoOn(t, calm)
		KillAll(t, Tree(victim), syscall.SIGSTOP)
		w.replicas(2, victim)
	}
	hangs()
	before := w.replicas(2)
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if now := w.replicas(2); !slices.Equal(slices.Sorted(slices.Values(now)), slices.Sorted(slices.Values(before))) {
		t.Errorf("after the death of the supervisor trees %v serve, before %v", now, before)
	}
	hangs()
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, 2)
	if out := w.MustCLI("check"); strings.Contains(out, "hangs") {
		t.Errorf("check says %s", out)
	}
	t.Log(w.MustCLI("events"))
	w.Stop()
}

// diary is a process that writes down when it begins and ends, and takes its time for the latter.
const diary = `import os, signal, sys, time
def write(what):
    with open(os.path.join(os.environ["MEDCTRL_DATA"], "diary"), "a") as f:
        f.write("%s %s %s\n" % (os.environ["MEDCTRL_PROCESS_INDEX"], what, os.environ["MEDCTRL_RELEASE"]))
def stop(*_):
    time.sleep(0.5)
    write("ends")
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
write("begins")
while True:
    time.sleep(0.05)
`

// A process is replaced with each release, one after the other, outlives the supervisor, comes back when
// it dies and ends with a stop.
func TestProcessBesideTheServerLivesWithItsBuild(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One(stableSoon, `process = [{ name = "worker", command = ["python", "diary.py"], count = 2, stop_signal = "INT" }]`))
	if err := os.WriteFile(filepath.Join(w.Source, "API", "diary.py"), []byte(diary), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Serve("one")
	up := func(release string) (all []int) {
		t.Helper()
		w.WaitStatus("one", "two instances of release "+release, func(b BuildStatus) bool {
			all = nil
			for _, p := range b.Processes {
				if p.State == "running" && (release == "" || p.Release == release) {
					all = append(all, p.Pid)
				}
			}
			return len(all) == 2
		})
		return all
	}
	first := up("")
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	if again := up(""); !slices.Equal(again, first) {
		t.Errorf("after the death of the supervisor %v run, before %v", again, first)
	}
	w.Upgrade()
	if again := up(""); !slices.Equal(again, first) {
		t.Errorf("after an upgrade %v run, before %v", again, first)
	}
	KillAll(t, Tree(first[1]), syscall.SIGKILL)
	Eventually(t, 20*time.Second, "another instance in the place of the killed one", func() (bool, string) {
		now := up("")
		return now[0] == first[0] && now[1] != first[1], fmt.Sprint(now)
	})
	metrics, err := w.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`medctrl_build_replicas_ready{build="one"} 1`, `medctrl_process_instances{build="one",process="worker"} 2`,
		`medctrl_process_instances_ready{build="one",process="worker"} 2`, `medctrl_process_restarts_total{build="one",process="worker"} 1`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics have no line %s", line)
		}
	}
	if _, memory, _ := strings.Cut(metrics, `medctrl_process_memory_bytes{build="one",process="worker"} `); memory == "" || memory[0] == '0' {
		t.Errorf("the metrics do not say what the process uses: %.20q", memory)
	}
	release := w.WaitState("one", "running").Release
	w.SetBanner("one", "edited", RenameOver)
	second := w.WaitRelease("one", release).Release
	last := up(second)
	running := map[string]string{}
	for line := range strings.Lines(readAll(w.Data("one", "diary"))) {
		words := strings.Fields(line)
		index, what, of := words[0], words[1], words[2]
		switch {
		case what == "begins" && of == second && running[index] == release && index == "0":
			t.Errorf("instance %s of release %s begins before that of %s has ended", index, of, release)
		case what == "begins":
			running[index] = of
		default:
			delete(running, index)
		}
	}
	if want := map[string]string{"0": second, "1": second}; fmt.Sprint(running) != fmt.Sprint(want) {
		t.Errorf("by their diary run %v, want %v", running, want)
	}
	w.MustCLI("stop", "one")
	for _, pid := range last {
		if left := Tree(pid); len(left) > 0 {
			t.Errorf("after the stop %v runs", left)
		}
	}
}
