package e2e

import (
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

// BenchmarkUpgrade has the supervisor replaced again and again under 100 requests a second, beside the same load undisturbed.
func BenchmarkUpgrade(b *testing.B) {
	w := NewWorld(b, One())
	w.Serve("one")
	for b.Loop() {
		tr := w.Load("one", 100)
		tr.WaitMore(b, 50*deaths)
		quiet := tr.Stop()
		tr = w.Load("one", 100)
		for range deaths {
			w.Upgrade()
			tr.WaitMore(b, 50)
		}
		r := tr.Stop()
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ms(r.P99), "ms-p99")
		b.ReportMetric(ms(quiet.P99), "ms-p99-undisturbed")
		b.ReportMetric(float64(r.Lost()), "lost")
		b.ReportMetric(float64(r.Total), "requests")
	}
}
