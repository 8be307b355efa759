package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// BenchmarkIdle measures what watching n serving builds costs when nothing happens: memory, threads and clock ticks of CPU in 20 s.
// Everything is real but the child, a sleep in place of gunicorn, and so the health probe, which does not come due.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := idle(b, n)
			if err := trim(); err != nil {
				b.Fatal(err)
			}
			var before, after int
			for b.Loop() {
				before = ticks(b)
				<-time.After(20 * time.Second) // this is what is measured: nothing happens
				after = ticks(b)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(number(b, "/proc/self/smaps_rollup", "Pss:"))/1024, "MB-PSS")
			b.ReportMetric(float64(number(b, "/proc/self/smaps_rollup", "Pss_Anon:"))/1024, "MB-PSS-anon")
			b.ReportMetric(float64(number(b, "/proc/self/status", "Threads:")), "threads")
			b.ReportMetric(float64(after-before), "ticks/20s")
			if len(s.actors) != n {
				b.Fatal("not all builds are there")
			}
		})
	}
}

// BenchmarkStatus measures what `status` costs with n builds, from the request over the control
// socket to the decoded response. The table is measured where it is made (cmd/cli/show); the start of
// the command's process, some 5 ms, is in neither.
func BenchmarkStatus(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := idle(b, n)
			s.cfg = &config.Config{}
			for i := range n {
				s.cfg.Builds = append(s.cfg.Builds, config.Build{Name: fmt.Sprintf("b%d", i)})
			}
			socket := filepath.Join(s.root, "control.sock")
			ln, err := control.Listen(socket)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(b.Context())
			served := make(chan error)
			go func() { served <- control.Serve(ctx, ln, s, s.metrics, s.log) }()
			client := control.Client{Socket: socket}
			var slowest time.Duration
			for b.Loop() {
				begun := time.Now()
				st, err := client.Status(ctx)
				if err != nil || len(st.Builds) != n {
					b.Fatal(len(st.Builds), err)
				}
				slowest = max(slowest, time.Since(begun))
			}
			b.ReportMetric(float64(slowest)/float64(time.Millisecond), "ms-slowest")
			stop()
			if err := <-served; err != nil {
				b.Error(err)
			}
			s.tasks.Wait()
		})
	}
}

// idle is a supervisor of n builds that all serve.
func idle(b *testing.B, n int) *Supervisor {
	b.Helper()
	root, err := os.MkdirTemp("", "mi")
	if err != nil {
		b.Fatal(err)
	}
	log := hclog.NewNullLogger()
	table, err := process.NewTable("", log)
	if err != nil {
		b.Fatal(err)
	}
	store, err := state.Open(filepath.Join(root, "state"))
	if err != nil {
		b.Fatal(err)
	}
	s := &Supervisor{Options: Options{Config: &config.Config{}}, hard: context.Background(), log: log, root: root, rootID: "idle", table: table, guard: newGuard(log), events: newEventLog(),
		saver: newSaver(store, log), actors: map[string]*actor{}, ended: make(chan struct{}), begun: make(chan struct{})}
	close(s.begun)
	s.logs.Store(root)
	s.metrics, s.front = control.NewMetrics("test", s), front.New(log)
	hard, kill := context.WithCancel(context.Background())
	debug.SetGCPercent(gcPercent)
	close(s.ended)
	b.Cleanup(func() {
		for _, a := range s.actors {
			a.post(machine.Shutdown{})
		}
		for _, a := range s.actors {
			<-a.done
		}
		kill()
		if err := table.Close(); err != nil {
			b.Error(err)
		}
		if err := os.RemoveAll(root); err != nil {
			b.Error(err)
		}
	})
	v := machine.Version{Release: "r", RunKey: "k"}
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
			b.Fatal(err)
		}
		a := newActor(s, name, hard)
		a.entry = &config.Build{Name: name, SocketMode: 0o660, GracefulTimeout: time.Second,
			Health: config.Health{Interval: time.Hour, StartTimeout: time.Hour, Timeout: time.Hour, Failures: 3}}
		a.health.Store(&a.entry.Health)
		a.launches[v] = &launch{spec: process.Spec{Argv: []string{"sleep", "100000"}, Env: []string{"PATH=/usr/bin:/bin"}}}
		a.state = &machine.State{Want: machine.WantServe, Open: true, Release: v.Release, RunKey: v.RunKey, Proven: v, Spawned: 1,
			Serving: machine.Generation{N: 1, Version: v, Ready: true}}
		if answer := a.open(); answer != (machine.Opened{}) {
			b.Fatal(answer)
		}
		g, err := a.begin(machine.Spawn{N: 1, Version: v, Public: true})
		if err != nil {
			b.Fatal(err)
		}
		a.generations[1] = g
		s.actors[name] = a
		a.post(machine.ProbeOK{N: 1}) // a first turn, as every build has had
		a.watch(g)
	}
	return s
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

// number is the first number behind a word of a file in /proc.
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
