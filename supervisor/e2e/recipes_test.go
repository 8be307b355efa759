package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// recipe is a server of docs/servers.md.
type recipe struct {
	name  string
	needs string   // a Python module that the interpreter must have
	lines []string // of its build's entry
	rate  float64  // how many short requests a second it was measured to carry on two busy processors
	slow  float64  // how many requests of 400 ms it can take beside them
	quick bool     // part of every run
}

const waitress = `import socket, waitress; from api_settings.wsgi import application; ` +
	`waitress.serve(application, sockets=[socket.socket(fileno=3)], backlog=2048, threads=8)`

// command is the line of an entry.
func command(args ...string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = fmt.Sprintf("%q", arg)
	}
	return "command = [" + strings.Join(quoted, ", ") + "]"
}

const asgi, wsgi = "api_settings.asgi:application", "api_settings.wsgi:application"

var recipes = []recipe{
	{"uvicorn", "uvicorn", []string{command("{python}", "-m", "uvicorn", "--fd", "3", "--no-access-log", asgi)}, 100, 1, true},
	{"uvicorn with workers", "uvicorn", []string{command("{python}", "-m", "uvicorn", "--fd", "3", "--no-access-log", "--workers", "2", asgi)}, 100, 2, false},
	{"hypercorn", "hypercorn", []string{command("{python}", "-m", "hypercorn", "--bind", "fd://3", "--backlog", "2048", "--workers", "2", "--graceful-timeout", "30", asgi)}, 100, 2, false},
	{"daphne", "daphne", []string{command("{python}", "-m", "daphne", "--endpoint", "systemd:domain=UNIX:index=0", asgi)}, 100, 1, false},
	{"waitress", "waitress", []string{command("{python}", "-c", waitress)}, 100, 10, true},
	{"uwsgi", "", []string{command("uwsgi", "--plugin", "python3", "--protocol", "http", "--socket", "fd://3", "--listen", "2048", "--disable-logging", "--master", "--processes", "4", "--need-app",
		"--virtualenv", "{venv}", "--module", wsgi, "--die-on-term")}, 100, 10, false},
	{"gunicorn, gthread", "gunicorn", []string{`worker_class = "gthread"`, `threads = 4`}, 100, 10, false},
	{"gunicorn, gevent", "gevent", []string{`worker_class = "gevent"`}, 100, 10, false},
	{"gunicorn, eventlet", "eventlet", []string{`worker_class = "eventlet"`}, 100, 10, false},
	{"gunicorn, uvicorn's workers", "uvicorn", []string{`worker_class = "uvicorn.workers.UvicornWorker"`, `wsgi = "` + asgi + `"`}, 100, 2, false},
}

// A server that finishes its requests at SIGTERM, and one that drops them. An ASGI server has one thread
// for all of a process's views up to Django 3.2.
func TestServerByARecipeLosesNoRequest(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if !r.quick && os.Getenv("MEDCTRL_TEST_RECIPES") == "" {
				t.Skip("only by make recipes")
			}
			r.skipWithout(t)
			w := NewWorld(t, One(append(r.lines, stableSoon)...))
			w.WithDjango()
			w.Serve("one")
			loads := []*Traffic{w.Load("one", r.rate), StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=400", Rate: r.slow})}
			calmly := func() {
				for _, tr := range loads {
					tr.GoOn(t, calm)
				}
			}
			calmly()
			for _, banner := range []string{"first", "second"} {
				w.SetBanner("one", banner, RenameOver)
				w.WaitBanner("one", banner)
				calmly()
			}
			w.MustCLI("restart", "one")
			calmly()
			if info, err := os.Lstat(w.Socket("one")); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("the public socket: %v, %v; want mode 0660, whatever a server does to what it listens on", info, err)
			}
			for _, tr := range loads {
				result := tr.Stop()
				t.Log(r.name, result)
				result.NoneLost(t)
			}

			// Of what it held when it was killed, nothing can be saved; all others wait for its successor.
			// Most servers accept all that comes, and on a busy machine hold half a second's worth.
			tr := w.Load("one", r.rate)
			tr.GoOn(t, calm)
			w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
			tr.GoOn(t, calm)
			result := tr.Stop()
			t.Log(r.name, "killed:", result)
			result.NoneLostBut(t, int(r.rate/2))
		})
	}
}

// An idle connection that is kept is not closed before SIGTERM, which so comes late; then Nginx sends
// what it sent on such a one again. What is on its way must be finished at SIGTERM, as uvicorn does.
func TestServerByARecipeBehindKeptConnectionsLosesNoRequest(t *testing.T) {
	if os.Getenv("MEDCTRL_TEST_RECIPES") == "" {
		t.Skip("only by make recipes")
	}
	for _, c := range []struct {
		recipe
		rate float64 // one process may not keep up with more where Nginx needs a processor as well
	}{{recipes[0], 40}, {recipes[1], 100}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.behindKeptConnections(t, c.rate)
		})
	}
}

