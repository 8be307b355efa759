package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

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
