package simulate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// fault is one that a supervisor might have. It is put between the supervisor and the world, so
// that the program itself needs no switch: what is not done, or is done too soon, does not come
// through.
type fault struct {
	name  string
	plant plant
}

var faults = []fault{
	{"a queue is not drained", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.drained = func(context.Context) error { return nil } })
	}},
	{"a socket is closed with clients in it", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.forward = func(context.Context, string) (int, error) { return 0, nil } })
	}},
	{"a lost name is not restored", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.restore = func() error { return nil } })
	}},
	{"a refusal never ends", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) {
			l.refuse = func(ctx context.Context, after func() time.Duration) int {
				go l.listener.Refuse(inc.life, after)
				<-ctx.Done()
				return 0
			}
		})
	}},
	{"a socket that is let go is not closed", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.close = func() error { return nil } })
	}},
	{"the public name is not removed", func(inc *incarnation, w *ports.World) {
		w.Sockets = wrapSockets(w.Sockets, func(l *badListener) { l.unlink = func() error { return nil } })
	}},
	{"a candidate gets the name before its check", func(inc *incarnation, w *ports.World) { w.Host = blindHost{w.Host} }},
	{"a start time is not compared at an adoption", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, adopt: func(l actor.Leftover) actor.Leftover {
			inc.w.mu.Lock()
			defer inc.w.mu.Unlock()
			if p := inc.w.procs[l.Leader.Pid]; p != nil {
				l.Leader.StartTime = p.start
			}
			return l
		}}
	}},
	{"a pid is not compared before a signal", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return pidTree{t, inc} }}
	}},
	{"a leftover is not ended", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, remains: func(actor.Leftover) actor.Tree { return nobody{} }}
	}},
	{"leftovers are not looked for", func(inc *incarnation, w *ports.World) { w.Trees = &badTrees{Trees: w.Trees, blind: true} }},
	{"TERM comes after the successor", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return lateTree{t, inc} }}
	}},
	{"a tree that ignores TERM is not killed", func(inc *incarnation, w *ports.World) {
		w.Trees = &badTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return mildTree{t, inc} }}
	}},
	{"an exit is not noticed", func(inc *incarnation, w *ports.World) { w.Trees = &badTrees{Trees: w.Trees, deaf: true} }},
	{"no state is written", func(inc *incarnation, w *ports.World) { w.Store = &badStore{Store: w.Store, never: true} }},
	{"the state is written before its effect", func(inc *incarnation, w *ports.World) {
		w.Store = &badStore{Store: w.Store, last: map[string]state.Record{}}
	}},
	{"the record of a removed build is not deleted", func(inc *incarnation, w *ports.World) {
		w.Store = &badStore{Store: w.Store, keeps: true}
	}},
	{"a backoff is never reset", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.StableAfter = 48 * time.Hour }
	}},
	{"there is no backoff", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.RestartDelayMax = 200 * time.Millisecond }
	}},
	{"the timer of the health probe is never set", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) { b.Health.Interval = 48 * time.Hour }
	}},
	{"an attempt is not cancelled", func(inc *incarnation, w *ports.World) { w.Releases = badReleases{w.Releases, inc, false} }},
	{"a release in use is pruned", func(inc *incarnation, w *ports.World) { w.Releases = badReleases{w.Releases, inc, true} }},
	{"static files go live before the check", func(inc *incarnation, w *ports.World) { w.Releases = hastyStatics{w.Releases} }},
	{"static files do not follow what serves", func(inc *incarnation, w *ports.World) { w.Releases = idleStatics{w.Releases} }},
	{"an edit is overlooked", func(inc *incarnation, w *ports.World) { w.Watcher = deafWatcher{w.Watcher} }},
	{"the gate stays closed after an upgrade that failed", func(inc *incarnation, w *ports.World) { w.Upgrader = stuckUpgrader{w.Upgrader, inc} }},
	{"a command that is overtaken is lost", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return &forgetful{Backend: b, inc: inc} }}
	}},
	{"a command is done before its result holds", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return hasty{b} }}
	}},
	{"sockets that the service manager holds are closed at a restart", func(inc *incarnation, w *ports.World) { w.Holder = blindHolder{w.Holder} }},
	{"what is deleted of the supervisor's folder is not noticed", func(inc *incarnation, w *ports.World) { w.Own = lazyOwn{} }},
	{"records that were deleted are not written again", func(inc *incarnation, w *ports.World) { w.Store = trustingStore{w.Store} }},
	{"a release that is gone is started for ever", func(inc *incarnation, w *ports.World) { w.Trees = vagueTrees{w.Trees} }},
	{"a folder that is made again is not watched again", func(inc *incarnation, w *ports.World) { w.Sockets = &onceGuarded{w.Sockets, inc, map[string]bool{}} }},
	{"an event is written by whoever reports it", func(inc *incarnation, w *ports.World) { w.Events = patientEvents{w.Events, inc} }},
	{"the status waits for the disk", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return patient{b, inc} }}
	}},
	{"the clock on the wall is believed", func(inc *incarnation, w *ports.World) { w.Host = wallHost{w.Host} }},
	{"runs of schedules are not found again", func(inc *incarnation, w *ports.World) { w.Trees = blindToRuns{w.Trees} }},
	{"runs of a schedule overlap", func(inc *incarnation, w *ports.World) {
		inc.w.alter = func(b *config.Build) {
			b.Schedules = slices.Clone(b.Schedules)
			for i := range b.Schedules {
				b.Schedules[i].Overlap, b.Schedules[i].Timeout = true, time.Hour
			}
		}
	}},
	{"a time of a schedule is run twice", func(inc *incarnation, w *ports.World) { w.Trees = repeatedRuns{w.Trees} }},
	{"what was handled of a schedule is not written down", func(inc *incarnation, w *ports.World) {
		w.Store = &staleSchedules{w.Store, inc}
	}},
	{"a command of an operator outlives its caller", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return longWaiting{b, inc} }}
	}},
	{"the result of an operator's command is another one", func(inc *incarnation, w *ports.World) {
		w.Control = badControl{w.Control, func(b control.Backend) control.Backend { return cheerful{b} }}
	}},
	{"a replica that has ended is not started again", func(inc *incarnation, w *ports.World) { w.Trees = alone{w.Trees, inc} }},
	{"the end of a process is not noticed", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, exited: func(actor.Exit) {}}
	}},
	{"the processes of the release before are kept after a swap", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return keptTree{t, inc} }}
	}},
	{"a process starts before the one in its place has ended", func(inc *incarnation, w *ports.World) {
		w.Trees = &processTrees{Trees: w.Trees, wrap: func(t actor.Tree) actor.Tree { return goneTree{t} }}
	}},
	{"a hook is called twice", func(inc *incarnation, w *ports.World) { w.Trees = eager{w.Trees} }},
	{"sockets are not handed over at an upgrade", func(inc *incarnation, w *ports.World) { w.Upgrader = forgetfulUpgrader{w.Upgrader} }},
}

