package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// BenchmarkIdle measures what watching n serving builds costs when nothing happens, without and with a
// process beside each server: memory, threads, and clock ticks of CPU and wakeups in 20 s. Everything is
// real except the children, sleeps in place of gunicorn and a worker, and therefore their releases and
// the health probe's result.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		benchmarkIdle(b, fmt.Sprint(n), n, nil)
	}
	benchmarkIdle(b, "1000 with a process each", 1000, []config.Process{{
		Name: "worker", Command: []string{"/usr/bin/sleep", "100000"}, Count: 1,
		Restart: config.RestartAlways, StopSignal: "TERM", GracefulTimeout: time.Second,
	}})
}

func benchmarkIdle(b *testing.B, name string, n int, processes []config.Process) {
	b.Run(name, func(b *testing.B) {
		s := idle(b, n, processes)
		s.world.Program.Trim()
		var before, after, wokenBefore, wokenAfter int
		for b.Loop() {
			before, wokenBefore = ticks(b), wakeups(b)
			<-time.After(20 * time.Second) // this is what is measured: nothing happens
			after, wokenAfter = ticks(b), wakeups(b)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(number(b, "/proc/self/smaps_rollup", "Pss:"))/1024, "MB-PSS")
		b.ReportMetric(float64(number(b, "/proc/self/smaps_rollup", "Pss_Anon:"))/1024, "MB-PSS-anon")
		b.ReportMetric(float64(number(b, "/proc/self/status", "Threads:")), "threads")
		b.ReportMetric(float64(after-before), "ticks/20s")
		b.ReportMetric(float64(wokenAfter-wokenBefore), "wakeups/20s")
		if len(s.fleet.Load().actors) != n {
			b.Fatal("some builds are missing")
		}
	})
}

// BenchmarkStatus measures what `status` costs with n builds, from the request over the control
// socket until the client has the response.
func BenchmarkStatus(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := idle(b, n, nil)
			client := control.Client{Socket: ControlSocket(s.Config.Root)}
			var slowest time.Duration
			for b.Loop() {
				begun := time.Now()
				st, err := client.Status(b.Context())
				if err != nil || len(st.Builds) != n {
					b.Fatal(len(st.Builds), err)
				}
				slowest = max(slowest, time.Since(begun))
			}
			b.ReportMetric(float64(slowest)/float64(time.Millisecond), "ms-slowest")
		})
	}
}

// ready is a World's releases that exist without being made.
type ready struct{ world.Releases }

func (ready) Make(context.Context, build.Request) (build.Release, bool, error) {
	return fixed(), true, nil
}
func (ready) Get(string, string) (build.Release, error) { return fixed(), nil }
func (ready) List(string) ([]build.Release, error)      { return []build.Release{fixed()}, nil }
func (ready) Prune(*config.Build, ...string) error      { return nil }
func (ready) SetCurrent(name, id string) error          { return nil }
func (ready) Tidy(string) (func() error, error)         { return func() error { return nil }, nil }

func fixed() build.Release { return build.Release{ID: "r", Dir: "/", Venv: "/usr"} }

// well is a World's host on which every server answers.
type well struct{ actor.Host }

func (well) Probe(context.Context, string, *config.Health, time.Duration) error { return nil }

// idle is a supervisor of n builds that all serve, with these processes.
func idle(b *testing.B, n int, processes []config.Process) *Supervisor {
	b.Helper()
	// Not in the folder of temporary files itself: the folder that contains the root is watched, and
	// what others write there would be measured.
	dir, err := os.MkdirTemp("", "mi")
	root := filepath.Join(dir, "root")
	if err == nil {
		err = os.Mkdir(root, 0o755)
	}
	if err != nil {
		b.Fatal(err)
	}
	cfg := &config.Config{Path: filepath.Join(root, "builds.toml"), Root: root,
		Supervisor: config.Supervisor{LogLevel: "off", LogDir: layout.Root(root).Logs(), MaxParallelBuilds: 1}}
	for i := range n {
		cfg.Builds = append(cfg.Builds, config.Build{
			Name: fmt.Sprintf("b%d", i), Source: root, AppDir: "usr", Command: []string{"/usr/bin/sleep", "100000"},
			SocketMode: 0o660, Umask: 0o027, GracefulTimeout: time.Second, StableAfter: time.Second, RestartDelayMax: time.Minute, Autostart: true, Restart: config.RestartAlways,
			Processes: processes,
			Health:    config.Health{Interval: time.Hour, StartTimeout: time.Hour, Timeout: time.Hour, Failures: 3},
		})
	}
	signals := make(chan os.Signal)
	o := Options{Config: cfg, Log: hclog.NewNullLogger(), Version: "bench", Args: os.Args, Environ: []string{"PATH=/usr/bin:/bin"},
		Signals: signals, Reach: func(string, any) {}}
	w, err := thisMachine(&o)
	if err != nil {
		b.Fatal(err)
	}
	w.Releases, w.Host = ready{w.Releases}, well{w.Host}
	o.World = w
	s := begin(o)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		if err := w.Program.Close(); err != nil {
			b.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	// Until all serve and are stable, and the work that causes (pruning, writing states) is over.
	limit := time.Now().Add(5 * time.Minute)
	for done := 0; done < n; {
		if done = 0; time.Now().After(limit) {
			b.Fatal("some builds do not serve")
		}
		<-time.After(100 * time.Millisecond)
		for _, a := range s.fleet.Load().actors {
			if st := a.View().State; st.Phase() == machine.PhaseRunning && st.StableAt.IsZero() && stableProcesses(st) == len(processes) {
				done++
			}
		}
	}
	s.saver.Flush(time.Minute)
	return s
}

// stableProcesses counts the processes that run and are stable.
func stableProcesses(st *machine.State) (n int) {
	for _, m := range st.Processes {
		if m.Ready && m.StableAt.IsZero() {
			n++
		}
	}
	return n
}

// wakeups counts how often a thread of ours has been put on a processor.
func wakeups(b *testing.B) (n int) {
	b.Helper()
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		b.Fatal(err)
	}
	for _, thread := range threads {
		n += number(b, thread, "voluntary_ctxt_switches:") + number(b, thread, "nonvoluntary_ctxt_switches:")
	}
	return n
}

func ticks(b *testing.B) int {
	b.Helper()
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system int
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return user + system
}

// number returns the first number after a word in a file in /proc.
func number(b *testing.B, path, word string) (n int) {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, word); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("%s has no %s", path, word)
	return 0
}
