package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is a private instance: its own folder, no service, no fixed port. It listens on a unix
// socket.
type Nginx struct {
	Dir  string
	Addr string // its socket
}

// Load starts a load through this Nginx.
func (n *Nginx) Load(t testing.TB, path string, rate float64) *Traffic {
	t.Helper()
	return StartLoad(t, Load{Network: "unix", Addr: n.Addr, Path: path, Rate: rate})
}

// Nginx starts an Nginx with what `medctrl-supervisor nginx` prints with these flags.
func (w *World) Nginx(flags ...string) *Nginx {
	w.t.Helper()
	conf, errors, code := w.CLI(append([]string{"nginx"}, flags...)...)
	if code != 0 {
		w.t.Fatalf("nginx %v: exit code %d: %s", flags, code, errors)
	}
	return StartNginx(w.t, conf)
}

// StartNginx starts an Nginx with this configuration: its `upstream` and `map` blocks at the level
// of http, all the rest in the one server. It ends with the test.
func StartNginx(t testing.TB, conf string) *Nginx {
	t.Helper()
	n := &Nginx{Dir: ShortDir(t)}
	n.Addr = filepath.Join(n.Dir, "nginx.sock")
	n.write(t, conf)
	if out, err := n.command(t, "-t").CombinedOutput(); err != nil {
		t.Fatalf("nginx -t: %v\n%s\n%s", err, out, readAll(filepath.Join(n.Dir, "nginx.conf")))
	}
	cmd := n.command(t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	log, err := os.Create(filepath.Join(n.Dir, "nginx.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	if err := StartBound(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("end nginx: %v", err)
		}
		timer := time.NewTimer(20 * time.Second)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
			t.Error("nginx has not ended within 20 s of SIGTERM")
			KillAll(t, Tree(cmd.Process.Pid), syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			t.Logf("nginx: %s", lastLines(readAll(log.Name()), 40))
		}
	})
	Eventually(t, 20*time.Second, "nginx to listen", func() (bool, string) {
		_, err := Ask("unix", n.Addr, "/")
		return err == nil, fmt.Sprint(err, readAll(log.Name()))
	})
	return n
}

// Reload replaces the configuration and has Nginx read it.
func (n *Nginx) Reload(t testing.TB, conf string) {
	t.Helper()
	n.write(t, conf)
	if out, err := n.command(t, "-s", "reload").CombinedOutput(); err != nil {
		t.Fatalf("nginx -s reload: %v\n%s", err, out)
	}
}

// waitReloaded waits until the workers with the configuration before have ended.
func (n *Nginx) waitReloaded(t testing.TB) {
	t.Helper()
	master, err := strconv.Atoi(strings.TrimSpace(readAll(filepath.Join(n.Dir, "nginx.pid"))))
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, patience, "the end of Nginx's workers before the reload", func() (bool, string) {
		tree := Tree(master)
		return len(tree) == 2, fmt.Sprint(tree) // the master and one worker
	})
}

// command returns a command of a private Nginx. Debian has it in a folder that is not in a normal
// user's PATH.
func (n *Nginx) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/nginx")
	}
	if err != nil {
		t.Fatalf("%v: run .ci/install test", err)
	}
	return exec.Command(path, append([]string{"-p", n.Dir, "-c", filepath.Join(n.Dir, "nginx.conf"), "-e", "stderr"}, args...)...)
}

func (n *Nginx) write(t testing.TB, conf string) {
	t.Helper()
	user := ""
	if os.Getuid() == 0 {
		// otherwise its workers run as nobody and cannot reach the world's sockets
		user = "user root;"
	}
	http, server := SplitNginx(conf)
	text := fmt.Sprintf(`%s
daemon off;
pid nginx.pid;
worker_processes 1;
events { worker_connections 2048; }
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
%s
	server {
		listen unix:%s;
		server_name localhost;
%s
	}
}
`, user, http, n.Addr, server)
	// `include proxy_params;` looks in the folder of nginx.conf. These are the lines of Debian's
	// file.
	params := "proxy_set_header Host $http_host;\nproxy_set_header X-Real-IP $remote_addr;\n" +
		"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Proto $scheme;\n"
	for name, content := range map[string]string{"nginx.conf": text, "proxy_params": params} {
		if err := os.WriteFile(filepath.Join(n.Dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// SplitNginx separates the blocks that must be at the level of http from those of a server.
func SplitNginx(conf string) (http, server string) {
	var parts [2]strings.Builder
	depth, part := 0, 1
	for line := range strings.Lines(conf) {
		code, _, _ := strings.Cut(line, "#")
		if depth == 0 {
			part = 1
			if word, _, _ := strings.Cut(strings.TrimSpace(code), " "); word == "upstream" || word == "map" {
				part = 0
			}
		}
		parts[part].WriteString(line)
		depth += strings.Count(code, "{") - strings.Count(code, "}")
	}
	return parts[0].String(), parts[1].String()
}
