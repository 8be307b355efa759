package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkTreeOfTwo takes one of two whole server trees away, 25 times by kill -9 and 25 times by
// SIGSTOP, under 100 requests a second, and compares the longest gap between responses until another one
// serves in its place with that of the same load, for as long, right after. What the generator was late
// with a request is taken off: that is the machine's doing, whose processors others use as well.
func BenchmarkTreeOfTwo(b *testing.B) {
	const rounds, within = 25, 10 * time.Millisecond
	for _, how := range []struct {
		name string
		sig  syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"stopped", syscall.SIGSTOP}} {
		b.Run(how.name, func(b *testing.B) {
			w := NewWorld(b, One(`health = { interval = "200ms", timeout = "500ms", failures = 2, start_timeout = "20s" }`, stableSoon, "replicas = 2"))
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
					w.MustCLI("deploy", "one")
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

// BenchmarkOnlyTree kills the only server tree with -9 and measures the time until a client has an answer
// who came right after, in turns with the first answer of a gunicorn that is started by hand on a
// listener on which a client waits: by the supervisor's command line, and by gunicorn's own defaults. What
// the supervisor adds is its share of the gap; the rest is gunicorn's boot and the application's.
func BenchmarkOnlyTree(b *testing.B) {
	const rounds = 15
	for _, application := range []string{"light", "Django"} {
		b.Run(application, func(b *testing.B) {
			w := NewWorld(b, One(stableSoon))
			if application == "Django" {
				w.WithDjango()
			}
			w.Serve("one")
			for b.Loop() {
				var gap, same, plain, share, started []time.Duration
				for range rounds {
					pid := w.replicas(1)[0]
					environ, argv := words(b, pid, "environ"), words(b, pid, "cmdline")
					same = append(same, bootsAlone(b, argv, environ, w.current("one")))
					plain = append(plain, bootsAlone(b, []string{argv[0], "-m", "gunicorn", "--workers", fmt.Sprint(workers), argv[len(argv)-1]}, environ, w.current("one")))
					KillAll(b, Tree(pid), syscall.SIGKILL)
					begun := time.Now()
					MustAsk(b, "unix", w.Socket("one"), "/")
					gap = append(gap, time.Since(begun))
					share = append(share, gap[len(gap)-1]-same[len(same)-1])
					next := w.replicas(1, pid)[0]
					started = append(started, begunAt(b, next).Sub(begun))
					<-time.After(calm) // the death after counts as the first one again
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(ms(median(gap)), "ms-gap")
				b.ReportMetric(ms(slices.Max(gap)), "ms-gap-most")
				b.ReportMetric(ms(median(same)), "ms-boot-by-hand")
				b.ReportMetric(ms(median(plain)), "ms-boot-plain")
				b.ReportMetric(ms(median(share)), "ms-share")
				b.ReportMetric(ms(median(started)), "ms-to-start")
			}
		})
	}
}

// BenchmarkRunOnce compares `run one true` with the command itself, in turns.
func BenchmarkRunOnce(b *testing.B) {
	const rounds = 50
	w := NewWorld(b, One())
	w.Serve("one")
	for b.Loop() {
		var bare, run, more []time.Duration
		for range rounds {
			begun := time.Now()
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
			bare = append(bare, time.Since(begun))
			begun = time.Now()
			w.MustCLI("run", "one", "true")
			run = append(run, time.Since(begun))
			more = append(more, run[len(run)-1]-bare[len(bare)-1])
		}
		slices.Sort(more)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(ms(median(bare)), "ms-bare")
		b.ReportMetric(ms(median(run)), "ms-run")
		b.ReportMetric(ms(median(more)), "ms-more")
		b.ReportMetric(ms(more[rounds*9/10]), "ms-more-p90")
	}
}

// current is the folder in which the serving release of a build runs.
func (w *World) current(name string) string { return filepath.Join(w.Root, name, "current", "API") }

// words reads a file of /proc whose words end with a zero byte.
func words(b *testing.B, pid int, file string) []string {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

// begunAt returns when a process was started, to a clock tick.
func begunAt(b *testing.B, pid int) time.Time {
	b.Helper()
	p, live := readProcess(fmt.Sprintf("/proc/%d", pid))
	var up float64
	ticks, err := strconv.ParseFloat(p.Start, 64)
	if _, scanErr := fmt.Sscan(readAll("/proc/uptime"), &up); !live || err != nil || scanErr != nil {
		b.Fatal(p, err, scanErr)
	}
	return time.Now().Add(-time.Duration((up - ticks/100) * float64(time.Second)))
}

// bootsAlone starts a gunicorn by hand on a listener on which a client waits, and returns how long that
// one does.
func bootsAlone(b *testing.B, argv, environ []string, dir string) time.Duration {
	b.Helper()
	path := filepath.Join(ShortDir(b), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.File()
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	// LISTEN_PID must be the server's own, and only the shell that becomes it knows that.
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"}, argv...)...)
	cmd.Dir, cmd.ExtraFiles = dir, []*os.File{file}
	for _, v := range environ {
		if !strings.HasPrefix(v, "LISTEN_") && !strings.HasPrefix(v, "MEDCTRL_READY_FD=") && !strings.HasPrefix(v, "MEDCTRL_MARK=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := StartBound(cmd); err != nil {
		b.Fatal(err)
	}
	MustAsk(b, "unix", path, "/")
	took := time.Since(begun)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have died already
	_ = cmd.Wait()                                      // the error says that it was killed
	return took
}

// replicas waits until n server trees of build "one" serve, none of them led by one of gone, and returns
// the pids of their masters.
func (w *World) replicas(n int, gone ...int) []int {
	w.t.Helper()
	return w.WaitStatus("one", fmt.Sprintf("%d server trees, none of them %v", n, gone), func(b BuildStatus) bool {
		return b.Replicas.Ready == n && len(b.Replicas.Pids) == n && !slices.ContainsFunc(b.Replicas.Pids, func(pid int) bool { return slices.Contains(gone, pid) })
	}).Replicas.Pids
}

// gap returns the longest time between good responses in a span, and when it began, as if each request had
// been sent when it was due.
func (r Result) gap(in span) (longest, at time.Duration) {
	var answered []time.Duration
	for _, s := range r.Shots {
		if at := s.Ended - s.Late; s.Outcome == OK && in.from <= at && at < in.to {
			answered = append(answered, at)
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
