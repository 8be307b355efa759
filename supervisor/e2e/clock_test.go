package e2e

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// astray is source that is added to Go's package time: the wall clock is off by as many seconds as
// a file says. The monotonic clock and the kernel's timers go on, as they do when somebody sets a
// machine's clock. The file is mapped: Now may be called where no system call can be made.
const astray = `package time

import (
	"syscall"
	"unsafe"
)

var secondsOff = func() *int64 {
	path, _ := syscall.Getenv("MEDCTRL_TEST_CLOCK")
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return new(int64)
	}
	defer syscall.Close(fd)
	b, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return new(int64)
	}
	return (*int64)(unsafe.Pointer(&b[0]))
}()

func Now() Time {
	t := realNow()
	t.addSec(*secondsOff)
	return t
}
`

// unsettled makes the binary whose wall clock a test can set.
var unsettled = sync.OnceValues(func() (string, error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's own source: %w", err)
	}
	src := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	text, err := os.ReadFile(filepath.Join(src, "time.go"))
	if err != nil {
		return "", err
	}
	real := strings.Replace(string(text), "\nfunc Now() Time {", "\nfunc realNow() Time {", 1)
	if real == string(text) {
		return "", fmt.Errorf("%s has no function Now", src)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(src, "time.go"):   filepath.Join(binDir, "time.go"),
		filepath.Join(src, "astray.go"): filepath.Join(binDir, "astray.go"),
	}})
	if err != nil {
		return "", err
	}
	for name, text := range map[string][]byte{"time.go": []byte(real), "astray.go": []byte(astray), "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(binDir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	path := filepath.Join(binDir, "unsettled")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-overlay", filepath.Join(binDir, "overlay.json"), "-o", path, "../../cmd/medctrl-supervisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary whose clock can be set: %w\n%s", err, out)
	}
	return path, nil
})

// unsettledWorld is a world of a tiny build whose supervisor has a clock that SetClock sets.
func unsettledWorld(t *testing.T, lines ...string) *World {
	t.Helper()
	program, err := unsettled()
	if err != nil {
		t.Fatal(err)
	}
	w := tinyWorld(t)
	w.Program = program
	w.SetBuilds(Entry("one", append(lines, `command = ["{python}", "-I", "-S", "tiny_server.py"]`)...))
	w.Env = []string{"MEDCTRL_TEST_CLOCK=" + filepath.Join(w.Dir, "clock")}
	w.SetClock(0)
	return w
}

// SetClock makes the supervisor's wall clock jump: it is off by this much from now on.
func (w *World) SetClock(off time.Duration) {
	w.t.Helper()
	f, err := os.OpenFile(filepath.Join(w.Dir, "clock"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close() // what was written is visible at once
	if _, err := f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(off/time.Second)), 0); err != nil {
		w.t.Fatal(err)
	}
}

const year = 365 * 24 * time.Hour

// jumps are what happens to clocks: set back, set far ahead, and set right again.
var jumps = []time.Duration{-time.Hour, year, 0}

