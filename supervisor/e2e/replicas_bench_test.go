package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// BenchmarkTreeOfTwo takes one of two whole server trees away, 25 times by kill -9 and 25 times by
// SIGSTOP, under 100 requests a second, and compares the longest gap between answers until another one
// serves in its place with that of the same load, for as long, right after.
func BenchmarkTreeOfTwo(b *testing.B) {
	const rounds, within = 25, 10 * time.Millisecond
	for _, how := range []struct {
		name string
		sig  syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"stopped", syscall.SIGSTOP}} {
		b.Run(how.name, func(b *testing.B) {
			w := NewWorld(b, One(probedOften, stableSoon, "replicas = 2"))
			w.Serve("one")
			for b.Loop() {
				tr := w.Load("one", 100)
				var busy, quiet []span
				for range rounds {
					pids := w.replicas(2)
					tr.GoOn(b, calm)
					from := tr.Now()
					KillAll(b, Tree(pids[1]), how.sig)
					w.replicas(2, pids[1])
					tr.GoOn(b, calm)
					to := tr.Now()
					busy = append(busy, span{from, to})
					quiet = append(quiet, span{to, to + to - from})
					// Asking for the status, as during the first span, has its price too.
					w.WaitStatus("one", "as long an undisturbed span", func(BuildStatus) bool { return tr.Now() > to+to-from })
				}
				r := tr.Stop()
				r.NoneLostBut(b, rounds*workers)
				var more, undisturbed []time.Duration
				good := 0
				for i := range busy {
					quiet, _ := r.gap(quiet[i])
					gap, at := r.gap(busy[i])
					more, undisturbed = append(more, gap-quiet), append(undisturbed, quiet)
					if gap-quiet <= within {
						good++
					} else {
						b.Logf("round %d: longest gap %v, %v after the signal of %v, undisturbed %v; generator late by %v", i,
							gap.Round(time.Millisecond), (at - busy[i].from).Round(time.Millisecond), busy[i].from.Round(time.Millisecond), quiet.Round(time.Millisecond), r.late(at, at+gap).Round(time.Millisecond))
					}
				}
				slices.Sort(more)
				b.Logf("longest gap less the undisturbed one, of %d: %v; %v", rounds, more, r)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(good), fmt.Sprintf("within-10ms/%d", rounds))
				b.ReportMetric(ms(more[rounds/2]), "ms-more-median")
				b.ReportMetric(ms(more[rounds-1]), "ms-more-most")
				b.ReportMetric(ms(median(undisturbed)), "ms-gap-undisturbed")
				b.ReportMetric(float64(r.Lost()), "lost")
				b.ReportMetric(float64(r.Total), "requests")
			}
		})
	}
}

// BenchmarkReplicas deploys and kills one whole server tree with -9, 20 times each in turns, under 100
// requests a second: only what a killed worker held may be lost.
func BenchmarkReplicas(b *testing.B) {
	const rounds = 20
	for _, n := range []int{2, 4} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := NewWorld(b, One(probedOften, stableSoon, fmt.Sprintf("replicas = %d", n)))
			w.Serve("one")
			for b.Loop() {
				tr := w.Load("one", 100)
				for i := range rounds {
					pids := w.replicas(n)
					w.SetBanner("one", fmt.Sprintf("deploy%d", i), RenameOver)
					b.Logf("%s", w.MustCLI("deploy", "one"))
					pids = w.replicas(n, pids...)
					KillAll(b, Tree(pids[i%n]), syscall.SIGKILL)
					w.replicas(n, pids[i%n])
					tr.GoOn(b, calm)
				}
				r := tr.Stop()
				r.NoneLostBut(b, rounds*workers)
				for i := range rounds {
					if banner := fmt.Sprintf("deploy%d", i); r.ByBanner[banner] == 0 {
						b.Errorf("nobody had an answer from %s", banner)
					}
				}
				b.Log(r)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(r.Lost()), "lost")
				b.ReportMetric(ms(r.LongestGap), "ms-longest-gap")
				b.ReportMetric(float64(r.Total), "requests")
			}
		})
	}
}

// replicas waits until n server trees of build "one" serve, none of them led by one of gone, and returns
// the pids of their masters.
func (w *World) replicas(n int, gone ...int) []int {
	w.t.Helper()
	return w.WaitStatus("one", fmt.Sprintf("%d server trees, none of them %v", n, gone), func(b BuildStatus) bool {
		return b.Replicas.Ready == n && len(b.Replicas.Pids) == n && !slices.ContainsFunc(b.Replicas.Pids, func(pid int) bool { return slices.Contains(gone, pid) })
	}).Replicas.Pids
}

// gap returns the longest time between good answers in a span, and when it began.
func (r Result) gap(in span) (longest, at time.Duration) {
	var answered []time.Duration
	for _, s := range r.Shots {
		if s.Outcome == OK && in.from <= s.Ended && s.Ended < in.to {
			answered = append(answered, s.Ended)
		}
	}
	slices.Sort(answered)
	before := in.from
	for _, now := range append(answered, min(in.to, r.Ran)) {
		if now-before > longest {
			longest, at = now-before, before
		}
		before = now
	}
	return longest, at
}

// late returns the most that the generator itself was late with a request due from from to to.
func (r Result) late(from, to time.Duration) (most time.Duration) {
	for _, s := range r.Shots {
		if from <= s.Due && s.Due < to {
			most = max(most, s.Late)
		}
	}
	return most
}
