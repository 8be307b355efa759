package actor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// world stands behind all ports of the actors of a test. What is to happen in it is set with do.
type world struct {
	folder fakesocket.Folder

	mu      sync.Mutex
	trees   []*tree
	conduct map[string]conduct // of each server that starts, by release; else it is fine
	hook    func(ctx context.Context, h Hook) (string, error)
	hooks   []Hook
	guard   func()
	lost    error           // why a listener cannot be recovered
	spans   []time.Duration // that each probe was given
	inputs  string          // what the next release is made of
	made    map[string]string
	by      string        // whom the last release was made for
	commit  *build.Commit // of the releases that are made
	kept    []build.Release
	takes   time.Duration // half an attempt, or a check of the environment
	looks   []build.Look
	fails   map[string]error
	inUse   []string
	current string
	environ []string
	output  []string
	keep    []string // generated files
	statics struct {
		staged, published []string
		takes, hangs      time.Duration
	}
	record    *state.Record
	saved     int
	written   *state.Record // as a disk has it
	ran       []string      // schedules, with the results
	off       time.Duration // of the wall clock
	events    []Event
	oomKilled int
	bound     config.Limits // of all trees together
	twice     bool
	built     []string
}

// conduct is how a server behaves.
type conduct struct {
	mute     bool          // its workers never say that they are ready
	answer   *ProbeError   // to probes; nil: as expected
	turn     time.Duration // after which a probe comes to its turn
	dies     *Exit         // as soon as it has started
	hung     bool          // it accepts no client
	stubborn bool          // it ignores SIGTERM
	endless  error         // why it cannot be ended at all
}

func newWorld() *world {
	return &world{conduct: map[string]conduct{}, made: map[string]string{}, fails: map[string]error{}, inputs: "first", takes: time.Second}
}

// do changes the world, or looks at it.
func (w *world) do(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// fail has the port's method of that name return err from now on; nil ends that.
func (w *world) fail(method string, err error) { w.do(func() { w.fails[method] = err }) }

func (w *world) failing(method string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fails[method]
}

func (w *world) ports() Ports {
	return Ports{Trees: trees{w}, Sockets: sockets{w}, Releases: releases{w}, Host: host{w}, Records: records{w}, Reports: reports{w}}
}

// living returns the trees of which something is left, in the order in which they were started.
func (w *world) living() []*tree {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.trees), func(t *tree) bool { return t.gone })
}

// tree is a server that was started, with what it started.
type tree struct {
	w       *world
	pid     int
	mark    string
	env     []string
	sock    *fakesocket.Listener
	conduct conduct
	exited  func(Exit)
	told    sync.WaitGroup     // exited is under way
	stop    context.CancelFunc // ends what accepts clients
	dead    bool               // the main process has ended
	gone    bool               // nothing is left
	termed  bool
	asked   bool // to end, by an earlier supervisor
	signals []syscall.Signal
	start   Start
	notes   words // what it says by sd_notify
	limits  config.Limits
	boxed   bool
	lost    error // why what it prints is lost
	said    []string
	kills   int // of its processes, for lack of memory
}

func (t *tree) Pid() int          { return t.pid }
func (t *tree) StartTime() uint64 { return uint64(t.pid) * 10 }
func (t *tree) Private() string   { return "" }

func (t *tree) StopBy(_ syscall.Signal, asked bool) { t.asked = asked }

func (t *tree) Limit(l config.Limits) error {
	t.w.do(func() { t.limits = l })
	return t.w.failing("Limit")
}

func (t *tree) Boxed() bool { return t.boxed }

func (t *tree) Unlogged() error { return t.lost }

func (t *tree) Said(log string, n int) (said []string) {
	t.w.do(func() {
		if t.start.Shared && t.start.Log == log {
			said = t.said
		}
	})
	return said
}

func (t *tree) OOMKills() (n int) {
	t.w.do(func() { n = t.kills })
	return n
}

// exit ends the main process, by itself or by a signal.
func (t *tree) exit(e Exit) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.exitLocked(e)
}

