package simulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// trees is the port to start and end them.
type trees struct{ *incarnation }

// siteOf returns the build that a mark names: ROOT ID/BUILD/GENERATION.
func (w *World) siteOf(mark string) (*site, int) {
	var n int
	parts := strings.Split(mark, "/")
	if len(parts) != 3 || w.sites[parts[1]] == nil {
		panic("mark " + mark)
	}
	fmt.Sscan(parts[2], &n)
	return w.sites[parts[1]], n
}

func (k trees) Start(st actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if _, process := st.Launch.Server.(server.Process); st.Listener == nil && !process {
		return k.startRun(st, exited)
	}
	w := k.w
	s, n := w.siteOf(st.Mark)
	d := s.dice.of(n)
	k.spend(&d)
	if !k.lock() {
		return &handle{inc: k.incarnation, site: s}, nil, nil
	}
	defer w.mu.Unlock()
	release, runKey, _ := server.VersionOf(st.Launch.Env)
	r := s.release(release)
	if err := s.writeFiles(st.Launch); err != nil {
		return nil, nil, err
	}
	if p, is := st.Launch.Server.(server.Process); is {
		return k.startProcess(st, s, n, *p.Of, release, exited)
	}
	l, entry := own(st.Listener), st.Launch.Server.(server.Gunicorn).Entry
	s.started(l.sock, n, max(entry.Replicas, s.last.Replicas)) // an older version gets as many as the file says now
	if r == nil {
		return nil, nil, fmt.Errorf("start release %s: %w", release, fs.ErrNotExist)
	}
	t := &tree{
		site: s, n: n, mark: st.Mark, env: st.Launch.Env, dice: s.dice.of(n), release: r, runKey: runKey, sock: l.sock, begun: w.now(),
		workers: entry.Workers, boot: r.inputs.boot, empty: make(chan struct{}),
		watched: watched{k.incarnation, exited}, words: newWords(), public: l.path == s.paths.Socket(),
	}
	if len(s.boots) > 0 && t.boot == bootWell {
		t.boot = s.boots[0]
		s.boots = s.boots[1:]
	}
	if t.boot == bootRefused {
		return nil, nil, errors.New("fork: resource temporarily unavailable")
	}
	s.trees = append(s.trees, t)
	s.tell("the supervisor starts %v of release %s on the %s, it %v", t, r.ID, map[bool]string{true: "public socket", false: "candidate's socket"}[t.public], t.boot)
	t.begin()
	return k.handle(t), t.words, nil
}

// startProcess starts an instance of a process. The world's lock is held.
func (k trees) startProcess(st actor.Start, s *site, n int, p config.Process, release string, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	_, index := server.ProcessOf(st.Launch.Env)
	s.besides++
	s.once(p.Name, index, n, p.Overlap)
	r := s.release(release)
	switch {
	case r == nil || !r.there():
		return nil, nil, fmt.Errorf("start %s of release %s: %w", p.Name, release, fs.ErrNotExist)
	case !s.w.quiet && s.dice.oneIn(throwFate, 30):
		return nil, nil, errors.New("fork: resource temporarily unavailable")
	}
	t := &tree{
		site: s, n: n, mark: st.Mark, env: st.Launch.Env, process: p.Name, index: index, dice: s.dice.of(n), release: r, begun: s.w.now(),
		empty: make(chan struct{}), watched: watched{k.incarnation, exited},
	}
	s.beside = append(s.beside, t)
	s.tell("the supervisor starts %v of release %s", t, r.ID)
	t.begins()
	return k.handle(t), nil, nil
}

// Hear is of no use here: none says that it is alive.
func (k trees) Hear(actor.Leftover, config.Identity) (server.Words, error) { return newWords(), nil }

