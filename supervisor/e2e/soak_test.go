package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gauge is something that must not grow however often builds are deployed. A run is good where the
// straight line that fits what was measured best rises over the whole run by no more than most, plus
// share of where it began.
type gauge struct {
	name, unit string
	read       func(w *World) float64
	most       float64
	share      float64
}

var gauges = []gauge{
	{"memory of the supervisor (PSS)", "KiB", func(w *World) float64 { return w.rollup("Pss") }, 1024, 0.05},
	{"memory of its own (anonymous)", "KiB", func(w *World) float64 { return w.rollup("Anonymous") }, 1024, 0.05},
	{"descriptors", "", func(w *World) float64 { return float64(w.descriptors()) }, 2, 0},
	{"threads", "", func(w *World) float64 { return float64(entriesOf(w.proc("task"))) }, 3, 0},
	{"inotify watches", "", func(w *World) float64 { return float64(w.watches()) }, 2, 0},
	{"processes of the builds", "", func(w *World) float64 { return float64(len(w.Processes())) }, 2, 0},
	{"disk below root, without logs", "KiB", func(w *World) float64 { return w.usage() }, 256, 0.02},
	{"files below root", "", func(w *World) float64 { return float64(w.files()) }, 10, 0.02},
	{"cgroups", "", func(w *World) float64 { return float64(w.groups()) }, 2, 0},
}

// TestSoak deploys every ten seconds, with processes and schedules, and measures before each deploy.
func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv("MEDCTRL_SOAK_TIME"))
	if err != nil {
		t.Skip("takes an hour: make soak T=1h")
	}
	const every, beside = 10 * time.Second, `
[[build.process]]
name = "queue"
command = ["python", "-I", "-S", "-c", "import time; time.sleep(1e6)"]

[[build.schedule]]
name = "tick"
command = ["/bin/true"]
every = "5s"
`
	w := NewWorld(t, One("workers = 1", "keep_releases = 2", beside), Entry("two", "workers = 1", "keep_releases = 2", "replicas = 2", beside))
	w.Supervisor = []string{`log_dir = "logs"`}
	w.WriteConfig()
	w.Serve("one", "two")
	tr := w.Load("one", 5)
	began := time.Now()
	var at []float64
	values := make([][]float64, len(gauges))
	deploys, slowest := 0, time.Duration(0)
	for next := time.Now(); time.Since(began) < length; {
		next = next.Add(every)
		name := []string{"one", "two"}[deploys%2]
		banner := fmt.Sprintf("deploy %d", deploys)
		since := time.Now()
		w.SetBanner(name, banner, RenameOver)
		w.WaitBanner(name, banner)
		slowest = max(slowest, time.Since(since))
		w.WaitStatus(name, "one generation", func(b BuildStatus) bool { return !b.Building && b.State == "running" && len(b.Releases) <= 2 })
		deploys++
		pause(max(time.Until(next), 0))
		at = append(at, time.Since(began).Seconds())
		for i, g := range gauges {
			values[i] = append(values[i], g.read(w))
		}
	}
	r := tr.Stop()
	r.NoneLost(t)

	warm := len(at) / 5 // what is made once is made by then
	var out strings.Builder
	fmt.Fprintf(&out, "# Soak: %v, %d deploys\n\n%s, Linux %s, %d processors, Go %s, load %s\n\nThe slowest deploy took %v; %v.\n\n",
		length, deploys, began.Format("2006-01-02 15:04"), strings.TrimSpace(readAll("/proc/sys/kernel/osrelease")), runtime.NumCPU(),
		runtime.Version(), strings.TrimSpace(readAll("/proc/loadavg")), slowest.Round(time.Millisecond), r)
	fmt.Fprintf(&out, "| what | first | least | most | last | rise over the run after a fifth of it | allowed |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	if len(at)-warm < 10 {
		t.Errorf("%d measurements tell too little", len(at)-warm)
	}
	for i, g := range gauges {
		all := values[i]
		slope, start := line(at[warm:], all[warm:])
		rise := slope * (at[len(at)-1] - at[warm])
		allowed := g.most + g.share*start
		least, most := all[0], all[0]
		for _, v := range all {
			least, most = min(least, v), max(most, v)
		}
		fmt.Fprintf(&out, "| %s | %.0f %s | %.0f | %.0f | %.0f | %+.1f | %.0f |\n", g.name, all[0], g.unit, least, most, all[len(all)-1], rise, allowed)
		if rise > allowed {
			t.Errorf("%s: rises by %.1f %s over the run, where %.0f are allowed: %v", g.name, rise, g.unit, allowed, all)
		}
	}
	t.Log("\n" + out.String())
	if path := os.Getenv("MEDCTRL_SOAK_REPORT"); path != "" {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Error(err)
		}
	}
	w.Stop()
}

// line is the straight line through points with the least squares: its slope, and its value at the
// first of them.
func line(x, y []float64) (slope, start float64) {
	var n, sx, sy, sxx, sxy float64
	for i := range x {
		n, sx, sy, sxx, sxy = n+1, sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	if d := n*sxx - sx*sx; d != 0 {
		slope = (n*sxy - sx*sy) / d
	}
	return slope, (sy-slope*sx)/n + slope*x[0]
}

func TestLineFits(t *testing.T) {
	t.Parallel()
	slope, start := line([]float64{10, 20, 30, 40}, []float64{7, 8, 10, 11})
	if fmt.Sprintf("%.2f %.1f", slope, start) != "0.14 6.9" {
		t.Errorf("slope %v from %v", slope, start)
	}
	if slope, start := line([]float64{5}, []float64{3}); slope != 0 || start != 3 {
		t.Errorf("through one point: slope %v from %v", slope, start)
	}
}

func (w *World) proc(name string) string { return fmt.Sprintf("/proc/%d/%s", w.Pid(), name) }

// rollup is a line of smaps_rollup, in KiB.
func (w *World) rollup(name string) float64 {
	w.t.Helper()
	found := regexp.MustCompile(`(?m)^` + name + `: +(\d+) kB`).FindStringSubmatch(readAll(w.proc("smaps_rollup")))
	if found == nil {
		w.t.Fatalf("smaps_rollup has no %s", name)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func entriesOf(dir string) int {
	entries, _ := os.ReadDir(dir) // none if it is not there, which a gauge shows
	return len(entries)
}

// watches counts the inotify watches of the supervisor.
func (w *World) watches() (n int) {
	w.t.Helper()
	infos, err := filepath.Glob(w.proc("fdinfo/*"))
	if err != nil || len(infos) == 0 {
		w.t.Fatalf("fdinfo: %d files, %v", len(infos), err)
	}
	for _, path := range infos {
		n += strings.Count("\n"+readAll(path), "\ninotify wd:")
	}
	return n
}

// groups counts the cgroups of the root's trees.
func (w *World) groups() (n int) {
	w.t.Helper()
	for _, own := range w.cgroups() {
		err := filepath.WalkDir(own, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				n++
			}
			return nil // a tree has ended meanwhile
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

// usage is what lies below root takes of the disk, in KiB, without logs, which grow until they are rotated.
func (w *World) usage() (kib float64) {
	w.below(func(size int64) { kib += float64((size + 1023) / 1024) })
	return kib
}

func (w *World) files() (n int) {
	w.below(func(int64) { n++ })
	return n
}

func (w *World) below(each func(size int64)) {
	w.t.Helper()
	err := filepath.WalkDir(w.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed in the meantime
		}
		if d.IsDir() && d.Name() == "events" {
			return fs.SkipDir // a log, with bounds of its own
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			each(info.Size())
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