func (t *tree) exitLocked(e Exit) {
	if t.dead {
		return
	}
	t.dead = true
	t.stop()
	if exited := t.exited; exited != nil {
		t.told.Go(func() { exited(e) })
	}
}

// act changes how the server behaves from now on.
func (t *tree) act(c conduct) { t.w.do(func() { t.conduct = c }) }

func (t *tree) Signal(sig syscall.Signal) error {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.signals = append(t.signals, sig)
	if sig == syscall.SIGHUP && !t.conduct.stubborn {
		t.exitLocked(Exit{Words: "killed by SIGHUP", Code: -1, Signal: true, Number: 1})
	}
	return t.w.fails["Signal"]
}

func (t *tree) Terminate() error {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.termed = true
	if !t.conduct.stubborn && t.conduct.endless == nil {
		t.exitLocked(Exit{Words: "killed by SIGTERM", Code: -1, Signal: true, Number: 15})
	}
	return t.w.fails["Terminate"]
}

func (t *tree) End(ctx context.Context, grace time.Duration) error {
	if grace > 0 {
		_ = t.Terminate() // what it may return is of Terminate alone
	}
	t.w.mu.Lock()
	stubborn, endless := t.conduct.stubborn, t.conduct.endless
	t.w.mu.Unlock()
	if stubborn && grace > 0 {
		select {
		case <-time.After(grace):
		case <-ctx.Done():
		}
	}
	if endless != nil {
		return errors.Join(endless, ctx.Err())
	}
	t.w.do(func() {
		t.exitLocked(Exit{Words: "killed by SIGKILL", Code: -1, Signal: true, Number: 9})
		t.gone = true
	})
	t.told.Wait() // as End of the package process, which returns when the exit has been told
	return nil
}

// plant starts a tree as an earlier supervisor would have. The caller holds no lock.
func (w *world) plant(mark string, env []string, l *fakesocket.Listener, c conduct) *tree {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	t := &tree{w: w, pid: 1001 + len(w.trees), mark: mark, env: env, sock: l, conduct: c, stop: stop}
	w.trees = append(w.trees, t)
	if !c.hung && l != nil {
		go l.Serve(ctx)
	}
	return t
}

// leftover is what a supervisor finds of a tree that an earlier one has started.
func (t *tree) leftover(n int) Leftover {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	l := Leftover{N: n, Mark: t.mark, Members: []Process{{t.pid, t.StartTime()}, {t.pid + 500, 1}}}
	if !t.dead {
		l.Leader = l.Members[0]
	}
	return l
}

// trees is Trees.
type trees struct{ *world }

func (w trees) Start(s Start, exited func(Exit)) (Tree, server.Words, error) {
	if err := w.failing("Start"); err != nil {
		return nil, nil, err
	}
	release, _, _ := server.VersionOf(s.Launch.Env)
	var c conduct
	w.do(func() { c = w.conduct[release] })
	sock, _ := s.Listener.(*fakesocket.Listener)
	t := w.plant(s.Mark, s.Launch.Env, sock, c)
	w.do(func() {
		t.exited, t.limits, t.start, t.boxed, t.lost = exited, s.Limits, s, s.Launch.Box != nil, w.fails["Log"]
	})
	if c.dies != nil {
		t.exit(*c.dies)
	}
	if s.Launch.Notify {
		w.do(func() { t.notes = make(words, 8) })
		return t, t.notes, nil
	}
	if !s.Launch.Server.SaysReady() {
		return t, nil, nil
	}
	said := make(words, 1)
	if !c.mute && c.dies == nil {
		said <- fmt.Sprintf("%d 1", t.pid)
	}
	return t, said, nil
}

func (w trees) byMark(mark string) *tree {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.trees {
		if t.mark == mark {
			return t
		}
	}
	return nil
}

func (w trees) Adopt(l Leftover, exited func(Exit)) (Tree, error) {
	t := w.byMark(l.Mark)
	w.mu.Lock()
	defer w.mu.Unlock()
	if t == nil || t.dead {
		return nil, errors.New("no such process")
	}
	t.exited = exited
	return t, nil
}

