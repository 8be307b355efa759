package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chaosBuilds are the builds of a run: one whose server has two trees side by side, one that needs a
// database to be built, and one that has nothing beside its server.
var chaosBuilds = []string{"one", "two", "three"}

// TestChaos does to three builds whatever their machine and their people may do to them, at random,
// while clients count: see chaos_faults_test.go. `make chaos T=10m SEED=7` runs it for longer, and
// writes a report.
func TestChaos(t *testing.T) {
	const rate = 4
	text := os.Getenv("MEDCTRL_CHAOS_TIME")
	if text == "" {
		t.Skip("it takes the processors for itself: make chaos")
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("T: %v", err)
	}
	seed := uint64(time.Now().UnixNano() / 1e6)
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED: %v", err)
		}
	}
	c := newChaos(t, seed)
	t.Logf("chaos: SEED=%d for %v", seed, length)
	defer func() { // a run that does not come to its end is told of as well
		report := c.report(length)
		t.Log("\n" + report)
		if t.Failed() {
			t.Logf("the same faults in the same order: make chaos T=%v SEED=%d", length, seed)
		}
		path := os.Getenv("MEDCTRL_CHAOS_REPORT")
		if path == "" {
			return
		}
		err := os.WriteFile(path, []byte(report), 0o644)
		if t.Failed() {
			err = errors.Join(err, os.WriteFile(path+".log", []byte(c.Log()), 0o600))
		}
		if err != nil {
			t.Error(err)
		}
	}()
	c.begin(rate)
	c.run(length)
	c.finish()
}

// chaos is a run: a world, what was done to it, and the clients. Everything but what watches in the
// background happens in the test's own goroutine.
type chaos struct {
	*World
	t     testing.TB
	dice  *rand.Rand
	seed  uint64
	began time.Time

	nginx    *Nginx
	master   *exec.Cmd // Nginx's
	disk     *disk     // nil: its root is on a disk that others use
	noDisk   string    // why
	manager  *fdStore
	database net.Listener // nil: it is away
	dbAddr   string
	log      *logReader

	wishes map[string]*wish // what each build should be in the end
	faults []*fault
	cures  []cure
	busy   map[string]bool // what a fault has to itself until its cure
	ways   []way
	hurt   map[int][]hurt // processes by pid that were killed or stopped
	calls  sync.WaitGroup // commands that nobody waits for
	mu     sync.Mutex
	down   []refusal
	wrong  []string // what should not have been, apart from lost requests
}

// wish is what a build should serve.
type wish struct {
	banner  string
	bad     string // added to its settings: a release of it cannot work
	workers int
}

// fault is one thing that was done. Until is when it was undone and the build served again, or zero.
type fault struct {
	N         int
	Kind      string
	Build     string // empty: it concerns them all
	At, Until time.Time
	Note      string
}

func (f *fault) String() string {
	text := fmt.Sprintf("#%d %s", f.N, f.Kind)
	if f.Build != "" {
		text += " of " + f.Build
	}
	return text + f.Note
}

// covers reports whether any of the time from one moment to another was under the fault, and the
// moment after it in which what it caused reaches the clients.
func (f *fault) covers(from, to time.Time) bool {
	return !f.At.After(to) && (f.Until.IsZero() || f.Until.Add(100*time.Millisecond).After(from))
}

// cure undoes a fault at its time. It is tried again where it returns false.
type cure struct {
	at time.Time
	do func() bool
}

// hurt is what was done to a process.
type hurt struct {
	fault *fault
	at    time.Time
	sig   syscall.Signal
}

// way is a load: how it reaches a build, and what its requests are called where they are written down.
type way struct {
	via, build, name string
	tr               *Traffic
}

