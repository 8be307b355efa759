package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// site is a folder with a builds.toml, its applications and its root, for one supervisor after the
// other. Everything is real but the releases (made) and the servers (serve).
type site struct {
	t         *testing.T
	dir, file string
	root      layout.Root
	client    control.Client
	store     func(world.Store) world.Store     // what takes the place of the records; nil: nothing does
	watcher   func(world.Watcher) world.Watcher // the same of what watches files
	untidy    <-chan struct{}                   // what is left of attempts is not removed before; nil: it is at once
}

// newSite makes a site whose file has more after its root, then the defaults, then builds.
func newSite(t *testing.T, more string, builds ...string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "hall-") // short: the paths of sockets begin with it
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, file: filepath.Join(dir, "builds.toml"), root: layout.Root(filepath.Join(dir, "root"))}
	s.client = control.Client{Socket: ControlSocket(string(s.root))}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s.write("bin/python3", "#!/bin/sh\n")
	s.write("src/API/manage.py", "")
	s.write("src/requirements.txt", "gunicorn\n")
	if err := os.Chmod(filepath.Join(dir, "bin/python3"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.settings("a", "a = 1\n")
	s.settings("b", "b = 1\n")
	s.builds(more, builds...)
	return s
}

// entry is a build of a site; more keys come after it.
func entry(name string, more ...string) string {
	return fmt.Sprintf("[[build]]\nname = %q\nlocation = \"/%s\"\n%s\n", name, name, strings.Join(more, "\n"))
}

// builds writes builds.toml.
func (s *site) builds(more string, builds ...string) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("builds.toml", fmt.Sprintf(`root = "root"
[supervisor]
log_level = "debug"
%s
[defaults]
source = "src"
python = "bin/python3"
command = [%q, "serve"]
graceful_timeout = "10s"
[defaults.health]
interval = "1s"
timeout = "20s"
%s`, more, self, strings.Join(builds, "\n")))
}

// write writes a file of the site as an editor does.
func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path+"~", []byte(text), 0o644), os.Rename(path+"~", path)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// settings writes the settings file of a build.
func (s *site) settings(name, text string) {
	s.t.Helper()
	s.write("src/API/api_settings/settings/deploy_"+name+".py", text)
}

// log is what a supervisor says, shown where the test fails.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// show prints it at the end of a test that has failed.
func (l *log) show(t *testing.T) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the supervisor said:\n%s", l)
		}
	})
}

// running is a supervisor in the test's own process.
type running struct {
	*Supervisor
	site    *site
	signals chan os.Signal
	said    *log
	err     error         // of its run
	ended   chan struct{} // closed when it has stopped
}

// options are those of a supervisor that follows the site's file.
func (s *site) options(said io.Writer) Options {
	s.t.Helper()
	return s.optionsOf(func() (*config.Config, error) { return config.Load(s.file) }, said)
}

func (s *site) optionsOf(load func() (*config.Config, error), said io.Writer) Options {
	s.t.Helper()
	cfg, err := load()
	if err != nil {
		s.t.Fatal(err)
	}
	return Options{Config: cfg, Log: hclog.New(&hclog.LoggerOptions{Output: said, Level: hclog.Debug}), Version: "test",
		Args: os.Args[:1:1], Environ: []string{"PATH=/usr/bin:/bin"}}
}

// unwatched has no edit noticed but by who asks for that: on a busy machine the watcher would be faster
// than a test that asks.
func (s *site) unwatched() { s.watcher = func(w world.Watcher) world.Watcher { return blind{w} } }

type blind struct{ world.Watcher }

func (blind) C() <-chan []string { return nil }

// start starts a supervisor on the site, which is stopped at the end of the test.
func (s *site) start() *running {
	s.t.Helper()
	said := &log{}
	said.show(s.t)
	return s.startWith(s.options(said), said)
}

