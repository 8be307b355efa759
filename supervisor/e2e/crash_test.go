package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workers is how many workers a build has if its entry says nothing, and so how many requests a
// kill of all of them may cost: a sync worker holds one at a time.
const workers = 2

// stableSoon makes a crash count as the first one again when calm has passed since the previous
// one.
const (
	stableSoon = `stable_after = "100ms"`
	calm       = 500 * time.Millisecond
)

// A master that dies leaves its workers: they finish what they hold, and new clients wait for the
// successor.
func TestMasterKilledTenTimesCostsNoRequest(t *testing.T) {
	t.Parallel()
	const kills = 10
	w := NewWorld(t, One(stableSoon))
	w.Serve("one")
	tr := w.Load("one", 100)
	var pauses []time.Duration
	for range kills {
		tr.GoOn(t, calm)
		at := tr.Now()
		w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
		tr.GoOn(t, 0)
		pauses = append(pauses, tr.Now()-at)
	}
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLost(t)
	if b := w.WaitState("one", "running"); b.Restarts != kills || !strings.Contains(b.LastExit, "SIGKILL") {
		t.Errorf("restarts %d, last exit %q, want %d and SIGKILL: a kill long after the previous one counts as the first one again", b.Restarts, b.LastExit, kills)
	}
	slices.Sort(pauses)
	t.Logf("kill -9 of the master to the successor's answers: median %v, at most %v (its workers answer what they held in the meantime); %v",
		pauses[kills/2].Round(time.Millisecond), pauses[kills-1].Round(time.Millisecond), r)
}

func TestKilledWorkerCostsOnlyWhatItHeld(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	master := w.Serve("one").Pid
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	victim := Workers(master)[0]
	KillAll(t, []Process{victim}, syscall.SIGKILL)
	Eventually(t, 20*time.Second, "another worker in its place", func() (bool, string) {
		now := Workers(master)
		return len(now) == workers && !slices.Contains(pids(now), victim.Pid), fmt.Sprint(now)
	})
	tr.GoOn(t, calm)
	tr.Stop().NoneLostBut(t, 1)
	if b := w.WaitState("one", "running"); b.Pid != master || b.Restarts != 0 {
		t.Errorf("status %+v, want the same master: gunicorn replaces its workers itself", b)
	}
}

func TestKilledTreeCostsOnlyWhatItsWorkersHeld(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Serve("one")
	tr := w.Load("one", 100)
	tr.GoOn(t, calm)
	w.WaitPid("one", w.KillTree("one", syscall.SIGKILL))
	tr.GoOn(t, calm)
	r := tr.Stop()
	r.NoneLostBut(t, workers)
	t.Logf("kill -9 of the tree: longest gap %v; %v", r.LongestGap.Round(time.Millisecond), r)
}

// A process that the application started and that left the session is found by its inherited mark.
func TestStrayProcessEndsWithItsTree(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	w.Serve("one")
	for what, end := range map[string]func(){
		"kill -9": func() { w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL)) },
		"restart": func() { w.MustCLI("restart", "one") },
	} {
		answer := MustAsk(t, "unix", w.Socket("one"), "/stray")
		var pid int
		if _, err := fmt.Sscanf(answer.Body, `{"pid": %d}`, &pid); err != nil {
			t.Fatalf("/stray answered %+v: %v", answer, err)
		}
		proc := fmt.Sprintf("/proc/%d", pid)
		stray, live := readProcess(proc)
		if !live || stray.Session != pid {
			t.Fatalf("the stray process is %v, alive %v, want it in a session of its own", stray, live)
		}
		end()
		Eventually(t, 20*time.Second, "the end of the stray process by "+what, func() (bool, string) {
			now, live := readProcess(proc)
			return !live || now.Start != stray.Start, fmt.Sprint(now)
		})
	}
}

// dieWhenTold makes build name's application unable to start while data/dead is there.
func dieWhenTold(w *World, name string) {
	w.SaveSettings(name, "import os\nif os.path.exists(os.path.join(DATA_DIR, \"dead\")):\n    raise RuntimeError(\"dead on purpose\")", Overwrite)
}

// Serve starts the supervisor, waits until these builds are running, and returns the status of the
// first.
func (w *World) Serve(names ...string) BuildStatus {
	w.t.Helper()
	w.Start()
	first := w.WaitState(names[0], "running")
	for _, name := range names[1:] {
		w.WaitState(name, "running")
	}
	return first
}

// MustCLI is CLI, but an exit code other than 0 ends the test.
func (w *World) MustCLI(args ...string) string {
	w.t.Helper()
	stdout, stderr, code := w.CLI(args...)
	if code != 0 {
		w.t.Fatalf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

// Touch puts an empty file into build name's data folder, and Heal removes it.
func (w *World) Touch(name, file string) {
	w.t.Helper()
	if err := os.WriteFile(w.Data(name, file), nil, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *World) Heal(name, file string) {
	w.t.Helper()
	if err := os.Remove(w.Data(name, file)); err != nil {
		w.t.Fatal(err)
	}
}

// GoOn lets the load go on until a request that is due d from now or later has a good answer.
func (tr *Traffic) GoOn(t testing.TB, d time.Duration) {
	t.Helper()
	from := tr.Now() + d
	Eventually(t, 60*time.Second, fmt.Sprintf("an answer to a request due %v from now", d), func() (bool, string) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		for _, s := range tr.shots[max(len(tr.shots)-500, 0):] {
			if s.Due >= from && s.Outcome == OK {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d requests so far", len(tr.shots))
	})
}

// Now is the time since the load began, as in Shot.
func (tr *Traffic) Now() time.Duration { return time.Since(tr.start) }