// TestPlantedFaultsAreFound holds that the promises bite: each fault breaks one within a thousand
// histories.
func TestPlantedFaultsAreFound(t *testing.T) {
	if !plantedToo {
		t.Skip("is run without the race detector")
	}
	if testing.Short() {
		t.Skip("is run by make test, with its histories")
	}
	found := 0
	for _, output := range inShards(t, "TestShardOfPlantedFaults") {
		if strings.Contains(output, "--- FAIL") {
			t.Error(output)
		} else {
			t.Log(output)
		}
		found += strings.Count(output, "is found")
	}
	if found != len(faults) {
		t.Errorf("%d of %d planted faults are found", found, len(faults))
	}
}

// TestShardOfPlantedFaults is a part of TestPlantedFaultsAreFound.
func TestShardOfPlantedFaults(t *testing.T) {
	i, of := shard(t)
	for ; i < len(faults); i += of {
		begun, f := time.Now(), faults[i]
		for seed := uint64(1); ; seed++ {
			if seed > 1000 {
				t.Errorf("%s: not found within 1000 histories, %v", f.name, time.Since(begun))
				break
			}
			if w := lived(t, planned(seed), f.plant); len(w.broken) > 0 {
				if calm := lived(t, planned(seed), nil); len(calm.broken) > 0 {
					t.Errorf("history %d breaks a promise without a planted fault: %v", seed, calm.broken[0])
					break
				}
				t.Logf("%s: is found by history %d: %v", f.name, seed, w.broken[0])
				break
			}
		}
	}
}

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

// staleSchedules writes of schedules what it wrote of them first.
type staleSchedules struct {
	ports.Store
	inc *incarnation
}

func (b *staleSchedules) Save(name string, r state.Record) error {
	b.inc.w.mu.Lock()
	old, ok := b.inc.w.disk.records[name]
	b.inc.w.mu.Unlock()
	if ok && len(old.Schedules) > 0 && len(r.Schedules) > 0 {
		r.Schedules = old.Schedules
	}
	return b.Store.Save(name, r)
}

