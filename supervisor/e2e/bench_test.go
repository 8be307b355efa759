package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised is one way to keep a gunicorn of the tiny project running, measured next to the
// others.
type supervised struct {
	name   string
	socket string
	master func() int // pid of the gunicorn that should serve now; 0 while there is none
}

// BenchmarkCrash kills the gunicorn master with -9, again and again under 100 requests a second,
// and measures how long it is until the next good answer to a request sent after the kill, and what
// was lost. Debian's supervisor and runit, if installed, run the same gunicorn in the way their own
// documentation shows.
func BenchmarkCrash(b *testing.B) {
	for _, way := range []struct {
		name  string
		start func(testing.TB) *supervised
	}{{"medctrl-supervisor", ours}, {"supervisor", bySupervisord}, {"runit", byRunit}} {
		b.Run(way.name, func(b *testing.B) {
			s := way.start(b)
			if s == nil {
				b.Skip(way.name + " is not installed")
			}
			waitAnswer(b, s.socket)
			tr := StartLoad(b, Load{Network: "unix", Addr: s.socket, Rate: 100})
			var took []time.Duration
			for b.Loop() {
				tr.WaitMore(b, 50)
				pid := s.master()
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				begun := time.Now()
				waitAnswerFrom(b, s, pid)
				took = append(took, time.Since(begun))
				// Longer than a stable life takes here, so that no backoff is measured.
				tr.WaitMore(b, 120)
			}
			r := tr.Stop()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ms(median(took)), "ms/next-answer")
			b.ReportMetric(float64(r.Lost())/float64(len(took)), "lost/crash")
			b.ReportMetric(float64(r.Total), "requests")
		})
	}
}

// BenchmarkEdit saves a settings file under load and measures the time until the new release
// answers, compared with the time that the same gunicorn started by hand needs for its first
// answer; and the longest gap between answers, compared with that of the same load undisturbed.
func BenchmarkEdit(b *testing.B) {
	w := NewWorld(b, One())
	w.Defaults = nil // check and migrate run, as by default
	w.WriteConfig()
	w.Start()
	w.WaitState("one", "running")

	var edits, alone []time.Duration
	for range 5 {
		alone = append(alone, gunicornAlone(b, w))
	}
	tr := w.Load("one", 100)
	tr.WaitMore(b, 500)
	quiet := tr.Stop()

	tr = w.Load("one", 100)
	for b.Loop() {
		banner := fmt.Sprintf("edit%d", len(edits))
		begun := time.Now()
		w.SetBanner("one", banner, RenameOver)
		w.WaitBanner("one", banner)
		edits = append(edits, time.Since(begun))
	}
	busy := tr.Stop()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(median(edits)), "ms/edit-to-release")
	b.ReportMetric(ms(median(alone)), "ms/gunicorn-alone")
	b.ReportMetric(ms(quiet.LongestGap), "ms/gap-undisturbed")
	b.ReportMetric(ms(busy.LongestGap), "ms/gap-exchanging")
	b.ReportMetric(float64(busy.Lost()), "lost")
}

// gunicornAlone measures `python -m gunicorn` on the serving release, from its start to its first
// answer.
func gunicornAlone(b *testing.B, w *World) time.Duration {
	b.Helper()
	socket := filepath.Join(w.Dir, "alone.sock")
	begun := time.Now()
	stop := startGunicorn(b, filepath.Join(w.Root, "one", "current", "API"), socket, w.Data("one", ""))
	waitAnswer(b, socket)
	took := time.Since(begun)
	stop()
	return took
}

// BenchmarkPeersIdle measures what Debian's supervisor and runit need to watch trivial children:
// memory (PSS, all their own processes) and CPU ticks (10 ms each) in 5 s of idleness.
// BenchmarkIdle of the package process is the same for our own.
func BenchmarkPeersIdle(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		for _, peer := range []struct {
			name  string
			start func(testing.TB, int) []int
		}{{"supervisor", supervisordWith}, {"runit", runitWith}} {
			b.Run(fmt.Sprintf("%s/%d", peer.name, n), func(b *testing.B) {
				var memory, ticks, processes int
				for b.Loop() {
					own := peer.start(b, n)
					if own == nil {
						b.Skip(peer.name + " is not installed")
					}
					before := cpuTicks(b, own)
					<-time.After(5 * time.Second) // this is what is measured: five idle seconds
					ticks = cpuTicks(b, own) - before
					memory, processes = pssKB(b, own), len(own)
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(memory)/1024, "MB-PSS")
				b.ReportMetric(float64(ticks), "ticks/5s")
				b.ReportMetric(float64(processes), "own-processes")
			})
		}
	}
}

func ours(t testing.TB) *supervised {
	t.Helper()
	w := NewWorld(t, One(`stable_after = "1s"`))
	w.Start()
	w.WaitState("one", "running")
	return &supervised{name: "medctrl-supervisor", socket: w.Socket("one"), master: func() int {
		st, err := w.Status()
		if err != nil {
			t.Fatal(err)
		}
		return st.Build("one").Pid
	}}
}

func median(all []time.Duration) time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// waitAnswer waits for a good answer on a socket.
func waitAnswer(t testing.TB, socket string) {
	t.Helper()
	Eventually(t, 30*time.Second, "an answer on "+socket, func() (bool, string) {
		a, err := Ask("unix", socket, "/")
		return err == nil && a.Status == 200, fmt.Sprint(a, err)
	})
}

// waitAnswerFrom waits for a good answer that does not come from the master that was killed or its
// workers.
func waitAnswerFrom(t testing.TB, s *supervised, killed int) {
	t.Helper()
	Eventually(t, 60*time.Second, "an answer after the crash", func() (bool, string) {
		a, err := Ask("unix", s.socket, "/")
		ok := err == nil && a.Status == 200 && !strings.Contains(a.Body, fmt.Sprintf(`"master": %d,`, killed)) && !strings.Contains(a.Body, `"master": 1,`)
		return ok, fmt.Sprint(a, err)
	})
}

func gunicornArgs(socket string) []string {
	return []string{"-m", "gunicorn", "--workers", "2", "--bind", "unix:" + socket, "api_settings.wsgi:application"}
}

// startGunicorn runs a gunicorn in its own session and returns a function that ends it.
func startGunicorn(t testing.TB, dir, socket, data string) (stop func()) {
	t.Helper()
	cmd := exec.Command(python, gunicornArgs(socket)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), projectEnv(data)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(cmd); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have died already
		_ = cmd.Wait()                                      // the error says that it was killed
	}
}

func projectEnv(data string) []string {
	return []string{"MEDCTRL_DATA=" + data, "DJANGO_SETTINGS_MODULE=api_settings.settings.deploy_one", "PYTHONDONTWRITEBYTECODE=1"}
}
