package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// recipe is a server of docs/servers.md.
type recipe struct {
	name  string
	needs string   // a Python module that the interpreter must have
	lines []string // of its build's entry
	quick bool     // part of every run
}

const waitress = `import socket, waitress; from api_settings.wsgi import application; ` +
	`waitress.serve(application, sockets=[socket.socket(fileno=3)], threads=8)`

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
	{"uvicorn", "uvicorn", []string{command("{python}", "-m", "uvicorn", "--fd", "3", asgi)}, true},
	{"uvicorn with workers", "uvicorn", []string{command("{python}", "-m", "uvicorn", "--fd", "3", "--workers", "2", asgi)}, false},
	{"hypercorn", "hypercorn", []string{command("{python}", "-m", "hypercorn", "--bind", "fd://3", "--workers", "2", "--graceful-timeout", "30", asgi)}, false},
	{"daphne", "daphne", []string{command("{python}", "-m", "daphne", "--endpoint", "systemd:domain=UNIX:index=0", asgi)}, false},
	{"waitress", "waitress", []string{command("{python}", "-c", waitress)}, true},
	{"uwsgi", "", []string{command("uwsgi", "--plugin", "python3", "--protocol", "http", "--socket", "fd://3", "--master", "--processes", "4", "--need-app",
		"--virtualenv", "{venv}", "--module", wsgi, "--hook-master-start", "unix_signal:15 gracefully_kill_them_all")}, false},
	{"gunicorn, gthread", "gunicorn", []string{`worker_class = "gthread"`, `threads = 4`}, false},
	{"gunicorn, gevent", "gevent", []string{`worker_class = "gevent"`}, false},
	{"gunicorn, eventlet", "eventlet", []string{`worker_class = "eventlet"`}, false},
	{"gunicorn, uvicorn's workers", "uvicorn", []string{`worker_class = "uvicorn.workers.UvicornWorker"`, `wsgi = "` + asgi + `"`}, false},
}

// A server that finishes its requests at SIGTERM, and one that drops them.
func TestServerByARecipeLosesNoRequest(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			if !r.quick && os.Getenv("MEDCTRL_TEST_RECIPES") == "" {
				t.Skip("only by make recipes")
			}
			r.skipWithout(t)
			w := NewWorld(t, One(append(r.lines, stableSoon)...))
			w.Serve("one")
			loads := []*Traffic{w.Load("one", 90), StartLoad(t, Load{Network: "unix", Addr: w.Socket("one"), Path: "/slow?ms=400", Rate: 10})}
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
			for _, tr := range loads {
				r := tr.Stop()
				t.Log(r)
				r.NoneLost(t)
			}

			// Of what it held when it was killed, nothing can be saved; all others wait for its successor.
			tr := w.Load("one", 100)
			tr.GoOn(t, calm)
			w.WaitPid("one", w.KillMaster("one", syscall.SIGKILL))
			tr.GoOn(t, calm)
			result := tr.Stop()
			t.Log(result)
			result.NoneLostBut(t, 10)
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