func (w trees) Hear(l Leftover, _ config.Identity) (server.Words, error) {
	t := w.byMark(l.Mark)
	w.do(func() { t.notes = make(words, 8) })
	return t.notes, w.failing("Hear")
}

func (w trees) Remains(l Leftover) Tree { return w.byMark(l.Mark) }

func (w trees) Environ(pid int) ([]string, error) {
	if err := w.failing("Environ of a process"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.trees {
		if (t.pid == pid && !t.dead || t.pid+500 == pid) && !t.gone {
			return t.env, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (w trees) Alive(pid int) bool {
	_, err := w.Environ(pid)
	return err == nil
}

func (w trees) Bound(_ string, l config.Limits, twice bool) error {
	w.do(func() { w.bound, w.twice = l, twice })
	return w.failing("Bound")
}

func (w trees) Run(ctx context.Context, h Hook) (string, error) {
	w.mu.Lock()
	w.hooks = append(w.hooks, h)
	run := w.hook
	w.mu.Unlock()
	if run == nil {
		return "", nil
	}
	return run(ctx, h)
}

// words is server.Words.
type words chan string

func (s words) Next(ctx context.Context) ([]byte, error) {
	select {
	case word := <-s:
		return []byte(word), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (words) Close() error { return nil }

// sockets is Sockets.
type sockets struct{ *world }

func (w sockets) Bind(path string, _ *config.Build) (public.Listener, error) {
	l, err := w.folder.Bind(path)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (w sockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	var lost error
	w.do(func() { lost = w.lost })
	if lost != nil {
		return nil, lost
	}
	if inode == 0 {
		if l := w.folder.At(path); l != nil {
			inode = l.Inode()
		}
	}
	if !w.HeldBy(inode, pids...) {
		return nil, fmt.Errorf("nobody holds it: %w", fs.ErrNotExist)
	}
	for _, l := range w.folder.Open() {
		if l.Inode() == inode {
			return l, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (w sockets) HeldBy(inode uint64, pids ...int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.trees, func(t *tree) bool {
		holds := slices.Contains(pids, t.pid) && !t.dead || slices.Contains(pids, t.pid+500)
		return t.sock != nil && t.sock.Inode() == inode && holds && !t.gone
	})
}

func (w sockets) Remove(path string) error { return w.folder.Remove(path) }

func (w sockets) Guard(_ layout.Build, touched func()) { w.do(func() { w.guard = touched }) }

// releases is Releases.
type releases struct{ *world }

func (w releases) Make(ctx context.Context, r build.Request) (build.Release, bool, error) {
	half := func(step string, n int) error {
		var takes time.Duration
		w.do(func() { takes = w.takes })
		r.Progress(build.Progress{Step: step, N: n, Of: 2})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takes):
		}
		r.Progress(build.Progress{Step: step, N: n, Of: 2, Done: true, Elapsed: takes})
		return nil
	}
	var inputs string
	w.do(func() { inputs = w.inputs })
	if !r.Force {
		r.Because([]string{inputs + " changed"})
	}
	if err := half("install", 1); err != nil {
		return build.Release{}, false, err
	}
	if r.Build.Migrate {
		r.Irreversible()
	}
	if err := half("migrate", 2); err != nil {
		return build.Release{}, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["Make"]; err != nil {
		return build.Release{}, false, err
	}
	if id, ok := w.made[inputs]; ok && !r.Force {
		for _, rel := range w.kept {
			if rel.ID == id {
				return rel, false, nil
			}
		}
	}
	rel := build.Release{ID: fmt.Sprintf("r%d", len(w.kept)+1), Dir: "/release", Venv: "/venv", Commit: w.commit, By: r.By}
	if !r.Force {
		rel.Because = []string{inputs + " changed"}
	}
	w.by = r.By
	w.kept, w.made[inputs] = append(w.kept, rel), rel.ID
	return rel, true, nil
}

func (w releases) Check(ctx context.Context, l build.Look) error {
	var takes time.Duration
	w.do(func() { w.looks, takes = append(w.looks, l), w.takes })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takes):
	}
	return w.failing("Check")
}

func (w releases) Get(_, id string) (build.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rel := range w.kept {
		if rel.ID == id {
			return rel, w.fails["Get"]
		}
	}
	return build.Release{}, fs.ErrNotExist
}

func (w releases) List(string) ([]build.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kept), w.fails["List"]
}

func (w releases) Own(context.Context, string, config.Identity, ...string) error {
	return w.failing("Own")
}

func (w releases) Prune(_ *config.Build, inUse ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inUse = inUse
	return w.fails["Prune"]
}

func (w releases) SetCurrent(_, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = id
	return w.fails["SetCurrent"]
}

func (w releases) StageStatics(ctx context.Context, _ *config.Build, id string) error {
	var takes time.Duration
	w.do(func() { takes = w.statics.takes })
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statics.staged = append(w.statics.staged, id)
	return w.fails["StageStatics"]
}

func (w releases) PublishStatics(ctx context.Context, _ *config.Build, id string) error {
	var hangs time.Duration
	w.do(func() { hangs = w.statics.hangs })
	select {
	case <-time.After(hangs):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["PublishStatics"]; err != nil {
		return err
	}
	w.statics.published = append(w.statics.published, id)
	return nil
}

// host is Host.
type host struct{ *world }

func (w host) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off == 0 {
		return time.Now()
	}
	return time.Now().Round(0).Add(w.off)
}

func (w host) Environ(*config.Build) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["Environ"]; err != nil {
		return nil, err
	}
	return slices.Clone(w.environ), nil
}

func (w host) MakeData(*config.Build, layout.Build) error { return w.failing("MakeData") }

func (w host) Identity(*config.Build) (config.Identity, error) {
	return config.Identity{UID: -1, GID: -1}, w.failing("Identity")
}

func (w host) Probe(ctx context.Context, socket string, _ *config.Health, timeout time.Duration) error {
	l, server := w.folder.At(socket), (*tree)(nil)
	w.mu.Lock()
	w.spans = append(w.spans, timeout)
	for _, t := range w.trees {
		if t.sock == l && !t.dead && !t.conduct.hung {
			server = t
		}
	}
	turn, answer := timeout+1, (*ProbeError)(nil)
	if server != nil {
		turn, answer = server.conduct.turn, server.conduct.answer
	}
	w.mu.Unlock()
	select {
	case <-time.After(min(turn, timeout)):
	case <-ctx.Done():
		turn = timeout + 1
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case turn > timeout:
		return &ProbeError{Late: true, Err: errors.New("no answer in time")}
	case answer != nil:
		return answer
	}
	return nil
}

func (w host) OutputSize(string) int64 { return 0 }

func (w host) Output(_ string, _ int64, n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output[max(len(w.output)-n, 0):]
}

func (w host) DropFiles(_ layout.Build, keep ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = keep
	return w.fails["DropFiles"]
}

// records is Records.
type records struct{ *world }

func (w records) Save(_ string, r *state.Record) {
	w.do(func() { w.record, w.saved = r, w.saved+1 })
}

// Flush takes a moment, as a disk does.
func (w records) Flush(time.Duration) bool {
	time.Sleep(10 * time.Millisecond)
	w.do(func() { w.written = w.record })
	return true
}

// reports is Reports.
type reports struct{ *world }

func (w reports) Event(e Event)                { w.do(func() { w.events = append(w.events, e) }) }
func (w reports) Built(_, result string)       { w.do(func() { w.built = append(w.built, result) }) }
func (w reports) OOMKilled(_, _ string, n int) { w.do(func() { w.oomKilled += n }) }
func (w reports) Ran(_, name, result string, _ time.Duration) {
	w.do(func() { w.ran = append(w.ran, name+" "+result) })
}
func (w reports) Step(string, string, time.Duration)              {}
func (w reports) Probed(_ string, _ time.Duration, answered bool) {}

// told returns the names of the events so far, in their order.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, e := range w.events {
		names = append(names, e.Event)
	}
	return strings.Join(names, " ")
}

// attempts returns how the attempts so far ended, in their order.
func (w *world) attempts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.built, " ")
}