func newChaos(t testing.TB, seed uint64) *chaos {
	t.Helper()
	c := &chaos{t: t, seed: seed, dice: rand.New(rand.NewPCG(seed, 0)), wishes: map[string]*wish{}, busy: map[string]bool{}, hurt: map[int][]hurt{}}
	c.World = NewWorld(t)
	if os.Getenv("MEDCTRL_CHAOS_TIME") != "" {
		program, err := unsettled() // clocks jump; made in a minute, so not in the short run
		if err != nil {
			t.Fatal(err)
		}
		c.Program = program
		c.Env = append(c.Env, "MEDCTRL_TEST_CLOCK="+filepath.Join(c.Dir, "clock"))
		c.SetClock(0)
	}
	c.dbAddr = FreeAddr(t)
	c.serveDatabase()
	t.Cleanup(func() { c.closeDatabase() })
	app := filepath.Join(c.Source, "API")
	for from, to := range map[string]string{"chaos_worker.py": "chaos_worker.py", "chaos_process.py": "chaos_process.py", "base.py": "guarded/base.py"} {
		to = filepath.Join(app, to)
		err := os.MkdirAll(filepath.Dir(to), 0o755)
		if err == nil {
			err = os.WriteFile(to, []byte(readAll(filepath.Join("testdata/chaos", from))), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(app, "guarded", "__init__.py"), nil, 0o644), os.Mkdir(filepath.Join(c.Dir, "marks"), 0o755)); err != nil {
		t.Fatal(err)
	}
	c.Supervisor = []string{`log_dir = "logs"`, `log_level = "debug"`, "max_parallel_builds = 2"}
	c.Defaults = []string{"check = false", "migrate = false", `worker_class = "chaos_worker.Worker"`, "keep_releases = 2",
		`stable_after = "1s"`, `restart_delay_max = "2s"`, `graceful_timeout = "15s"`,
		`health = { interval = "1s", timeout = "5s", failures = 2, start_timeout = "90s" }`}
	for _, name := range chaosBuilds {
		c.wishes[name] = &wish{banner: name, workers: workers}
		c.save(name, Overwrite)
	}
	c.configure(Overwrite)
	if c.disk, c.noDisk = tryDisk(t, c.Root); c.disk != nil {
		c.disk.run("mount", "-o", "bind", c.Root, c.Root) // what can be made read-only
	}
	return c
}

// save rewrites a build's settings as its wish has them.
func (c *chaos) save(name string, save Save) {
	c.t.Helper()
	wish := c.wishes[name]
	lines := fmt.Sprintf("BANNER = %q\n%s", wish.banner, wish.bad)
	if name == "two" {
		lines += "\nDATABASES[\"default\"][\"ENGINE\"] = \"guarded\""
	}
	c.SaveSettings(name, lines, save)
}

// configure rewrites builds.toml as the wishes have it.
func (c *chaos) configure(save Save) {
	c.t.Helper()
	var entries []string
	for _, name := range chaosBuilds {
		lines := []string{
			fmt.Sprintf("workers = %d", c.wishes[name].workers),
			fmt.Sprintf("env = { CHAOS_MARKS = %q, CHAOS_DATABASE = %q }", filepath.Join(c.Dir, "marks", name), c.dbAddr),
		}
		if name == "one" {
			lines = append(lines, "replicas = 2")
		}
		if name == "two" {
			lines = append(lines, "migrate = true")
		}
		if name != "three" {
			lines = append(lines, `
[[build.process]]
name = "queue"
command = ["python", "-I", "-S", "chaos_process.py", "process"]

[[build.schedule]]
name = "tick"
command = ["python", "-I", "-S", "chaos_process.py", "schedule"]
every = "3s"
`)
		}
		entries = append(entries, Entry(name, lines...))
	}
	c.Builds = strings.Join(entries, "\n")
	if err := save(c.File, []byte(c.Config())); err != nil {
		c.t.Fatal(err)
	}
}

// begin starts everything, and the loads when every build serves.
func (c *chaos) begin(rate float64) {
	c.t.Helper()
	c.manager = startFDStore(c.t, filepath.Join(c.Dir, "notify"))
	c.log = &logReader{path: c.LogFile()}
	c.launch()
	for _, name := range chaosBuilds {
		c.WaitState(name, "running")
	}
	c.nginx = &Nginx{Dir: ShortDir(c.t)}
	c.nginx.Addr = filepath.Join(c.nginx.Dir, "nginx.sock")
	c.nginx.write(c.t, c.MustCLI("nginx"))
	c.startNginx()
	c.t.Cleanup(func() { c.endNginx() })
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		c.watch(stop)
	}()
	c.t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	c.began = time.Now()
	for _, build := range chaosBuilds {
		for _, via := range []string{"direct", "front", "nginx"} {
			w := way{via: via, build: build, name: via + "-" + build}
			l := Load{Rate: rate, Timeout: 90 * time.Second, Path: fmt.Sprintf("/%s/slow?ms=10&way=%s", build, w.name)}
			switch via {
			case "direct":
				w.name = fmt.Sprintf("mc%d-%s", os.Getpid(), w.name) // such names are those of the whole machine
				l.Network, l.Addr, l.Name = "unix", c.Socket(build), w.name
				l.Path = "/slow?ms=10&way=direct"
			case "front":
				l.Network, l.Addr = "tcp", c.Front
			case "nginx":
				l.Network, l.Addr = "unix", c.nginx.Addr
			}
			w.tr = StartLoad(c.t, l)
			c.ways = append(c.ways, w)
		}
	}
}