// longWaiting does not tell that a caller has gone.
type longWaiting struct {
	control.Backend
	inc *incarnation
}

func (l longWaiting) Attend(ctx context.Context, name, id string) (control.TaskStatus, error) {
	type result struct {
		t   control.TaskStatus
		err error
	}
	done := make(chan result, 1)
	go func() {
		t, err := l.Backend.Attend(l.inc.life, name, id)
		done <- result{t, err}
	}()
	select {
	case r := <-done:
		return r.t, r.err
	case <-ctx.Done():
		return control.TaskStatus{}, ctx.Err()
	}
}

// cheerful says that every command ended well.
type cheerful struct{ control.Backend }

func (c cheerful) Attend(ctx context.Context, name, id string) (control.TaskStatus, error) {
	t, err := c.Backend.Attend(ctx, name, id)
	t.Code, t.Exit = 0, "exit code 0"
	return t, err
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

// badListener does something else than it should, where a function says so.
type badListener struct {
	*listener
	drained func(context.Context) error
	forward func(context.Context, string) (int, error)
	refuse  func(context.Context, func() time.Duration) int
	restore func() error
	unlink  func() error
	close   func() error
}

func (l *badListener) Drained(ctx context.Context) error {
	if l.drained != nil {
		return l.drained(ctx)
	}
	return l.listener.Drained(ctx)
}

func (l *badListener) Forward(ctx context.Context, to string) (int, error) {
	if l.forward != nil {
		return l.forward(ctx, to)
	}
	return l.listener.Forward(ctx, to)
}

func (l *badListener) Refuse(ctx context.Context, after func() time.Duration) int {
	if l.refuse != nil {
		return l.refuse(ctx, after)
	}
	return l.listener.Refuse(ctx, after)
}

func (l *badListener) Restore() error {
	if l.restore != nil {
		return l.restore()
	}
	return l.listener.Restore()
}

func (l *badListener) Unlink() error {
	if l.unlink != nil {
		return l.unlink()
	}
	return l.listener.Unlink()
}

func (l *badListener) Close() error {
	if l.close != nil {
		return l.close()
	}
	return l.listener.Close()
}

// badSockets makes bad listeners.
type badSockets struct {
	ports.Sockets
	spoil func(*badListener)
}

func wrapSockets(s ports.Sockets, spoil func(*badListener)) ports.Sockets {
	return badSockets{s, spoil}
}

func (s badSockets) bad(l public.Listener, err error) (public.Listener, error) {
	if err != nil {
		return nil, err
	}
	b := &badListener{listener: own(l)}
	s.spoil(b)
	return b, nil
}

func (s badSockets) Bind(path string, entry *config.Build) (public.Listener, error) {
	return s.bad(s.Sockets.Bind(path, entry))
}

func (s badSockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	return s.bad(s.Sockets.Recover(path, inode, pids...))
}

// blindHost finds everything healthy.
type blindHost struct{ actor.Host }

func (blindHost) Probe(context.Context, string, *config.Health, time.Duration) error { return nil }

// wallHost has a clock that measures nothing but what people have set.
type wallHost struct{ actor.Host }

func (h wallHost) Now() time.Time { return h.Host.Now().Round(0) }

// lazyOwn makes nothing again.
type lazyOwn struct{}

func (lazyOwn) Keep(ctx context.Context, _ func()) { <-ctx.Done() }

// trustingStore does not look.
type trustingStore struct{ ports.Store }

func (trustingStore) Intact(string) bool { return true }

// vagueTrees do not say that what is to be started is not there.
type vagueTrees struct{ ports.Trees }

func (v vagueTrees) Start(s actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	t, words, err := v.Trees.Start(s, exited)
	if err != nil {
		err = errors.New(err.Error())
	}
	return t, words, err
}

// onceGuarded are sockets whose folder is watched from the first time on, for as long as it is there.
type onceGuarded struct {
	ports.Sockets
	inc  *incarnation
	done map[string]bool
}

func (o *onceGuarded) Guard(b layout.Build, touched func()) {
	o.inc.w.mu.Lock()
	again := o.done[b.Dir()]
	o.done[b.Dir()] = touched != nil
	o.inc.w.mu.Unlock()
	if !again || touched == nil {
		o.Sockets.Guard(b, touched)
	}
}

// patientEvents are in the file when Add returns.
type patientEvents struct {
	ports.EventFile
	inc *incarnation
}

func (e patientEvents) Add(line any) {
	e.inc.unblocked()
	e.EventFile.Add(line)
}

// patient looks at the disk for its status.
type patient struct {
	control.Backend
	inc *incarnation
}

func (p patient) Status(usage bool) control.Status {
	p.inc.unblocked()
	return p.Backend.Status(usage)
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

func (nobody) Pid() int                                 { return 0 }
func (nobody) StartTime() uint64                        { return 0 }
func (nobody) Limit(config.Limits) error                { return nil }
func (nobody) OOMKills() int                            { return 0 }
func (nobody) Said(string, int) []string                { return nil }
func (nobody) Signal(syscall.Signal) error              { return nil }
func (nobody) Private() string                          { return "" }
func (nobody) StopBy(syscall.Signal, bool)              {}
func (nobody) Boxed() bool                              { return false }
func (nobody) Unlogged() error                          { return nil }
func (nobody) Terminate() error                         { return nil }
func (nobody) End(context.Context, time.Duration) error { return nil }

// blindHolder does not see what is held.
type blindHolder struct{ ports.Holder }

func (blindHolder) Held() func(uint64) bool { return func(uint64) bool { return false } }

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

// badStore writes nothing, something else, or deletes nothing.
type badStore struct {
	ports.Store
	never, keeps bool
	last         map[string]state.Record
}

func (b *badStore) Save(name string, r state.Record) error {
	if b.never {
		return nil
	}
	if b.last != nil {
		before, ok := b.last[name]
		b.last[name] = r
		if !ok {
			return nil
		}
		r = before
	}
	return b.Store.Save(name, r)
}

func (b *badStore) Delete(name string) error {
	if b.never || b.keeps {
		return nil
	}
	return b.Store.Delete(name)
}

// badReleases goes on with attempts that are cancelled, or prunes what is in use.
type badReleases struct {
	ports.Releases
	inc    *incarnation
	prunes bool
}

func (b badReleases) Make(ctx context.Context, r build.Request) (build.Release, bool, error) {
	if !b.prunes {
		ctx = context.WithoutCancel(ctx)
	}
	return b.Releases.Make(ctx, r)
}

func (b badReleases) Prune(entry *config.Build, inUse ...string) error {
	if b.prunes {
		inUse = nil
	}
	return b.Releases.Prune(entry, inUse...)
}

// hastyStatics publishes what is only to be prepared.
type hastyStatics struct{ ports.Releases }

func (b hastyStatics) StageStatics(ctx context.Context, entry *config.Build, id string) error {
	return b.Releases.PublishStatics(ctx, entry, id)
}

// idleStatics publishes nothing.
type idleStatics struct{ ports.Releases }

func (idleStatics) PublishStatics(context.Context, *config.Build, string) error { return nil }

// deafWatcher tells of no edit of the inputs.
type deafWatcher struct{ ports.Watcher }

func (deafWatcher) C() <-chan []string { return nil }

// stuckUpgrader does not come back from an exec that failed.
type stuckUpgrader struct {
	ports.Upgrader
	inc *incarnation
}

func (u stuckUpgrader) Ask(ctx context.Context) (ports.Acceptance, error) {
	a, err := u.Upgrader.Ask(ctx)
	if err != nil {
		<-u.inc.gone
	}
	return a, err
}

// forgetfulUpgrader hands no socket over.
type forgetfulUpgrader struct{ ports.Upgrader }

func (u forgetfulUpgrader) Execute(s ports.Succession) error {
	s.Sockets = nil
	return u.Upgrader.Execute(s)
}

// badControl takes commands with another backend.
type badControl struct {
	ports.Control
	wrap func(control.Backend) control.Backend
}

func (c badControl) Serve(ctx context.Context, b control.Backend, m *control.Metrics) {
	c.Control.Serve(ctx, c.wrap(b), m)
}

// forgetful gives no result to who was overtaken by another command.
type forgetful struct {
	control.Backend
	inc   *incarnation
	count int
}

func (f *forgetful) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) error {
	f.inc.w.mu.Lock()
	f.count++
	mine := f.count
	f.inc.w.mu.Unlock()
	err := f.Backend.Act(ctx, name, action, args, progress)
	f.inc.w.mu.Lock()
	overtaken := f.count != mine
	f.inc.w.mu.Unlock()
	if overtaken {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// hasty says that everything is done.
type hasty struct{ control.Backend }

func (h hasty) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) error {
	hurried := map[string]string{"wait": "no"}
	for k, v := range args {
		hurried[k] = v
	}
	return h.Backend.Act(ctx, name, action, hurried, progress)
}