func (s *site) startWith(o Options, said *log) *running {
	s.t.Helper()
	r := &running{site: s, signals: make(chan os.Signal, 2), said: said, ended: make(chan struct{})}
	o.Signals, o.Reach = r.signals, func(string, any) {}
	world, err := thisMachine(&o)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.store != nil {
		world.Store = s.store(world.Store)
	}
	if s.watcher != nil {
		world.Watcher = s.watcher(world.Watcher)
	}
	world.Releases = made{world.Releases, layout.Root(o.Config.Root)}
	if s.untidy != nil {
		world.Releases = tidiedLate{world.Releases, s.untidy}
	}
	o.World = world
	r.Supervisor = begin(o)
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(r.ended)
		r.err = errors.Join(r.run(ctx), world.Program.Close())
	}()
	s.t.Cleanup(func() {
		stop()
		r.wait()
	})
	return r
}

// wait waits until it has stopped.
func (r *running) wait() {
	r.site.t.Helper()
	select {
	case <-r.ended:
		if r.err != nil {
			r.site.t.Error(r.err)
		}
	case <-time.After(patience):
		r.site.t.Error("the supervisor does not stop")
	}
}

// patience is how long a test waits for what is to happen. The machine may be busy.
const patience = 30 * time.Second

// eventually waits until wrong returns "", which else says what is not as it should be.
func (s *site) eventually(wrong func() string) {
	s.t.Helper()
	limit := time.Now().Add(patience)
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C {
		said := wrong()
		if said == "" {
			tick.Stop()
			return
		}
		if time.Now().After(limit) {
			s.t.Fatal(said)
		}
	}
}

// status is that of a build, from the running supervisor.
func (s *site) status(name string) control.BuildStatus {
	s.t.Helper()
	st, err := s.client.Status(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, b := range st.Builds {
		if b.Name == name {
			return b
		}
	}
	return control.BuildStatus{}
}

// serves waits until a build's server is running and well.
func (s *site) serves(name string) control.BuildStatus {
	s.t.Helper()
	return s.becomes(name, func(b control.BuildStatus) bool { return b.State == control.StateRunning && b.Healthy && !b.Building })
}

// becomes waits until a build's status is as it should be.
func (s *site) becomes(name string, good func(control.BuildStatus) bool) (b control.BuildStatus) {
	s.t.Helper()
	s.eventually(func() string {
		st, err := s.client.Status(s.t.Context())
		if err != nil {
			return err.Error()
		}
		b = control.BuildStatus{}
		for _, one := range st.Builds {
			if one.Name == name {
				b = one
			}
		}
		if good(b) {
			return ""
		}
		return fmt.Sprintf("%s is %+v", name, b)
	})
	return b
}

// page is what a server says of itself.
type page struct {
	build, release string
	pid            int
}

// get asks the server of a build for its page. No request may fail.
func (s *site) get(name string) page {
	s.t.Helper()
	text, err := s.ask(name, "/")
	if err != nil {
		s.t.Fatal(err)
	}
	var p page
	if _, err := fmt.Sscanf(text, "%s %s %d", &p.build, &p.release, &p.pid); err != nil || p.build != name {
		s.t.Fatalf("%s returned %q", name, text)
	}
	return p
}

// ask makes a request of a build over its public socket.
func (s *site) ask(name, path string) (string, error) { return over(s.root.Build(name).Socket(), path) }

// over makes a request over a unix socket.
func over(socket, path string) (string, error) {
	transport := &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}
	return fetch(&http.Client{Transport: transport, Timeout: patience}, "http://localhost"+path)
}

// fetch returns a page; a status that is not 200 is an error.
func fetch(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, text)
	}
	return string(text), err
}

// kill is kill -9 of one process.
func (s *site) kill(pid int) {
	s.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}

// freeAddress is an address that nothing listens on. It is of a host number that hardly anybody has,
// so that no other test and no outgoing connection takes its port.
func freeAddress(t *testing.T) string {
	t.Helper()
	pid := os.Getpid()
	ln, err := net.Listen("tcp", "127."+strconv.Itoa(1+pid>>16%250)+"."+strconv.Itoa(pid>>8&255)+"."+strconv.Itoa(cmp.Or(pid&255, 1))+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // it has shown that it is free
	return ln.Addr().String()
}