// run does one thing after another until the time is over.
func (c *chaos) run(length time.Duration) {
	c.t.Helper()
	end := c.began.Add(length)
	every := min(length/12, 2*time.Second)
	for next := time.Now().Add(every / 2); ; {
		c.cure(time.Now())
		if !time.Now().Before(end) {
			return
		}
		if !time.Now().Before(next) {
			c.strike()
			next = time.Now().Add(every/4 + time.Duration(c.dice.Int64N(int64(every))))
		}
		pause(20 * time.Millisecond)
	}
}

// pause lets some of the run's time pass.
func pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// cure does what is due by a moment.
func (c *chaos) cure(by time.Time) {
	due := c.cures
	c.cures = nil
	for _, one := range due {
		if one.at.After(by) || !one.do() {
			c.cures = append(c.cures, one)
		}
	}
}

// after has something done when d has passed.
func (c *chaos) after(d time.Duration, do func() bool) {
	c.cures = append(c.cures, cure{time.Now().Add(d), do})
}

// finish undoes what is left, and waits until everything is as the files say, without anybody's help.
func (c *chaos) finish() {
	c.t.Helper()
	Eventually(c.t, 3*time.Minute, "the cures", func() (bool, string) {
		c.cure(time.Now().Add(time.Hour))
		return len(c.cures) == 0, fmt.Sprint(len(c.cures), " to go")
	})
	c.calls.Wait()
	for _, name := range chaosBuilds {
		wish := c.wishes[name]
		Eventually(c.t, 4*time.Minute, fmt.Sprintf("build %s to serve %q, healthy, with all that belongs to it", name, wish.banner), func() (bool, string) {
			s, err := c.Status()
			b := s.Build(name)
			a, askErr := Ask("unix", c.Socket(name), "/slow?ms=0")
			whole := b.State == "running" && b.Healthy && !b.Building && b.BuildError == "" && b.Reason == "" && len(b.Tasks) == 0
			for _, p := range b.Processes {
				whole = whole && p.State == "running" && p.Release == b.Release
			}
			return err == nil && askErr == nil && whole && a.Header.Get("X-Banner") == wish.banner,
				fmt.Sprintf("serves %q; %+v %v %v", a.Header.Get("X-Banner"), b, err, askErr)
		})
	}
	for _, w := range c.ways {
		w.tr.GoOn(c.t, time.Second)
	}
	for _, w := range c.ways {
		w.tr.Stop()
	}
	c.beside()
	c.manager.clear()
	c.Stop()
}

// beside asserts that processes and schedules ran, and never twice at once.
func (c *chaos) beside() {
	c.t.Helper()
	for _, name := range []string{"one", "two"} {
		for _, kind := range []string{"process", "schedule"} {
			said := readAll(filepath.Join(c.Dir, "marks", name+"."+kind+".said"))
			if !strings.Contains(said, "ran ") {
				c.complain("the %s of %s never ran: %s", kind, name, said)
			}
			for line := range strings.Lines(said) {
				if strings.HasPrefix(line, "twice ") {
					c.complain("the %s of %s was started while another one was running: %s", kind, name, strings.TrimSpace(line))
				}
			}
		}
	}
}

// complain notes what should not have been.
func (c *chaos) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
}

// launch starts the supervisor as a service manager does that holds its sockets for it.
func (c *chaos) launch() {
	c.t.Helper()
	c.Wrap = []string{"sh", "-c", `export LISTEN_PID=$$; exec "$@"`, "sh"}
	cmd := c.command()
	files, names := c.manager.held()
	cmd.ExtraFiles = files
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+c.manager.path, "FDSTORE=100", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	pipe, err := c.log.open()
	if err != nil {
		c.t.Fatal(err)
	}
	defer pipe.Close() // the child has its own copy
	cmd.Stdout, cmd.Stderr = pipe, pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	c.start(cmd)
}

// order runs a subcommand of the binary; the error has what it said.
func (c *chaos) order(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(c.t), append([]string{"-c", c.File}, args...)...)
	cmd.Dir = c.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

func (c *chaos) serveDatabase() {
	c.t.Helper()
	ln, err := net.Listen("tcp", c.dbAddr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.database = ln
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // it was closed
			}
			conn.Close()
		}
	}()
}

func (c *chaos) closeDatabase() {
	if c.database != nil {
		c.database.Close()
		c.database = nil
	}
}

