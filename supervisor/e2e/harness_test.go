package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The harness's own tests, without the binary.

func TestEachWayToSaveLeavesTheNewContent(t *testing.T) {
	t.Parallel()
	for name, save := range map[string]Save{"overwrite": Overwrite, "rename": RenameOver, "link": SwapLink} {
		w := NewWorld(t, One())
		for _, banner := range []string{"first", "second"} {
			w.SetBanner("one", banner, save)
			if got := readAll(w.Settings("one")); !strings.Contains(got, fmt.Sprintf("BANNER = %q", banner)) {
				t.Errorf("%s: settings say %q", name, got)
			}
		}
		w.Replace(w.Settings("one"), `"second"`, `"third"`, save)
		if got := readAll(w.Settings("one")); !strings.Contains(got, "third") {
			t.Errorf("%s: settings say %q", name, got)
		}
	}
}

func TestWorldFindsAndKillsItsOwnProcessesOnly(t *testing.T) {
	t.Parallel()
	w, other := NewWorld(t), NewWorld(t)
	shell := exec.Command("sh", "-c", "setsid sleep 3600 & echo up; sleep 3600")
	shell.Env = append(os.Environ(), "MEDCTRL_DATA="+w.Data("one", ""))
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, "shell and both sleeps", func() (bool, string) {
		ours := w.Processes()
		return len(ours) == 3 && len(Tree(shell.Process.Pid)) == 3, fmt.Sprint(ours)
	})
	if found := other.Processes(); len(found) > 0 {
		t.Errorf("the other world claims %v", found)
	}
	KillAll(t, w.Processes(), syscall.SIGKILL)
	if err := shell.Wait(); err == nil {
		t.Error("the shell ended without error, want killed")
	}
	Eventually(t, 20*time.Second, "the end of all", func() (bool, string) {
		ours := w.Processes()
		return len(ours) == 0, fmt.Sprint(ours)
	})
}

func TestKillAllSparesARecycledPid(t *testing.T) {
	t.Parallel()
	sleep := exec.Command("sleep", "3600")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	p, live := readProcess(fmt.Sprintf("/proc/%d", sleep.Process.Pid))
	if !live {
		t.Fatal("sleep is not alive")
	}
	earlier := p
	earlier.Start = "1"
	KillAll(t, []Process{earlier}, syscall.SIGTERM)
	KillAll(t, []Process{p}, syscall.SIGKILL)
	if err := sleep.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("ended with %v, want by the second signal", err)
	}
}

func TestNginxServesAndLosesNothing(t *testing.T) {
	t.Parallel()
	addr := serveUnix(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Load-Id", r.Header.Get("X-Load-Id"))
		w.Header().Set("X-Path", r.URL.Path)
	})
	n := StartNginx(t, fmt.Sprintf("# with { braces } in a comment\nupstream app {\n\tserver unix:%[1]s;\n\tserver unix:%[1]s;\n}\n"+
		"location /api {\n\tinclude proxy_params;\n\trewrite ^/api(.*)$ $1 break;\n\tproxy_pass http://app;\n}\n", addr))
	if got := MustAsk(t, "unix", n.Addr, "/api/things").Header.Get("X-Path"); got != "/things" {
		t.Errorf("the application saw %q, want /things", got)
	}
	tr := n.Load(t, "/api/", 100)
	tr.WaitMore(t, 50)
	tr.Stop().NoneLost(t)
}

// The tiny project itself, under an unsupervised gunicorn: what a test of the supervisor may rely
// on.
func TestProjectAnswersAsTheTestsExpect(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One())
	app := filepath.Join(w.Source, "API")
	data := w.Data("one", "")
	if err := os.MkdirAll(data, 0o755); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(w.Dir, "g.sock")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	environ := append(os.Environ(), "MEDCTRL_DATA="+data, "MEDCTRL_RELEASE=r1", "MEDCTRL_BUILD=one", "PYTHONDONTWRITEBYTECODE=1",
		"DJANGO_SETTINGS_MODULE=api_settings.settings.deploy_one")
	migrate := exec.Command(python, "manage.py", "migrate", "-v0")
	migrate.Dir, migrate.Env = app, environ
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	for name, command := range map[string]string{
		"gunicorn":     python + " -m gunicorn --workers 2 api_settings.wsgi",
		"light":        python + " -m gunicorn --workers 2 api_settings.light",
		"plain_server": python + " plain_server.py",
	} {
		// LISTEN_PID must be the server's own, and only the shell that becomes it knows that.
		server := exec.Command("sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec "+command)
		server.Dir, server.Env, server.ExtraFiles = app, environ, []*os.File{file}
		server.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
		if err := StartBound(server); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{
			"/":          `"release": "r1"`,
			"/slow?ms=1": `"banner": "one"`,
			"/things":    `"first"`,
		} {
			if got := MustAsk(t, "unix", socket, path); got.Status != 200 || !strings.Contains(got.Body, want) || got.Header.Get("X-Banner") != "one" {
				t.Errorf("%s: GET %s answered %+v, want %s", name, path, got, want)
			}
		}
		if got, err := Send("unix", socket, http.MethodPost, "/echo", "hello"); err != nil || got.Body != "hello" {
			t.Errorf("%s: echo answered %+v, %v", name, got, err)
		}
		if got := MustAsk(t, "unix", socket, "/500"); got.Status != 500 {
			t.Errorf("%s: /500 answered %d", name, got.Status)
		}
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("%s: ended at SIGTERM with %v", name, err)
		}
	}
}
