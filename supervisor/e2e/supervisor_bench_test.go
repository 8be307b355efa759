package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// deaths is how often the supervisor dies, or is replaced, in a benchmark.
const deaths = 50

// BenchmarkSupervisorKilled kills the supervisor with -9 under 100 requests a second, starts it again after a second, and counts what was lost and
// in how many rounds the same gunicorn, and no other, served on.
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

// BenchmarkUpgrade has the supervisor replaced every half second under 100 requests a second, by the command or by a signal, in turn with the
// same load undisturbed, so that a machine whose speed drifts is as slow for both. The front's clients wait while there is no program to serve
// them; the sockets' do not.
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

// upgrades counts those that were done, by the log.
func (w *World) upgrades() int { return strings.Count(w.Log(), "supervisor was upgraded") }
