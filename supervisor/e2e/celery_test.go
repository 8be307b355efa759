package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// queueTasks write down what was done, once for each time that it was.
const queueTasks = `import os
import time

import redis
from celery import shared_task

store = redis.Redis(unix_socket_path=os.environ["QUEUE_SOCKET"])
release = os.environ["MEDCTRL_RELEASE"]


@shared_task
def job(n):
    time.sleep(0.01)
    store.rpush("done", n)


@shared_task
def long(name):
    store.rpush("began:" + name, "%s %d" % (release, os.getpid()))
    while not store.exists("go:" + name):
        time.sleep(0.02)
    store.rpush("ended:" + name, release)


@shared_task
def tick():
    store.rpush("ticks", release)
`

// queuePage has a request put tasks into the queue, as applications do.
const queuePage = `from django.http import HttpResponse
from django.urls import path

from things import tasks

from .urls import urlpatterns as others


def queue(request):
    begin = int(request.GET.get("from", 0))
    for n in range(begin, begin + int(request.GET.get("n", 0))):
        tasks.job.delay(n)
    if "long" in request.GET:
        tasks.long.delay(request.GET["long"])
    return HttpResponse("queued")


urlpatterns = [path("queue", queue)] + others
`

// queueSettings are in addition to those of the documentation.
const queueSettings = `
ROOT_URLCONF = "api_settings.queue"
CELERY_BEAT_SCHEDULE = {"tick": {"task": "things.tasks.tick", "schedule": 0.5}}
`

// queue is a build with celery's workers and beat, as docs/processes.md has it, on a Redis of the test's own.
type queue struct {
	*World
	t        testing.TB
	socket   string
	settings string
	jobs     int // that were put into it
}

