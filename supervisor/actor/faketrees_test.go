package actor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/fakesocket"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

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

func (t *tree) Pid() int { return t.pid }

func (t *tree) StartTime() uint64 { return uint64(t.pid) * 10 }

func (t *tree) Private() string { return "" }

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

// living returns the trees of which something is left, in the order in which they were started.
func (w *world) living() []*tree {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.trees), func(t *tree) bool { return t.gone })
}
