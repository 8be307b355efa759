package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// supervise is the program of a supervisor in a process of its own: the arguments after -c. Its
// version is what the file "version" next to builds.toml says.
func supervise(args []string) error {
	file := args[0]
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	version, err := os.ReadFile(filepath.Join(filepath.Dir(file), "version"))
	if err != nil {
		return err
	}
	if len(args) > 1 && args[1] == AcceptCommand {
		accepted, err := Accept(cfg, string(version))
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(accepted)
	}
	log := hclog.New(&hclog.LoggerOptions{Output: os.Stderr, Level: hclog.Debug})
	o := Options{Config: cfg, Log: log, Version: string(version), Args: os.Args[:3:3], Environ: os.Environ()}
	world, err := thisMachine(&o)
	if err != nil {
		return err
	}
	world.Releases = made{world.Releases, layout.Root(o.Config.Root)}
	o.World = world
	return Run(context.Background(), o)
}

// apart is a supervisor in a process of its own.
type apart struct {
	site  *site
	cmd   *exec.Cmd
	said  *log
	ended chan struct{} // closed when it has stopped
	err   error         // how
}

// path is where the program of a site's supervisors is.
func (s *site) path() string { return filepath.Join(s.dir, "bin", "medctrl-supervisor") }

// startApart starts a supervisor in a process of its own, which is stopped at the end of the test.
func (s *site) startApart() *apart {
	s.t.Helper()
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, s.path())
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		s.t.Fatal(err)
	}
	s.write("version", "1")
	a := &apart{site: s, cmd: exec.Command(s.path(), "-c", s.file), said: &log{}, ended: make(chan struct{})}
	a.said.show(s.t)
	a.cmd.Stderr = a.said
	// What it started may hold its output.
	a.cmd.WaitDelay = time.Second
	if err := a.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(a.ended)
		a.err = a.cmd.Wait()
	}()
	s.t.Cleanup(a.stop)
	return a
}

// signal sends it a signal.
func (a *apart) signal(sig syscall.Signal) {
	a.site.t.Helper()
	if err := a.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		a.site.t.Error(err)
	}
}

// stop has it stop with everything it runs, unless it has ended.
func (a *apart) stop() {
	a.site.t.Helper()
	select {
	case <-a.ended:
		return
	default:
	}
	a.signal(syscall.SIGTERM)
	a.wait()
	if a.err != nil {
		a.site.t.Errorf("the supervisor ended: %v", a.err)
	}
}

// die is its kill -9: what it runs goes on.
func (a *apart) die() {
	a.signal(syscall.SIGKILL)
	a.wait()
}

func (a *apart) wait() {
	a.site.t.Helper()
	select {
	case <-a.ended:
	case <-time.After(patience):
		a.site.t.Error("the supervisor does not end")
		a.signal(syscall.SIGABRT) // it says what it waits for
		<-a.ended
	}
}

// load asks for a build's page again and again, until it is ended.
type load struct {
	quit chan struct{}
	done chan struct{} // closed when it has
	n    int
	lost []error
}

func (s *site) load(name string) *load {
	return loadOf(func() (string, error) { return s.ask(name, "/") })
}

func loadOf(ask func() (string, error)) *load {
	l := &load{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			select {
			case <-l.quit:
				return
			default:
			}
			l.n++
			if _, err := ask(); err != nil {
				l.lost = append(l.lost, err)
			}
		}
	}()
	return l
}

// end ends it, and fails where a request was lost.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.quit)
	<-l.done
	if len(l.lost) > 0 || l.n == 0 {
		t.Errorf("%d of %d requests were lost: %v", len(l.lost), l.n, errors.Join(l.lost...))
	}
}

func TestSupervisorThatWasKilledIsSucceeded(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"), entry("b"))
	first := s.startApart()
	s.serves("a")
	s.serves("b")
	a, b := s.get("a"), s.get("b")
	under := s.load("a")
	first.die()
	s.kill(b.pid) // nobody is there to see it
	second := s.startApart()
	s.becomes("a", func(st control.BuildStatus) bool { return st.Pid == a.pid && st.Healthy })
	s.becomes("b", func(st control.BuildStatus) bool { return st.Pid != b.pid && st.Healthy })
	under.end(t)
	if now := s.get("a"); now != a {
		t.Errorf("%+v served before, and now %+v", a, now)
	}
	if now := s.get("b"); now.release != b.release {
		t.Errorf("%+v served before, and now %+v", b, now)
	}
	// What was adopted is watched like a child.
	s.kill(a.pid)
	if now := s.get("a"); now.release != a.release || now.pid == a.pid {
		t.Errorf("%+v was killed, now %+v serves", a, now)
	}
	second.stop()
	if _, err := os.Stat(s.root.Build("a").Socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after a stop: %v", err)
	}
}

func (s *site) upgrade() (control.Status, error) {
	return s.client.Upgrade(s.t.Context(), func(line string) { s.t.Log(line) })
}

func TestUpgradeThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := newSite(t, fmt.Sprintf("front = %q", address), entry("a"))
	s.startApart()
	s.serves("a")
	before := s.get("a")
	under := s.load("a")
	for _, c := range []struct{ program, why string }{
		{"echo it does not start >&2; exit 1", "it does not start"},
		{"echo hello", "is no supervisor"},
		{`echo '{"Version": "0.1"}'`, "too old"},
		{`rm "$0"; echo '{"Version": "2", "Handover": 2}'`, "no such file"}, // by the time of the exec
	} {
		s.write("bin/medctrl-supervisor", "#!/bin/sh\n"+c.program+"\n")
		if err := os.Chmod(s.path(), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := s.upgrade(); err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("upgrade to %q: %v", c.program, err)
		}
	}
	under.end(t)
	// It goes on as before, with the front and the file.
	if _, err := fetch(http.DefaultClient, "http://"+address+"/a/"); err != nil {
		t.Error(err)
	}
	s.builds("", entry("a"), entry("b"))
	s.serves("b")
	if now := s.get("a"); now != before {
		t.Errorf("%+v served before, now %+v", before, now)
	}
}

func TestUpgradeLosesNothing(t *testing.T) {
	t.Parallel()
	address, page := freeAddress(t), freeAddress(t)
	s := newSite(t, fmt.Sprintf("front = %q\ndashboard = %q", address, page), entry("a"))
	old := s.startApart()
	s.serves("a")
	before := s.get("a")
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	under, front := s.load("a"), loadOf(func() (string, error) { return fetch(once, "http://"+address+"/a/") })
	looks := loadOf(func() (string, error) { return fetch(once, "http://"+page+"/v1/status") })
	s.write("version", "2")
	st, err := s.upgrade()
	if err != nil || st.Version != "2" || st.Pid != old.cmd.Process.Pid {
		t.Errorf("after the upgrade: %+v, error %v", st, err)
	}
	s.serves("a")
	if now := s.get("a"); now != before {
		t.Errorf("%+v served before the upgrade, now %+v", before, now)
	}
	s.write("version", "3")
	old.signal(syscall.SIGUSR2)
	s.eventually(func() string {
		if st, err := s.client.Status(t.Context()); err != nil || st.Version != "3" {
			return fmt.Sprintf("after SIGUSR2: %+v, error %v", st, err)
		}
		return ""
	})
	under.end(t)
	front.end(t)
	looks.end(t)
	s.kill(before.pid)
	if now := s.get("a"); now.release != before.release || now.pid == before.pid {
		t.Errorf("%+v was killed after the upgrade, now %+v serves", before, now)
	}
}