func (c *chaos) startNginx() {
	c.t.Helper()
	if err := os.Remove(c.nginx.Addr); err != nil && !errors.Is(err, os.ErrNotExist) {
		c.t.Fatal(err)
	}
	cmd := c.nginx.command(c.t)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	log, err := os.OpenFile(filepath.Join(c.nginx.Dir, "nginx.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	if err := StartBound(cmd); err != nil {
		c.t.Fatal(err)
	}
	c.master = cmd
	Eventually(c.t, patience, "nginx to listen", func() (bool, string) {
		conn, err := net.Dial("unix", c.nginx.Addr)
		if err == nil {
			conn.Close()
		}
		return err == nil, fmt.Sprint(err, lastLines(readAll(log.Name()), 5))
	})
}

func (c *chaos) endNginx() {
	if err := c.master.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.t.Errorf("end nginx: %v", err)
	}
	_ = c.master.Wait() // it ended as it was told
}

// logReader reads what supervisors log from a small pipe, into a file, unless it is held up.
type logReader struct {
	path string
	mu   sync.Mutex
}

// open returns the end that a supervisor writes to.
func (r *logReader) open() (*os.File, error) {
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, errors.Join(err, from.Close(), to.Close())
	}
	const setPipeSize = 1031 // F_SETPIPE_SZ: a page, so that it is soon full
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, to.Fd(), setPipeSize, 4096)
	go func() {
		defer log.Close()
		defer from.Close()
		for buffer := make([]byte, 4096); ; {
			n, err := from.Read(buffer)
			if n > 0 {
				r.mu.Lock()                  // held by whoever holds up the log
				_, _ = log.Write(buffer[:n]) // told in a failure alone
				r.mu.Unlock()
			}
			if err != nil {
				return
			}
		}
	}()
	return to, nil
}

// fdStore is a service manager's store of descriptors, FDSTORE=1 of sd_notify(3).
type fdStore struct {
	path string
	conn *net.UnixConn
	mu   sync.Mutex
	has  []stored
}

type stored struct {
	name string
	file *os.File
	ino  uint64
}

func startFDStore(t testing.TB, path string) *fdStore {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	s := &fdStore{path: path, conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.listen()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
		s.clear()
	})
	return s
}

func (s *fdStore) listen() {
	text, rights := make([]byte, 8192), make([]byte, 4096)
	for {
		n, m, _, _, err := s.conn.ReadMsgUnix(text, rights)
		if err != nil {
			return // it was closed
		}
		s.hear(string(text[:n]), rights[:m])
	}
}

func (s *fdStore) hear(text string, rights []byte) {
	lines := strings.Split(text, "\n")
	name := ""
	for _, line := range lines {
		if after, ok := strings.CutPrefix(line, "FDNAME="); ok {
			name = after
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(lines, "FDSTOREREMOVE=1") {
		s.has = slices.DeleteFunc(s.has, func(one stored) bool {
			if one.name == name {
				one.file.Close()
			}
			return one.name == name
		})
	}
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return
	}
	for _, message := range messages {
		fds, err := syscall.ParseUnixRights(&message)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd)
			var st syscall.Stat_t
			if err := syscall.Fstat(fd, &st); err != nil || slices.ContainsFunc(s.has, func(one stored) bool { return one.ino == st.Ino }) {
				syscall.Close(fd)
				continue
			}
			s.has = append(s.has, stored{name, os.NewFile(uintptr(fd), name), st.Ino})
		}
	}
}

// held is what the next supervisor is given.
func (s *fdStore) held() (files []*os.File, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.has {
		files, names = append(files, one.file), append(names, one.name)
	}
	return files, names
}

func (s *fdStore) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.has {
		one.file.Close()
	}
	s.has = nil
}

// mark is what a worker wrote of a request.
type mark struct {
	pid  int
	had  time.Time
	done bool
}

// marks are those of a build, by request.
func (c *chaos) marks(build string) map[string][]mark {
	found := map[string][]mark{}
	for line := range bytes.Lines([]byte(readAll(filepath.Join(c.Dir, "marks", build)))) {
		var what, who string
		var pid int
		var at float64
		if _, err := fmt.Sscan(string(line), &what, &who, &pid, &at); err != nil {
			continue
		}
		switch what {
		case "had":
			found[who] = append(found[who], mark{pid: pid, had: time.UnixMicro(int64(at * 1e6))})
		case "done":
			for i, m := range found[who] {
				if m.pid == pid {
					found[who][i].done = true
				}
			}
		}
	}
	return found
}
