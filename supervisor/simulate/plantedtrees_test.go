package simulate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// blindToRuns finds no run of a schedule that an earlier supervisor has started.
type blindToRuns struct{ ports.Trees }

func (b blindToRuns) Marked(prefix string) ([]ports.Marked, []string, error) {
	found, groups, err := b.Trees.Marked(prefix)
	return slices.DeleteFunc(found, func(m ports.Marked) bool { return strings.Contains(m.Mark, "/schedule.") }), groups, err
}

// isProcess says that an instance of a process is to be started.
func isProcess(s actor.Start) bool {
	_, is := s.Launch.Server.(server.Process)
	return is
}

// repeatedRuns runs each run of a schedule once more when it has ended.
type repeatedRuns struct{ ports.Trees }

func (r repeatedRuns) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if !strings.Contains(s.Mark, "/schedule.") {
		return r.Trees.Start(s, exited)
	}
	again, parts := s, strings.Split(s.Mark, "/")
	_, name, _ := actor.TaskOf(parts[2])
	again.Mark = parts[0] + "/" + parts[1] + "/" + actor.NewTaskID(actor.TaskSchedule, name)
	return r.Trees.Start(s, func(e actor.Exit) {
		exited(e)
		go r.Trees.Start(again, func(actor.Exit) {}) // whose world is locked now
	})
}

// alone starts no server beside another one that has the public name.
type alone struct {
	ports.Trees
	inc *incarnation
}

func (a alone) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if s.Listener != nil {
		l := own(s.Listener)
		a.inc.w.mu.Lock()
		t := l.sock.site.serving()
		a.inc.w.mu.Unlock()
		if t != nil && t.sock == l.sock {
			return nil, nil, errors.New("made up")
		}
	}
	return a.Trees.Start(s, exited)
}

// processTrees are the port to trees with a duty to processes not done.
type processTrees struct {
	ports.Trees
	exited func(actor.Exit)
	wrap   func(actor.Tree) actor.Tree
}

func (p *processTrees) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if !isProcess(s) {
		return p.Trees.Start(s, exited)
	}
	if p.exited != nil {
		exited = p.exited
	}
	t, words, err := p.Trees.Start(s, exited)
	if err == nil && p.wrap != nil {
		t = p.wrap(t)
	}
	return t, words, err
}

// keptTree runs on when it is told to end, unless the supervisor stops.
type keptTree struct {
	actor.Tree
	inc *incarnation
}

func (t keptTree) stays() bool {
	t.inc.w.mu.Lock()
	defer t.inc.w.mu.Unlock()
	return !t.inc.stopping
}

func (t keptTree) Terminate() error {
	if t.stays() {
		return nil
	}
	return t.Tree.Terminate()
}

func (t keptTree) End(ctx context.Context, grace time.Duration) error {
	if t.stays() {
		return nil
	}
	return t.Tree.End(ctx, grace)
}

// goneTree is said to have ended as soon as it is told to.
type goneTree struct{ actor.Tree }

func (t goneTree) End(ctx context.Context, grace time.Duration) error {
	go t.Tree.End(ctx, grace)
	return nil
}

// eager calls every hook twice.
type eager struct{ ports.Trees }

func (e eager) Run(ctx context.Context, h actor.Hook) (string, error) {
	if output, err := e.Trees.Run(ctx, h); err != nil {
		return output, err
	}
	return e.Trees.Run(ctx, h)
}

// vagueTrees do not say that what is to be started is not there.
type vagueTrees struct{ ports.Trees }

func (v vagueTrees) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	t, words, err := v.Trees.Start(s, exited)
	if err != nil {
		err = errors.New(err.Error())
	}
	return t, words, err
}

// badTrees are the port to trees with one of its duties not done.
type badTrees struct {
	ports.Trees
	adopt   func(actor.Leftover) actor.Leftover
	remains func(actor.Leftover) actor.Tree
	wrap    func(actor.Tree) actor.Tree
	blind   bool
	deaf    bool
}

func (b *badTrees) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	if b.deaf {
		exited = func(actor.Exit) {}
	}
	t, words, err := b.Trees.Start(s, exited)
	if err == nil && b.wrap != nil {
		t = b.wrap(t)
	}
	return t, words, err
}

func (b *badTrees) Adopt(l actor.Leftover, exited func(actor.Exit)) (actor.Tree, error) {
	if b.adopt != nil {
		l = b.adopt(l)
	}
	return b.Trees.Adopt(l, exited)
}

func (b *badTrees) Remains(l actor.Leftover) actor.Tree {
	if b.remains != nil {
		return b.remains(l)
	}
	return b.Trees.Remains(l)
}

func (b *badTrees) Marked(prefix string) ([]ports.Marked, []string, error) {
	if b.blind {
		return nil, nil, nil
	}
	return b.Trees.Marked(prefix)
}

// nobody is a tree that is not there.
type nobody struct{}

func (nobody) Pid() int { return 0 }

func (nobody) StartTime() uint64 { return 0 }

func (nobody) Limit(config.Limits) error { return nil }

func (nobody) OOMKills() int { return 0 }

func (nobody) Said(string, int) []string { return nil }

func (nobody) Signal(syscall.Signal) error { return nil }

func (nobody) Private() string { return "" }

func (nobody) StopBy(syscall.Signal, bool) {}

func (nobody) Boxed() bool { return false }

func (nobody) Unlogged() error { return nil }

func (nobody) Terminate() error { return nil }

func (nobody) End(context.Context, time.Duration) error { return nil }

// pidTree signals whoever has its pid.
type pidTree struct {
	actor.Tree
	inc *incarnation
}

func (t pidTree) Terminate() error {
	if t.inc.lock() {
		if p := t.inc.w.procs[t.Pid()]; p != nil && p.tree == nil {
			t.inc.w.signalled(p)
		}
		t.inc.w.mu.Unlock()
	}
	return t.Tree.Terminate()
}

// lateTree is told to end a second too late.
type lateTree struct {
	actor.Tree
	inc *incarnation
}

func (t lateTree) Terminate() error { return nil }

func (t lateTree) End(ctx context.Context, grace time.Duration) error {
	t.inc.sleep(time.Second)
	return t.Tree.End(ctx, grace)
}

// mildTree is never killed.
type mildTree struct {
	actor.Tree
	inc *incarnation
}

func (t mildTree) End(ctx context.Context, grace time.Duration) error {
	limit, cancel := context.WithTimeout(ctx, max(grace, time.Millisecond))
	defer cancel()
	if err := t.Tree.End(limit, 48*time.Hour); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}
