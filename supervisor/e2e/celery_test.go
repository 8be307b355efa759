package e2e

import (
	"fmt"
	"maps"
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

// queueApp is a Celery application with the settings of docs/processes.md. Each task writes down that it is done,
// and by which release.
const queueApp = `import os, sys, time
from celery import Celery
app = Celery("queue_app", broker="redis+socket://" + os.environ["QUEUE"])
app.conf.task_acks_late = True
app.conf.task_reject_on_worker_lost = True
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = {"visibility_timeout": 3600}
app.conf.task_ignore_result = True
app.conf.beat_schedule = {"tick": {"task": "queue_app.tick", "schedule": 1.0}}
def write(file, line):
    with open(os.path.join(os.environ["MEDCTRL_DATA"], file), "a") as f:
        f.write(line + "\n")
@app.task
def note(n, takes):
    write("begun", str(n))
    time.sleep(takes)
    write("done", "%d %s" % (n, os.environ["MEDCTRL_RELEASE"]))
@app.task
def tick():
    write("ticks", os.environ["MEDCTRL_RELEASE"])
if __name__ == "__main__":
    takes = float(sys.argv[2])
    for n in range(int(sys.argv[1])):
        note.delay(n, takes)
`

// redis starts one of the test's own and returns its socket.
func redis(t testing.TB, dir string) string {
	t.Helper()
	daemon, err := exec.LookPath("redis-server")
	if err != nil { // Debian's redis-tools has the same program by another name, without a service
		daemon, err = exec.LookPath("redis-check-rdb")
	}
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command(python, "-c", "import celery, redis").CombinedOutput(); err != nil {
		t.Skipf("%s cannot import them: %s", python, lastLines(string(out), 1))
	}
	socket := filepath.Join(dir, "s")
	server := exec.Command(daemon, "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", dir, "--logfile", filepath.Join(dir, "log"))
	server.Args[0] = "redis-server"
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill() // what it knows goes as well
		server.Wait()         // it was killed
	})
	Eventually(t, patience, "redis", func() (bool, string) { _, err := os.Stat(socket); return err == nil, fmt.Sprint(err) })
	return socket
}

// documentedCelery returns the processes that docs/processes.md shows.
func documentedCelery(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/processes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "### Celery\n\n```toml\n")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/processes.md shows no Celery")
	}
	return strings.ReplaceAll(block, "api_settings", "queue_app")
}

// queueWorld is a build with the documented workers, and two schedules.
func queueWorld(t testing.TB) *World {
	t.Helper()
	w := NewWorld(t, One(stableSoon, documentedCelery(t), `
[[build.schedule]]
name = "often"
command = ["sh", "-c", "echo x >> {data}/often"]
every = "1s"
[[build.schedule]]
name = "long"
command = ["sleep", "2"]
every = "3s"
`))
	w.Defaults = append(w.Defaults, fmt.Sprintf("env = { QUEUE = %q }", redis(t, ShortDir(t))))
	if err := os.WriteFile(filepath.Join(w.Source, "API", "queue_app.py"), []byte(queueApp), 0o644); err != nil {
		t.Fatal(err)
	}
	w.WriteConfig()
	return w
}

// lines returns those of a file in the data of build one.
func (w *World) lines(file string) []string {
	return strings.Split(strings.TrimSuffix(readAll(w.Data("one", file)), "\n"), "\n")
}

// overDeploys has jobs done while the build is deployed again and again under load, and returns which
// releases did them.
func (w *World) overDeploys(jobs, deploys int, takes time.Duration, meanwhile func(n int)) []string {
	t := w.t
	t.Helper()
	w.Serve("one")
	w.WaitStatus("one", "its processes", func(b BuildStatus) bool {
		running := 0
		for _, p := range b.Processes {
			running += map[bool]int{true: 1}[p.State == "running"]
		}
		return running == 3
	})
	tr := w.Load("one", 100)
	w.MustCLI("run", "one", "--", "python", "queue_app.py", strconv.Itoa(jobs), fmt.Sprint(takes.Seconds()))
	atWork := func(release string) {
		Eventually(t, patience, "a job that release "+release+" has done", func() (bool, string) {
			done := w.lines("done")
			return len(done) >= jobs || slices.ContainsFunc(done, func(line string) bool { return strings.HasSuffix(line, " "+release) }), fmt.Sprint(len(done))
		})
	}
	for n := range deploys {
		atWork(w.WaitState("one", "running").Release)
		w.SetBanner("one", fmt.Sprintf("deploy %d", n), RenameOver)
		if out := w.MustCLI("deploy", "one"); !strings.Contains(out, "no request lost") {
			t.Errorf("deploy said %q", out)
		}
		meanwhile(n)
	}
	Eventually(t, 10*patience, "all jobs to be done", func() (bool, string) {
		n := len(w.lines("done"))
		return n >= jobs, fmt.Sprintf("%d of %d, %d begun", n, jobs, len(w.lines("begun")))
	})
	tr.Stop().NoneLost(t)
	times, releases := map[string]int{}, map[string]int{}
	for _, line := range w.lines("done") {
		n, release, _ := strings.Cut(line, " ")
		times[n]++
		releases[release]++
	}
	for n := range jobs {
		if got := times[strconv.Itoa(n)]; got != 1 {
			t.Errorf("job %d was done %d times", n, got)
		}
	}
	if begun := len(w.lines("begun")); begun != jobs {
		t.Errorf("%d jobs were begun, want %d", begun, jobs)
	}
	return slices.Sorted(maps.Keys(releases))
}

// A worker of the old release finishes the task that it is at, and the one of the new release goes on.
func TestCeleryLosesNoTaskAndDoesNoneTwice(t *testing.T) {
	t.Parallel()
	w := queueWorld(t)
	releases := w.overDeploys(120, 2, 200*time.Millisecond, func(n int) {
		if n == 0 { // the second deploy is another supervisor's
			w.Signal(syscall.SIGKILL)
			w.WaitEnd(10 * time.Second)
			w.Start()
			w.WaitState("one", "running")
		}
	})
	if len(releases) < 2 {
		t.Errorf("only releases %q did anything", releases)
	}
	Eventually(t, patience, "tasks that beat has sent, and runs of a schedule", func() (bool, string) {
		ticks, often := len(w.lines("ticks")), len(w.lines("often"))
		return ticks > 2 && often > 2, fmt.Sprint(ticks, often)
	})
}

// BenchmarkCeleryOverDeploys is the same with 1,000 tasks and 20 deploys, at 100 requests a second.
func BenchmarkCeleryOverDeploys(b *testing.B) {
	const jobs, deploys = 1000, 20
	w := queueWorld(b)
	for b.Loop() {
		os.Remove(w.Data("one", "begun")) // there is none the first time
		os.Remove(w.Data("one", "done"))
		releases := w.overDeploys(jobs, deploys, 300*time.Millisecond, func(int) {})
		b.ReportMetric(float64(len(releases)), "releases")
	}
	b.ReportMetric(float64(len(w.lines("often"))), "runs")
	b.ReportMetric(float64(len(w.lines("ticks"))), "ticks")
}