// writeFiles makes the generated files of a launch.
func (s *site) writeFiles(l *server.Launch) error {
	for _, f := range l.Files {
		if s.files[f.Path] {
			continue
		}
		if err := s.w.disk.writable(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
		s.files[f.Path] = true
	}
	return nil
}

func (inc *incarnation) handle(t *tree) *handle {
	return &handle{inc: inc, site: t.site, t: t, pid: t.master.pid, start: t.master.start}
}

func (k trees) Adopt(l actor.Leftover, exited func(actor.Exit)) (actor.Tree, error) {
	s, _ := k.w.siteOf(l.Mark)
	if !k.lock() {
		return &handle{inc: k.incarnation, site: s}, nil
	}
	defer k.w.mu.Unlock()
	p := k.w.procs[l.Leader.Pid]
	if p == nil || p.start != l.Leader.StartTime {
		return nil, fmt.Errorf("adopt process %d: it has ended", l.Leader.Pid)
	}
	if p.run != nil {
		return k.adoptRun(p.run, exited), nil
	}
	if p.tree == nil {
		s.breaks("strangers are left alone", "process %d, which belongs to somebody else, is adopted", p.pid)
		return nil, errors.New("it is a stranger")
	}
	p.tree.watched = watched{k.incarnation, exited}
	p.tree.ended = false // by an earlier supervisor; one that ignores SIGTERM serves on
	s.tell("the supervisor adopts %v", p.tree)
	return k.handle(p.tree), nil
}

func (k trees) Remains(l actor.Leftover) actor.Tree {
	s, _ := k.w.siteOf(l.Mark)
	h := &handle{inc: k.incarnation, site: s, pid: l.Leader.Pid, start: l.Leader.StartTime}
	if !k.lock() {
		return h
	}
	defer k.w.mu.Unlock()
	if l.Task != "" {
		return &runHandle{inc: k.incarnation, run: s.runAt(l.Mark), pid: l.Leader.Pid, start: l.Leader.StartTime}
	}
	for _, t := range s.all() {
		if t.mark == l.Mark {
			h.t = t
		}
	}
	return h
}

func (k trees) Environ(pid int) ([]string, error) {
	if !k.lock() {
		return nil, nil
	}
	defer k.w.mu.Unlock()
	p := k.w.procs[pid]
	if p == nil {
		return nil, fmt.Errorf("read the environment of process %d: no such process", pid)
	}
	if p.run != nil {
		return p.run.env, nil
	}
	if p.tree == nil {
		return nil, nil
	}
	return p.tree.env, nil
}

func (k trees) Alive(pid int) bool {
	if !k.lock() {
		return true
	}
	defer k.w.mu.Unlock()
	return k.w.procs[pid] != nil
}

// Run is a hook: most do something and end, some fail, some hang.
func (k trees) Run(ctx context.Context, h actor.Hook) (string, error) {
	s := k.w.sites[h.Entry.Name]
	if !k.lock() {
		return "", nil
	}
	s.hooks++
	s.hooked(h.Env)
	took, fate := s.dice.between(throwHook, 5*time.Millisecond, 2*time.Second), s.dice.next(throwHook)%8
	k.w.mu.Unlock()
	if fate == 0 {
		took = 24 * time.Hour
	}
	t := time.NewTimer(took)
	defer t.Stop()
	var err error
	select {
	case <-t.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-k.gone:
	}
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	s.hooks--
	if err == nil && fate == 1 {
		err = errors.New("exit code 1")
	}
	return "", err
}

// marked lists our processes, as a reading of the process table found them.
func (w *World) marked(prefix string) (found []*process) {
	for _, s := range w.order {
		for _, t := range s.all() {
			if strings.HasPrefix(t.mark, prefix) {
				found = append(found, t.members...)
			}
		}
	}
	return found
}

// handle is a supervisor's grip on a tree.
type handle struct {
	inc   *incarnation
	site  *site
	t     *tree // nil: nothing is left of it
	pid   int
	start uint64
}

func (h *handle) Pid() int          { return h.pid }
func (h *handle) StartTime() uint64 { return h.start }

// Private is where this tree alone takes clients.
func (h *handle) Private() string {
	if h.t == nil || h.t.process != "" {
		return ""
	}
	return string(h.site.paths.Private(h.t.n))
}

// StopBy changes nothing: they all end by SIGTERM here.
func (h *handle) StopBy(syscall.Signal, bool) {}

// Bound limits nothing either.
func (k trees) Bound(string, config.Limits, bool) error { return nil }

// Limit limits nothing: nobody eats memory there.
func (h *handle) Limit(config.Limits) error { return nil }

// Said is nothing: nobody prints there.
func (h *handle) Said(string, int) []string { return nil }

// OOMKills counts none.
func (h *handle) OOMKills() int { return 0 }

// Signal does nothing: only tasks get signals.
func (h *handle) Signal(syscall.Signal) error { return nil }

// Boxed is false: builds of this machine have no sandbox.
func (h *handle) Boxed() bool { return false }

// Unlogged is nil: whatever happens to a log is not seen on this machine.
func (h *handle) Unlogged() error { return nil }

// Terminate is SIGTERM to the main process and its group.
func (h *handle) Terminate() error {
	if !h.inc.lock() {
		return nil
	}
	defer h.inc.w.mu.Unlock()
	if h.t != nil {
		h.t.toldToEnd()
		h.t.term()
	}
	return nil
}

// canServe says that it takes clients from its queue, as it always has.
func (t *tree) canServe() bool {
	return t.master.alive && !t.ill && slices.ContainsFunc(t.members, func(p *process) bool { return p.role == roleWorker && p.ready })
}

// toldToEnd is that a supervisor tells a tree to end.
func (t *tree) toldToEnd() {
	w := t.site.w
	k := t.sock
	if k != nil && !t.ended && t.lostName != 0 && len(k.queue) > 0 && t.canServe() && k.keeper == w.sup && !w.sup.stopping &&
		w.now()-t.lostName < min(t.site.last.GracefulTimeout, 2*time.Second) {
		t.site.breaks("a queue is served before its server is told to end", "%d clients wait for %v", len(k.queue), t)
	}
	t.ended = true
}

// End ends the whole tree.
func (h *handle) End(ctx context.Context, grace time.Duration) error {
	if !h.inc.lock() {
		return nil
	}
	if h.t == nil {
		h.inc.w.mu.Unlock()
		return nil
	}
	soon := h.t.dice.between(throwPort, us, 50*us) // several may be ended at the same instant
	h.inc.w.mu.Unlock()
	h.inc.sleep(soon)
	if !h.inc.lock() {
		return nil
	}
	if !h.t.ended && h.t.master.alive {
		h.site.tell("the supervisor ends %v", h.t)
	}
	h.t.toldToEnd()
	if grace > 0 {
		if h.t.hung && !h.t.deaf && h.t.boot != bootHangs { // SIGCONT: what was stopped goes on
			h.t.resumes()
		}
		h.t.term()
	}
	empty := h.t.empty
	h.inc.w.mu.Unlock()
	if grace > 0 {
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-empty:
			return nil
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("end the tree of process %d: %w", h.pid, ctx.Err())
		case <-h.inc.gone:
			return nil
		}
	}
	if !h.inc.lock() {
		return nil
	}
	took := h.t.dice.between(throwExit, 500*us, 1500*us)
	h.inc.w.mu.Unlock()
	h.inc.sleep(took)
	if !h.inc.lock() {
		return nil
	}
	if h.t.alive() {
		h.site.tell("the supervisor kills %v", h.t)
	}
	for _, p := range slices.Clone(h.t.members) {
		p.dies("killed by the supervisor, after the grace period")
	}
	h.inc.w.mu.Unlock()
	return nil
}