// newQueue skips the test where there is no celery or Redis. workers is the count of the worker, more is
// added to the entry.
func newQueue(t testing.TB, workers int, more string) *queue {
	t.Helper()
	for _, program := range []string{redisServer(), "redis-cli", "celery"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	if out, err := exec.Command(python, "-c", "import celery, redis").CombinedOutput(); err != nil {
		t.Skipf("%s cannot import them: %s", python, lastLines(string(out), 1))
	}
	blocks := documented(t, "../../docs/processes.md", "## Celery")
	if len(blocks) != 3 {
		t.Fatalf("the section on celery has %d blocks, want the processes, the app and the settings", len(blocks))
	}
	_, processes, _ := strings.Cut(blocks[0], "\n\n") // the entry itself is the world's
	processes = strings.Replace(processes, "count = 2", fmt.Sprint("count = ", workers), 1)
	w := NewWorld(t)
	q := &queue{World: w, t: t, socket: filepath.Join(w.Dir, "redis", "s"), settings: blocks[2] + queueSettings}
	env := fmt.Sprintf("env = { CELERY_BROKER_URL = %q, QUEUE_SOCKET = %q }", "redis+socket://"+q.socket, q.socket)
	w.SetBuilds(One("workers = 1", "collectstatic = false", env, stableSoon, processes, more))
	w.WithDjango()
	for path, text := range map[string]string{
		"api_settings/celery.py": blocks[1], "api_settings/__init__.py": "from .celery import app as celery_app\n",
		"api_settings/queue.py": queuePage, "things/tasks.py": queueTasks,
	} {
		if err := os.WriteFile(filepath.Join(w.Source, "API", path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	q.banner("one")
	q.startRedis()
	return q
}

// documented returns the blocks of code in a section of a file.
func documented(t testing.TB, file, heading string) (blocks []string) {
	t.Helper()
	_, section, found := strings.Cut(readAll(file), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %s", file, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?ms)^```[a-z]+\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// redisServer is the name of Redis: Debian's redis-tools has it by another one, without the service.
func redisServer() string {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return "redis-check-rdb"
	}
	return "redis-server"
}

func (q *queue) startRedis() {
	q.t.Helper()
	dir := filepath.Dir(q.socket)
	if err := os.Mkdir(dir, 0o755); err != nil {
		q.t.Fatal(err)
	}
	// Not in the world's folder, and not by a path in it: else it would count as the world's.
	server := exec.Command(redisServer(), "--port", "0", "--unixsocket", "s", "--save", "", "--appendonly", "no", "--dir", ".")
	server.Args[0], server.Dir = "redis-server", dir
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(server); err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(func() {
		server.Process.Kill() // its data goes as well
		server.Wait()         // it was killed
	})
	Eventually(q.t, patience, "Redis", func() (bool, string) {
		out, err := exec.Command("redis-cli", "-s", q.socket, "PING").CombinedOutput()
		return err == nil && string(out) == "PONG\n", string(out)
	})
}

// redis returns the lines that a command of Redis prints.
func (q *queue) redis(args ...string) []string {
	q.t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"-s", q.socket}, args...)...).CombinedOutput()
	if err != nil {
		q.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return strings.Fields(string(out))
}

// list returns a list, each entry with its words joined by spaces.
func (q *queue) list(key string) []string {
	q.t.Helper()
	out, err := exec.Command("redis-cli", "-s", q.socket, "LRANGE", key, "0", "-1").CombinedOutput()
	if err != nil {
		q.t.Fatalf("%v\n%s", err, out)
	}
	if text := strings.TrimSpace(string(out)); text != "" {
		return strings.Split(text, "\n")
	}
	return nil
}

// banner saves the settings, which makes another release.
func (q *queue) banner(banner string) {
	q.t.Helper()
	q.SaveSettings("one", fmt.Sprintf("BANNER = %q\n%s", banner, q.settings), RenameOver)
}

// put puts n more jobs into the queue.
func (q *queue) put(n int) {
	q.t.Helper()
	q.ask(fmt.Sprintf("/queue?from=%d&n=%d", q.jobs, n))
	q.jobs += n
}

func (q *queue) ask(path string) {
	q.t.Helper()
	if answer := MustAsk(q.t, "unix", q.Socket("one"), path); answer.Status != 200 {
		q.t.Fatalf("%s: %d %s", path, answer.Status, lastLines(answer.Body, 5))
	}
}

// begin puts a task into the queue that ends when it is told to, and returns of which release and in which
// process it is under way.
func (q *queue) begin(name string) (release string, pid int) {
	q.t.Helper()
	q.ask("/queue?long=" + name)
	Eventually(q.t, 60*time.Second, "the begin of task "+name, func() (bool, string) {
		began := q.list("began:" + name)
		if len(began) == 0 {
			return false, q.BuildLog("one")
		}
		fmt.Sscan(began[0], &release, &pid)
		return true, ""
	})
	return release, pid
}

// end lets a task end, and returns of which releases it has.
func (q *queue) end(name string) []string {
	q.t.Helper()
	q.redis("SET", "go:"+name, "1")
	Eventually(q.t, 60*time.Second, "the end of task "+name, func() (bool, string) {
		return len(q.list("ended:"+name)) > 0, lastLines(q.BuildLog("one"), 20)
	})
	return q.list("ended:" + name)
}

// settle waits until the queue is empty and nothing is under way, and says what was not done once.
func (q *queue) settle() (lost, twice int) {
	q.t.Helper()
	Eventually(q.t, 3*time.Minute, "an empty queue", func() (bool, string) {
		left := strings.Join(append(q.redis("LLEN", "celery"), q.redis("HLEN", "unacked")...), " ")
		return left == "0 0", left
	})
	times := map[int]int{}
	for _, text := range q.list("done") {
		n, err := strconv.Atoi(text)
		if err != nil {
			q.t.Fatal(err)
		}
		times[n]++
	}
	for n := range q.jobs {
		switch {
		case times[n] == 0:
			lost++
		case times[n] > 1:
			twice++
		}
	}
	return lost, twice
}

// A task that is under way at a deploy is finished by the worker that has begun it, and no job is lost or
// done twice, also where the supervisor dies meanwhile. What a killed pool process had comes again.
func TestCeleryAsDocumentedLosesNoJob(t *testing.T) {
	t.Parallel()
	q := newQueue(t, 1, "")
	first := q.Serve("one")
	q.put(20)
	release, pid := q.begin("a")
	if release != first.Release {
		t.Errorf("task a is done by release %s, serving is %s", release, first.Release)
	}
	tr := q.Load("one", 20)
	q.put(20)
	q.banner("second")
	q.MustCLI("deploy", "one")
	q.WaitBanner("one", "second")
	q.put(20)
	second := q.WaitState("one", "running").Release
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the process that does task a, after a deploy: %v", err)
	}
	q.Signal(syscall.SIGKILL)
	q.WaitEnd(10 * time.Second)
	q.Start()
	q.WaitState("one", "running")
	if ended := q.end("a"); !slices.Equal(ended, []string{first.Release}) || len(q.list("began:a")) != 1 {
		t.Errorf("task a was begun by %q and ended by %q, want both once, by release %s", q.list("began:a"), ended, first.Release)
	}
	tr.GoOn(t, calm)
	tr.Stop().NoneLost(t)
	if lost, twice := q.settle(); lost+twice > 0 {
		t.Errorf("of %d jobs %d were lost, %d done twice", q.jobs, lost, twice)
	}
	Eventually(t, patience, "beat of the last release", func() (bool, string) {
		return slices.Contains(q.list("ticks"), second), fmt.Sprint(q.list("ticks"))
	})
	_, pid = q.begin("b")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	q.end("b")
	q.Stop()
}

// BenchmarkCeleryOverDeploys has 1,000 jobs done over 20 deploys at 100 requests a second, with three
// processes and two schedules beside gunicorn. What a deploy takes is the four boots of Django, of gunicorn,
// two workers and beat.
func BenchmarkCeleryOverDeploys(b *testing.B) {
	const deploys, each = 20, 50
	q := newQueue(b, 2, `
[[build.schedule]]
name = "often"
command = ["true"]
every = "1s"
[[build.schedule]]
name = "long"
command = ["sleep", "2"]
every = "3s"
`)
	q.Serve("one")
	for n := 0; b.Loop(); n++ {
		tr := q.Load("one", 100)
		doubted, took := 0, []time.Duration(nil)
		for deploy := range deploys {
			banner := fmt.Sprintf("deploy %d.%d", n, deploy)
			q.put(each)
			q.banner(banner)
			begun := time.Now()
			out := q.MustCLI("deploy", "one")
			took = append(took, time.Since(begun))
			if !strings.HasSuffix(out, ", no request lost\n") {
				doubted++
				b.Log(lastLine(out))
			}
			q.WaitBanner("one", banner)
		}
		lost, twice := q.settle()
		r := tr.Stop()
		r.NoneLost(b)
		if lost+twice > 0 {
			b.Errorf("of %d jobs %d were lost, %d done twice", q.jobs, lost, twice)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(deploys-doubted), fmt.Sprintf("deploys-none-lost/%d", deploys))
		b.ReportMetric(ms(median(took)), "ms-deploy")
		b.ReportMetric(float64(r.Total), "requests")
		b.ReportMetric(float64(r.Lost()), "lost")
		b.ReportMetric(float64(q.jobs), "jobs")
		b.ReportMetric(float64(lost+twice), "jobs-lost-or-twice")
	}
}
