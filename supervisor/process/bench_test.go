package process

import (
	"context"
	"encoding/json"
	"fmt"
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

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// sleeper stands in for gunicorn: a child that costs nothing once it runs.
func sleeper(b testing.TB) Spec {
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close(); w.Close() })
	return Spec{
		Argv: []string{"/bin/sleep", "1000000"}, Env: []string{"PATH=/usr/bin:/bin"},
		Listener: r, Log: filepath.Join(b.TempDir(), "log"), Umask: 0o027, Mark: "bench/" + b.Name(),
	}
}

func eachWayB(b *testing.B, bench func(*testing.B, *Table)) {
	for _, stepOnly := range []bool{false, true} {
		if !stepOnly && !canClone {
			continue
		}
		b.Run(map[bool]string{false: "clone", true: "execstep"}[stepOnly], func(b *testing.B) {
			tb := newTable(b)
			tb.stepOnly = stepOnly
			bench(b, tb)
		})
	}
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2]) / float64(time.Millisecond)
}

// quiet is below what nine tenths took.
func quiet(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/10]) / float64(time.Millisecond)
}

// BenchmarkRespawn1 and BenchmarkRespawn1000 measure from kill -9 of one of n children to its
// successor's exec, with what an actor does: SIGTERM to the orphans of the group first, the end of
// the tree in the background.
func BenchmarkRespawn1(b *testing.B)    { benchmarkRespawn(b, 1) }
func BenchmarkRespawn1000(b *testing.B) { benchmarkRespawn(b, 1000) }