func TestJumpsOfTheClockKeepTheOrderOfReleases(t *testing.T) {
	t.Parallel()
	w := unsettledWorld(t, "keep_releases = 2", stableSoon)
	before := w.Serve("one")
	for i, off := range jumps {
		w.SetClock(off)
		banner := fmt.Sprint("jump ", i)
		w.SetBanner("one", banner, RenameOver)
		w.WaitBanner("one", banner)
		b := w.WaitRelease("one", before.Release)
		if b.Release <= before.Release {
			t.Errorf("the clock off by %v: release %s comes before %s", off, b.Release, before.Release)
		}
		w.WaitStatus("one", "the two newest releases", func(b2 BuildStatus) bool {
			return slices.Equal(b2.Releases, []string{before.Release, b.Release})
		})
		before = b
	}
	// The log of a failed attempt is the newest, whatever date the clock gives it.
	w.SetClock(-year)
	if err := os.WriteFile(filepath.Join(w.Source, "requirements.txt"), []byte("./nowhere\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.WaitStatus("one", "a build that failed", func(b BuildStatus) bool { return b.BuildError != "" })
	if log := w.MustCLI("logs", "--build", "one"); !strings.Contains(log, "nowhere") {
		t.Errorf("the build's log is not that of the newest build, which failed: %s", log)
	}
}

func TestJumpsOfTheClockDisturbNobody(t *testing.T) {
	t.Parallel()
	w := unsettledWorld(t, probedOften)
	first := w.Serve("one")
	direct, front := w.Load("one", 50), w.FrontLoad("/one/", 50)
	for _, off := range jumps {
		w.SetClock(off)
		direct.GoOn(t, 3*calm) // some probes of its health
		front.GoOn(t, 0)
	}
	if b := w.WaitState("one", "running"); b.Pid != first.Pid || b.Restarts != 0 || !b.Healthy {
		t.Errorf("status %+v, want nothing to have happened", b)
	}
	// A hang is still found with a wrong clock.
	for _, off := range jumps {
		before := w.WaitState("one", "running").Pid
		w.KillTree("one", syscall.SIGSTOP)
		w.SetClock(off)
		w.WaitPid("one", before)
	}
	for name, tr := range map[string]*Traffic{"socket": direct, "front": front} {
		r := tr.Stop()
		r.NoneLost(t)
		t.Logf("%s: %v", name, r)
	}
}

func TestJumpsOfTheClockChangeNoBackoff(t *testing.T) {
	t.Parallel()
	w := unsettledWorld(t, `stable_after = "1h"`)
	w.Serve("one")
	pid := 0
	crash := func() time.Time {
		t.Helper()
		pid = w.WaitPid("one", pid).Pid
		w.KillMaster("one", syscall.SIGKILL)
		return time.Now()
	}
	crash() // comes back at once
	crash() // comes back within a second
	longest := 2 * time.Second
	for _, off := range jumps[:2] {
		died := crash()
		w.WaitState("one", "backoff")
		w.SetClock(off)
		answer := MustAsk(t, "unix", w.Socket("one"), "/")
		wait, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if answer.Status != http.StatusServiceUnavailable || err != nil || wait < 1 || wait > int(longest/time.Second) {
			t.Errorf("the clock off by %v: answered %d, Retry-After %q, want at most %v", off, answer.Status, answer.Header.Get("Retry-After"), longest)
		}
		w.WaitPid("one", pid)
		if took := time.Since(died); took < longest*3/4 { // a quarter is jitter
			t.Errorf("the clock off by %v: came back after %v, want %v", off, took, longest)
		}
		longest *= 2
	}
}

// gunicorn before 21.0 used the wall clock to see how long a worker has been silent, and killed all
// of them when it was set ahead.
func TestJumpsOfTheClockEndNoWorker(t *testing.T) {
	t.Parallel()
	w := NewWorld(t)
	// Python reads this file before anything else, so that its clock can be set in the same way as
	// the supervisor's.
	const customize = `import time
def off(real=time.time):
    with open(%q) as f:
        return real() + int(f.read())
time.time = off
`
	clock := filepath.Join(w.Dir, "seconds")
	lib := filepath.Join(w.Dir, "lib")
	set := func(off time.Duration) {
		t.Helper()
		if err := RenameOver(clock, strconv.AppendInt(nil, int64(off/time.Second), 10)); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	if err := os.Mkdir(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lib, "sitecustomize.py"), fmt.Appendf(nil, customize, clock), 0o644); err != nil {
		t.Fatal(err)
	}
	w.SetBuilds(One(`timeout = "5s"`, fmt.Sprintf("env = { PYTHONPATH = %q }", lib)))
	first := w.Serve("one")
	before := Workers(first.Pid)
	tr := w.Load("one", 50)
	tr.GoOn(t, calm)
	for _, off := range jumps {
		set(off)
		tr.GoOn(t, 3*time.Second) // gunicorn looks every second
	}
	tr.Stop().NoneLost(t)
	if now := Workers(first.Pid); !slices.Equal(pids(now), pids(before)) {
		t.Errorf("workers %v, before %v", now, before)
	}
	// A stuck worker is found as usual: this one by its master, as the probe waits longer.
	set(-time.Hour)
	held := before[0]
	KillAll(t, []Process{held}, syscall.SIGSTOP)
	Eventually(t, 60*time.Second, "the end of a worker that is silent", func() (bool, string) {
		return !slices.Contains(pids(Workers(first.Pid)), held.Pid), w.BuildLog("one")
	})
}
