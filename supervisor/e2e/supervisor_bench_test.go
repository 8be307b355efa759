package e2e

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// deaths is how often the supervisor dies or is replaced in a benchmark.
const deaths = 50

// BenchmarkSupervisorKilled kills the supervisor with -9 under 100 requests a second, starts it
// again after a second, and counts what was lost and in how many rounds the same gunicorn kept
// serving.
func BenchmarkSupervisorKilled(b *testing.B) {
	w := NewWorld(b, One())
	first := w.Serve("one")
	for b.Loop() {
		tr := w.Load("one", 100)
		same := 0
		for range deaths {
			w.Signal(syscall.SIGKILL)
			w.WaitEnd(10 * time.Second)
			tr.WaitMore(b, 100)
			w.Start()
			if now := w.WaitState("one", "running"); now.Pid == first.Pid && len(Tree(first.Pid)) == 1+workers {
				same++
			}
		}
		r := tr.Stop()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(same), "same-gunicorn/50")
		b.ReportMetric(float64(r.Lost()), "lost")
		b.ReportMetric(float64(r.Total), "requests")
	}
}

// BenchmarkUpgrade replaces the supervisor every half second under 100 requests a second, by the
// command or by a signal, alternating with the same load undisturbed, so that drifts in the
// machine's speed affect both. The front's clients wait while there is no program to serve them;
// the sockets' do not.
func BenchmarkUpgrade(b *testing.B) {
	const pause, rounds = 500 * time.Millisecond, 10
	for _, way := range []string{"socket by signal", "socket by command", "front by signal"} {
		b.Run(way, func(b *testing.B) {
			w := NewWorld(b, One())
			w.Serve("one")
			for b.Loop() {
				tr := w.Load("one", 100)
				if strings.HasPrefix(way, "front") {
					tr.Stop()
					tr = w.FrontLoad("/one/", 100)
				}
				tr.WaitMore(b, 100)
				before, upgrade := w.upgrades(), w.Upgrade
				if strings.HasSuffix(way, "signal") {
					upgrade = func() { w.Signal(syscall.SIGUSR2) }
				}
				segment := func(step func()) span {
					begun := tr.Since()
					for range deaths / rounds {
						next := tr.Since() + pause
						step()
						tr.WaitUntil(b, next)
					}
					return span{begun, tr.Since()}
				}
				var busy, quiet []span
				for range rounds {
					busy = append(busy, segment(upgrade))
					quiet = append(quiet, segment(func() {}))
				}
				r := tr.Stop()
				if done := w.upgrades() - before; done != deaths {
					b.Errorf("%d upgrades, want %d", done, deaths)
				}
				disturbed, undisturbed := r.Within(busy...), r.Within(quiet...)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(disturbed.P99)/float64(undisturbed.P99), "p99-ratio")
				b.ReportMetric(ms(disturbed.P99), "ms-p99")
				b.ReportMetric(ms(undisturbed.P99), "ms-p99-undisturbed")
				b.ReportMetric(ms(disturbed.Slowest), "ms-slowest")
				b.ReportMetric(float64(r.Lost()), "lost")
				b.ReportMetric(float64(disturbed.Total), "requests")
			}
		})
	}
}

// BenchmarkAdopt kills the supervisor of 1,000 serving builds, starts it again, and measures the
// time until its first answer to `status` with all builds adopted, and how many threads it has
// then. It does the same for an upgrade in place.
func BenchmarkAdopt(b *testing.B) {
	const builds = 1000
	w := NewWorld(b)
	w.Supervisor = []string{fmt.Sprintf("max_parallel_builds = %d", runtime.NumCPU())}
	w.Defaults = append(w.Defaults, "collectstatic = false", `command = ["{python}", "-I", "-S", "idle_server.py"]`)
	names, entries := w.many(builds)
	w.SetBuilds(entries...)
	w.Start()
	for _, name := range names {
		// polling the status all the time would slow it down
		Eventually(b, time.Hour, "a release of "+name, func() (bool, string) {
			_, err := os.Lstat(filepath.Join(w.Root, name, "current"))
			return err == nil, fmt.Sprint(err)
		})
	}
	before := w.adopted(b, builds, time.Minute)
	again := func(b *testing.B, how func() (begun time.Time)) {
		var slowest, total time.Duration
		threads, rounds := 0, 0
		for b.Loop() {
			begun := how()
			now := w.adopted(b, builds, time.Minute)
			took := time.Since(begun)
			if !maps.Equal(now, before) {
				b.Error("other processes serve")
			}
			slowest, total, rounds = max(slowest, took), total+took, rounds+1
			threads = max(threads, w.threads())
			<-time.After(3 * time.Second) // a start ends with a look at every source
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ms(total)/float64(rounds), "ms-mean")
		b.ReportMetric(ms(slowest), "ms-slowest")
		b.ReportMetric(float64(threads), "threads")
	}
	b.Run("killed", func(b *testing.B) {
		again(b, func() time.Time {
			w.Signal(syscall.SIGKILL)
			w.WaitEnd(10 * time.Second)
			begun := time.Now()
			w.Start()
			return begun
		})
	})
	b.Run("upgraded", func(b *testing.B) {
		again(b, func() time.Time {
			begun, n := time.Now(), w.upgrades()
			w.Signal(syscall.SIGUSR2)
			Eventually(b, time.Minute, "the upgrade", func() (bool, string) { return w.upgrades() > n, "" })
			return begun
		})
	})
}

// many makes n builds with a small source each, and returns their names and entries.
func (w *World) many(n int) (names, entries []string) {
	w.t.Helper()
	server, err := os.ReadFile("testdata/idle_server.py")
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprintf("b%d", i)
		app := filepath.Join(w.Dir, "many", name, "API")
		settings := filepath.Join(app, "api_settings", "settings")
		err := os.MkdirAll(settings, 0o755)
		for path, text := range map[string][]byte{
			filepath.Join(settings, "deploy_"+name+".py"):        nil,
			filepath.Join(app, "manage.py"):                      nil,
			filepath.Join(app, "idle_server.py"):                 server,
			filepath.Join(filepath.Dir(app), "requirements.txt"): nil,
		} {
			err = errors.Join(err, os.WriteFile(path, text, 0o644))
		}
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, name)
		entries = append(entries, Entry(name, fmt.Sprintf("source = %q", "many/"+name)))
	}
	return names, entries
}

// adopted waits for a `status` in which n builds serve, and returns their pids.
func (w *World) adopted(t testing.TB, n int, limit time.Duration) map[string]int {
	t.Helper()
	pids := map[string]int{}
	Eventually(t, limit, fmt.Sprintf("%d serving builds", n), func() (bool, string) {
		st, err := w.Status()
		if err != nil {
			return false, err.Error()
		}
		clear(pids)
		for _, b := range st.Builds {
			if b.State == "running" {
				pids[b.Name] = b.Pid
			}
		}
		return len(pids) == n, fmt.Sprintf("%d serve", len(pids))
	})
	return pids
}

// threads returns how many threads the supervisor has.
func (w *World) threads() int {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", w.Pid()))
	if err != nil {
		w.t.Fatal(err)
	}
	return len(tasks)
}

// upgrades returns how many upgrades were done, from the log.
func (w *World) upgrades() int { return strings.Count(w.Log(), "supervisor was upgraded") }