func benchmarkRespawn(b *testing.B, n int) {
	eachWayB(b, func(b *testing.B, tb *Table) {
		s := sleeper(b)
		type death struct {
			who int
			at  time.Time
		}
		exits := make(chan death, 1)
		kids := make([]*Child, n)
		spawn := func(i int) {
			s := s
			s.Mark += "/" + strconv.Itoa(i) + "/" + strconv.FormatInt(time.Now().UnixNano(), 36)
			c, err := tb.Spawn(s, func(Exit) {
				select {
				case exits <- death{i, time.Now()}:
				default: // at the end all die at once
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			kids[i] = c
		}
		for i := range kids {
			spawn(i)
		}
		var seen, respawn, all []time.Duration
		i := 0
		for b.Loop() {
			i = (i + 7) % n
			old := kids[i]
			killed := time.Now()
			if err := old.Signal(unix.SIGKILL); err != nil {
				b.Fatal(err)
			}
			d := <-exits
			if err := old.SignalGroup(unix.SIGTERM); err != nil {
				b.Fatal(err)
			}
			spawn(i)
			done := time.Now()
			seen = append(seen, d.at.Sub(killed))
			respawn = append(respawn, done.Sub(d.at))
			all = append(all, done.Sub(killed))
			if err := old.End(context.Background(), time.Second); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(median(seen), "ms-kill-to-seen")
		b.ReportMetric(median(respawn), "ms-seen-to-exec")
		b.ReportMetric(median(all), "ms-kill-to-exec")
		b.ReportMetric(0, "ns/op") // holds the end of the old tree as well
		endAll(b, kids)
	})
}

func endAll(b testing.TB, kids []*Child) {
	var wg sync.WaitGroup
	for _, c := range kids {
		wg.Go(func() {
			if err := c.End(context.Background(), 0); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// BenchmarkStart1000VsBareFork compares the start of 1,000 children with a loop of syscall.ForkExec
// of the same program in the same run.
func BenchmarkStart1000VsBareFork(b *testing.B) {
	const n = 1000
	eachWayB(b, func(b *testing.B, tb *Table) {
		s := sleeper(b)
		var bare, loop, actors []time.Duration
		kids := make([]*Child, n)
		spawn := func(i int) {
			s := s
			s.Mark += "/" + strconv.Itoa(i)
			c, err := tb.Spawn(s, nil)
			if err != nil {
				b.Error(err)
			}
			kids[i] = c
		}
		for b.Loop() {
			bare = append(bare, bareForks(b, s, n))

			began := time.Now()
			for i := range kids {
				spawn(i)
			}
			loop = append(loop, time.Since(began))
			endAll(b, kids)

			began = time.Now()
			var wg sync.WaitGroup
			for i := range kids {
				wg.Go(func() { spawn(i) })
			}
			wg.Wait()
			actors = append(actors, time.Since(began))
			began = time.Now()
			endAll(b, kids)
			b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-end-1000")
		}
		b.ReportMetric(median(bare), "ms-bare")
		b.ReportMetric(median(loop), "ms-loop")
		b.ReportMetric(median(actors), "ms-concurrent")
		b.ReportMetric(median(loop)/median(bare), "loop/bare")
		b.ReportMetric(median(actors)/median(bare), "concurrent/bare")
		b.ReportMetric(0, "ns/op")
	})
}

func bareForks(b *testing.B, s Spec, n int) time.Duration {
	pids := make([]int, n)
	began := time.Now()
	for i := range pids {
		pid, err := syscall.ForkExec(s.Argv[0], s.Argv, &syscall.ProcAttr{
			Env: s.Env, Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			b.Fatal(err)
		}
		pids[i] = pid
	}
	took := time.Since(began)
	for _, pid := range pids {
		unix.Kill(pid, unix.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
	}
	return took
}

// BenchmarkSignalGroup measures what comes before the successor's start.
func BenchmarkSignalGroup(b *testing.B) {
	tb := newTable(b)
	s := sleeper(b)
	s.Argv = []string{"/bin/sh", "-c", "trap '' USR1; sleep 1000000 & wait; wait"}
	c, err := tb.Spawn(s, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := c.SignalGroup(0); err != nil {
			b.Fatal(err)
		}
	}
	endAll(b, []*Child{c})
}

// BenchmarkScan measures one reading of the process table, with its marks known.
func BenchmarkScan(b *testing.B) {
	var r procReader
	var snap *snapshot
	for b.Loop() {
		var err error
		if snap, err = r.read(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(snap.procs)), "processes")
}

// footprint is what a program weighs that does nothing but watch.
type footprint struct {
	PSSKiB, Threads, Ticks int
}

// BenchmarkIdle1, 100 and 1000 report memory, threads and CPU of a program with n children, in a
// process of its own. It idles for PROCESS_BENCH_IDLE, 20s where that is not set.
func BenchmarkIdle1(b *testing.B)    { benchmarkIdle(b, 1) }
func BenchmarkIdle100(b *testing.B)  { benchmarkIdle(b, 100) }
func BenchmarkIdle1000(b *testing.B) { benchmarkIdle(b, 1000) }

func benchmarkIdle(b *testing.B, n int) {
	idle := os.Getenv("PROCESS_BENCH_IDLE")
	if idle == "" {
		idle = "20s"
	}
	out, err := exec.Command("/proc/self/exe", "footprint", strconv.Itoa(n), idle).Output()
	if err != nil {
		b.Fatal(err)
	}
	var f footprint
	if err := json.Unmarshal(out, &f); err != nil {
		b.Fatalf("%v: %q", err, out)
	}
	b.ReportMetric(float64(f.PSSKiB)/1024, "MiB-PSS")
	b.ReportMetric(float64(f.Threads), "threads")
	b.ReportMetric(float64(f.Ticks), "ticks-in-"+idle)
	b.ReportMetric(0, "ns/op")
}

// printFootprint starts n children, idles, and prints what that cost.
func printFootprint(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	idle, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	if err := Subreaper(); err != nil {
		return err
	}
	tb, err := NewTable("", nil)
	if err != nil {
		return err
	}
	defer tb.Close()
	kids := make([]*Child, n)
	var wg sync.WaitGroup
	for i := range kids {
		wg.Go(func() {
			kids[i], err = tb.Spawn(Spec{
				Argv: []string{"/bin/sleep", "1000000"}, Env: []string{"PATH=/usr/bin:/bin"},
				Mark: "footprint/" + strconv.Itoa(i), Umask: 0o027,
			}, func(Exit) {})
			if err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	<-time.After(2 * time.Second) // what the start left to do
	before, _ := ticks()
	<-time.After(idle)
	after, threads := ticks()
	pss, err := pssKiB()
	if err != nil {
		return err
	}
	for _, c := range kids {
		wg.Go(func() { c.End(context.Background(), 0) }) // the figures are what matters here
	}
	wg.Wait()
	return json.NewEncoder(os.Stdout).Encode(footprint{PSSKiB: pss, Threads: threads, Ticks: after - before})
}

// ticks returns the CPU time used so far, in clock ticks, and the number of threads.
func ticks() (used, threads int) {
	line, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		panic(err)
	}
	fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+2:]))
	user, _ := strconv.Atoi(fields[14-3])
	system, _ := strconv.Atoi(fields[15-3])
	threads, _ = strconv.Atoi(fields[20-3])
	return user + system, threads
}

func pssKiB() (int, error) {
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(rollup)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kib); n == 1 {
			return kib, nil
		}
	}
	return 0, fmt.Errorf("no Pss in %q", rollup)
}

// BenchmarkStartInABox compares, in turns, starts without a box, in one whose ruleset was prepared after
// the start before, as that of a server that crashed, and in one whose ruleset has to be made: of a
// build with a user of its own, and of one that runs as root.
func BenchmarkStartInABox(b *testing.B) {
	for _, asRoot := range []bool{false, true} {
		b.Run(map[bool]string{false: "user", true: "root"}[asRoot], func(b *testing.B) {
			eachWayB(b, func(b *testing.B, tb *Table) { benchmarkBox(b, tb, asRoot) })
		})
	}
}

func benchmarkBox(b *testing.B, tb *Table, asRoot bool) {
	if _, err := sandbox.Here(); err != nil {
		b.Skip(err)
	}
	s := sleeper(b)
	s.Listener = nil
	p := sandbox.Policy{Write: []string{b.TempDir()}, Temp: b.TempDir(), AsRoot: asRoot}
	spares := sandbox.NewSpares()
	defer spares.Close()
	var plain, boxed, first []time.Duration
	n := 0
	start := func(s Spec, ruleset func() (*os.File, error)) time.Duration {
		n++
		s.Mark += "/" + strconv.Itoa(n)
		begun := time.Now()
		if ruleset != nil {
			made, err := ruleset()
			if err != nil {
				b.Fatal(err)
			}
			defer made.Close()
			s.Box = &Box{Ruleset: made, Filter: sandbox.Filter(false)}
		}
		c, err := tb.Spawn(s, nil)
		took := time.Since(begun)
		if err != nil {
			b.Fatal(err)
		}
		endAll(b, []*Child{c})
		return took
	}
	spares.Expect("bench", "")
	for b.Loop() {
		if err := spares.Prepare("bench", "", p); err != nil {
			b.Fatal(err)
		}
		plain = append(plain, start(s, nil))
		boxed = append(boxed, start(s, func() (*os.File, error) { return spares.Ruleset("bench", p) }))
		first = append(first, start(s, p.Ruleset))
	}
	b.ReportMetric(median(plain), "ms-plain")
	b.ReportMetric(median(boxed), "ms-boxed")
	b.ReportMetric(median(boxed)-median(plain), "ms-more")
	b.ReportMetric(median(first)-median(plain), "ms-more-first")
	// The tenth that was disturbed the least, where others use the processors as well.
	b.ReportMetric(quiet(boxed)-quiet(plain), "ms-more-quiet")
	b.ReportMetric(quiet(first)-quiet(plain), "ms-more-first-quiet")
	b.ReportMetric(0, "ns/op")
}