func (r recipe) behindKeptConnections(t *testing.T, rate float64) {
	r.skipWithout(t)
	w := NewWorld(t, One(append(r.lines, `graceful_timeout = "10s"`)...))
	w.WithDjango()
	w.Serve("one")
	n := StartNginx(t, fmt.Sprintf("upstream one {\n\tserver unix:%[1]s max_fails=0;\n\tserver unix:%[1]s max_fails=0;\n\tkeepalive 8;\n}\n"+
		"location / {\n\tinclude proxy_params;\n\tproxy_http_version 1.1;\n\tproxy_set_header Connection \"\";\n\tproxy_pass http://one;\n}\n", w.Socket("one")))
	tr, slow := n.Load(t, "/", rate), n.Load(t, "/slow?ms=400", r.slow)
	tr.GoOn(t, calm)
	for _, banner := range []string{"first", "second"} {
		before := w.WaitState("one", "running").Pid
		w.SetBanner("one", banner, RenameOver)
		w.WaitBanner("one", banner)
		Eventually(t, patience, "the end of the server that was replaced", func() (bool, string) {
			_, live := readProcess(fmt.Sprintf("/proc/%d", before))
			return !live, ""
		})
		tr.GoOn(t, calm)
	}
	for _, tr := range []*Traffic{tr, slow} {
		result := tr.Stop()
		t.Log(result)
		result.NoneLost(t)
	}
}

// second are the commands of those servers that take a second listener, on which each tree is probed by itself.
var second = map[string]string{
	"uvicorn":              command("{python}", "-c", uvicornOfTwo),
	"uvicorn with workers": command("{python}", "-c", uvicornOfTwoWithWorkers),
	"hypercorn": command("{python}", "-m", "hypercorn", "--bind", "fd://3", "--bind", "fd://{private}", "--backlog", "2048", "--workers", "2",
		"--graceful-timeout", "30", asgi),
	"daphne":   command("{python}", "-m", "daphne", "--endpoint", "systemd:domain=UNIX:index=0", "--endpoint", "systemd:domain=UNIX:index=1", asgi),
	"waitress": command("{python}", "-c", strings.Replace(waitress, "[socket.socket(fileno=3)]", "[socket.socket(fileno=n) for n in (3, {private})]", 1)),
	"uwsgi": command("uwsgi", "--plugin", "python3", "--protocol", "http", "--socket", "fd://3", "--socket", "fd://{private}", "--listen", "2048", "--disable-logging",
		"--master", "--processes", "4", "--need-app", "--virtualenv", "{venv}", "--module", wsgi, "--die-on-term"),
	"gunicorn by command, gthread": command("{python}", "-m", "gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "4", wsgi),
	"gunicorn by command, gevent":  command("{python}", "-m", "gunicorn", "--workers", "1", "--worker-class", "gevent", wsgi),
}

const (
	uvicornOfTwo = `import socket, uvicorn; config = uvicorn.Config("` + asgi + `", access_log=False); ` +
		`uvicorn.Server(config).run([socket.socket(fileno=n) for n in (3, {private})])`
	uvicornOfTwoWithWorkers = `import socket, uvicorn; from uvicorn.supervisors import Multiprocess; config = uvicorn.Config("` + asgi + `", access_log=False, workers=2); ` +
		`Multiprocess(config, target=uvicorn.Server(config).run, sockets=[socket.socket(fileno=n) for n in (3, {private})]).run()`
)

// With two trees of any server on one listener neither an exchange nor a restart loses anything, and the
// death or the hang of one only what it held.
func TestServerByARecipeWithReplicasLosesNoRequest(t *testing.T) {
	recipes := append(slices.Clip(recipes), recipe{name: "gunicorn by command, gthread", needs: "gunicorn", rate: 100, slow: 10},
		recipe{name: "gunicorn by command, gevent", needs: "gevent", rate: 100, slow: 10})
	for _, r := range recipes {
		lines := r.lines
		if line, known := second[r.name]; known {
			lines = []string{line}
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv("MEDCTRL_TEST_RECIPES") == "" {
				t.Skip("only by make recipes")
			}
			r.skipWithout(t)
			w := NewWorld(t, One(append(lines, stableSoon, "replicas = 2", `health = { interval = "500ms", timeout = "2s", failures = 2, start_timeout = "30s" }`)...))
			w.WithDjango()
			w.Serve("one")
			w.replicas(2)
			loads := []*Traffic{w.Load("one", r.rate), StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=400", Rate: r.slow})}
			calmly := func() {
				for _, tr := range loads {
					tr.GoOn(t, calm)
				}
			}
			calmly()
			for _, banner := range []string{"first", "second"} {
				before := w.replicas(2)
				w.SetBanner("one", banner, RenameOver)
				w.WaitBanner("one", banner)
				w.replicas(2, before...)
				calmly()
			}
			before := w.replicas(2)
			w.MustCLI("restart", "one")
			w.replicas(2, before...)
			calmly()
			for _, tr := range loads {
				result := tr.Stop()
				t.Log(r.name, result)
				result.NoneLost(t)
			}
			for _, how := range []struct {
				name string
				sig  syscall.Signal
			}{{"killed", syscall.SIGKILL}, {"stopped", syscall.SIGSTOP}, {"killed", syscall.SIGKILL}, {"stopped", syscall.SIGSTOP}} {
				tr := w.Load("one", r.rate)
				tr.GoOn(t, calm)
				victim := w.replicas(2)[1]
				KillAll(t, Tree(victim), how.sig)
				w.replicas(2, victim)
				tr.GoOn(t, calm)
				result := tr.Stop()
				t.Logf("%s, one of two %s: longest gap %v; %v", r.name, how.name, result.LongestGap.Round(time.Millisecond), result)
				result.NoneLostBut(t, int(r.rate/4))
			}
		})
	}
}

func (r recipe) skipWithout(t *testing.T) {
	t.Helper()
	if r.needs == "" {
		if _, err := exec.LookPath("uwsgi"); err != nil {
			t.Skip(err)
		}
		return
	}
	if out, err := exec.Command(python, "-c", "import "+r.needs).CombinedOutput(); err != nil {
		t.Skipf("%s cannot import it: %s", python, lastLines(string(out), 1))
	}
}
