package simulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// rootID begins the marks of all trees.
const rootID = "made-up"

// start starts a supervisor after a time, as a service manager would: again and again while the
// file is bad. handed are the sockets that came over an exec.
func (w *World) start(delay time.Duration, from string, handed map[string][]kept) {
	w.lives++
	inc := &incarnation{
		w: w, n: w.lives, gone: make(chan struct{}), opened: map[*listener]bool{}, hands: map[*client]bool{},
		leaving: map[leaver]bool{}, slots: slots{limit: 1}, inherited: inherited{from: from},
		senses: senses{signals: make(chan os.Signal, 16), touches: make(chan []string, 1024), ownSeen: make(chan struct{}, 1)},
	}
	inc.life, inc.cut = context.WithCancel(context.Background())
	for name, all := range handed {
		for _, k := range all {
			l := inc.open(k.sock, k.path)
			if inc.handed == nil {
				inc.handed = map[string][]public.Listener{}
			}
			inc.handed[name] = append(inc.handed[name], l)
		}
	}
	if from != "" {
		w.sup = inc
	}
	w.starting = true
	w.after(delay, func() { w.begin(inc) })
}

// kept is a socket that goes over an exec.
type kept struct {
	sock *socket
	path string
}

func (w *World) begin(inc *incarnation) {
	if inc.dead {
		return
	}
	ports := inc.world()
	if w.planted != nil {
		w.planted(inc, ports)
	}
	cfg, err := w.file.load(w, inc)
	if err != nil {
		w.tell("world", "no supervisor starts, the file is bad")
		w.after(5*time.Second, func() { w.begin(inc) })
		return
	}
	w.sup, w.starting = inc, false
	inc.began, inc.boot = w.now(), w.boots
	w.tell("world", fmt.Sprintf("supervisor %d starts", inc.n))
	for _, s := range w.order {
		if s.wish != wishServe || s.entry == nil {
			s.unsure()
		}
	}
	if inc.from == "" {
		inc.passed()
	}
	w.running.Add(1)
	go func() {
		defer w.running.Done()
		err := supervisor.Run(context.Background(), supervisor.Options{
			Config: cfg, Log: hclog.NewNullLogger(), Version: "made-up", Args: []string{"medctrl-supervisor"},
			World: ports, Reach: inc.reach, Stepped: inc.stepped, Signals: inc.signals,
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		inc.ended(err)
	}()
}

// ended is that Run has returned.
func (inc *incarnation) ended(err error) {
	w := inc.w
	if inc.dead {
		return
	}
	w.tell("world", "the supervisor has ended")
	if err != nil || !inc.stopping {
		w.breaks("", "the supervisor goes on until it is told to stop", "it ended: %v", err)
	}
	w.left(inc)
	inc.dead = true
	close(inc.gone)
	inc.cut()
	if w.sup == inc {
		w.sup = nil
	}
	if w.ending { // nor is it started again: the service manager lets go of everything
		for _, s := range w.order {
			for _, k := range s.sockets {
				k.released()
			}
		}
	} else {
		w.start(w.dice.between(throwLeave, 50*time.Millisecond, 3*time.Second), "", nil)
	}
}

// world is the real Supervisor's view of this one.
func (inc *incarnation) world() *ports.World {
	return &ports.World{
		Trees: trees{inc}, Sockets: sockets{inc}, Releases: releases{inc}, Host: host{inc}, Store: store{inc}, Files: files{inc},
		Watcher: watcher{inc}, Past: past{inc}, Holder: holder{inc}, Upgrader: upgrader{inc}, Control: commands{inc}, Own: ownFolder{inc}, Program: program{}, Events: events{inc},
		RootID: rootID, BootID: fmt.Sprintf("boot-%d", inc.w.boots),
	}
}

// reach is told of each moment at which it matters that the supervisor may die.
func (inc *incarnation) reach(when string, what any) {
	if !inc.lock() {
		return
	}
	defer inc.w.mu.Unlock()
	inc.w.work.reached++
	if inc.die == nil {
		return
	}
	name, ok := what.(string)
	if !ok {
		name = reflect.TypeOf(what).Name()
	}
	if at := when + " " + name; inc.die.at == at || inc.die.at == anyMoment {
		if inc.die.count--; inc.die.count <= 0 {
			inc.die = nil
			inc.dies(at)
			inc.w.revive()
		}
	}
}

// anyMoment is each of them.
const anyMoment = "any moment"

// revive starts the next supervisor, as a service manager would.
func (w *World) revive() {
	if w.ending {
		return
	}
	long := w.dice.oneIn(throwLeave, 5)
	d := w.dice.between(throwLeave, 50*time.Millisecond, 2*time.Second)
	if long {
		d = w.dice.between(throwLeave, 5*time.Second, 60*time.Second)
	}
	w.start(d, "", nil)
}

func (inc *incarnation) signal(sig os.Signal) {
	select {
	case inc.signals <- sig:
	default: // as the kernel does with one that is pending already
	}
}

// Marked reads the process table, which takes a while: who ends meanwhile is found all the same.
func (k trees) Marked(prefix string) ([]ports.Marked, []string, error) {
	if !k.lock() {
		return nil, nil, nil
	}
	var found []ports.Marked
	for _, p := range k.w.marked(prefix) {
		found = append(found, ports.Marked{
			Process: actor.Process{Pid: p.pid, StartTime: p.start}, Mark: p.tree.mark, Leader: p.role == roleMaster, User: os.Geteuid(),
		})
	}
	found = append(found, k.w.markedRuns(prefix)...)
	took := k.w.dice.between(throwScan, time.Millisecond, 60*time.Millisecond)
	if s := k.w.inScan; s != nil { // it dies while the table is read
		k.w.inScan = nil
		k.w.after(took/2, s.crash)
	}
	k.w.mu.Unlock()
	k.sleep(took)
	return found, nil, nil
}

// Usage is not made up.
func (k trees) Usage(_ context.Context, trees []actor.Tree) ([]ports.Usage, error) {
	return make([]ports.Usage, len(trees)), nil
}

// Run reports lost paths until ctx ends; here the world calls who guards them.
func (k sockets) Run(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-k.gone:
	}
}

// file is builds.toml.
type file struct {
	version int
	bad     bool
}

func (f *file) load(w *World, inc *incarnation) (*config.Config, error) {
	if f.bad {
		return nil, fmt.Errorf("builds.toml:%d:1: made up", f.version)
	}
	cfg := &config.Config{
		Path: "/srv/builds.toml", Root: string(Root), Sum: fmt.Sprint(f.version),
		Supervisor: config.Supervisor{LogLevel: "info", LogFormat: "text", LogDir: "/srv/logs", MaxParallelBuilds: w.traits.parallel},
	}
	for _, s := range w.order {
		if s.entry != nil {
			s.seenBy = inc.n
			cfg.Builds = append(cfg.Builds, *s.entry)
			if w.alter != nil {
				w.alter(&cfg.Builds[len(cfg.Builds)-1])
			}
		}
	}
	return cfg, nil
}

type files struct{ *incarnation }

func (k files) Load(string) (*config.Config, error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	return k.w.file.load(k.w, k.incarnation)
}

func (k files) Inputs(entry config.Build) build.Watched {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	return build.Watched{Files: []string{entry.SettingsFile()}, Hash: fmt.Sprint(k.w.sites[entry.Name].inputs.id)}
}

// Includes returns nothing: the made-up file is one.
func (k files) Includes(string) []string { return nil }

func (k files) MakeFolder(string, fs.FileMode) error { return nil }

// Keep keeps no copy, but takes the time for it: the file of the made-up machine is read whole or not
// at all.
func (k files) Keep(*config.Config) error {
	k.unblocked()
	return nil
}

type watcher struct{ *incarnation }

func (k watcher) C() <-chan []string { return k.touches }

func (k watcher) Set(targets []watch.Target) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	k.watched = map[string]bool{}
	for _, t := range targets {
		k.watched[t.ID] = true
	}
}

func (k watcher) Wait()        {}
func (k watcher) Close() error { return nil }

// touch tells the supervisor that a file was touched, once it has been quiet for a moment. The
// empty id is builds.toml.
func (w *World) touch(id string) {
	inc := w.sup
	if inc == nil {
		return
	}
	w.after(w.dice.between(throwTouch, 200*time.Millisecond, 260*time.Millisecond), func() {
		if !inc.dead && inc.watched[id] {
			inc.touches <- []string{id}
		}
	})
}

// holder is the service manager, where it holds sockets while no supervisor runs.
type holder struct{ *incarnation }

func (holder) HoldPlace(ports.PlaceName, *os.File) {}

func (k holder) Held() func(inode uint64) bool {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	held := map[uint64]bool{}
	for _, s := range k.w.order {
		for _, sock := range s.sockets {
			held[sock.inode] = sock.stored && !sock.dead
		}
	}
	return func(inode uint64) bool { return held[inode] }
}

// released is that the service manager lets go of a socket.
func (s *socket) released() {
	s.stored = false
	s.left()
}

// passed are the sockets that the service manager held while no supervisor ran.
func (inc *incarnation) passed() {
	for _, s := range inc.w.order {
		for _, sock := range s.sockets {
			if !sock.stored || sock.dead {
				continue
			}
			l := inc.open(sock, s.paths.Socket())
			if staging := s.paths.Staging(); !l.named() && inc.w.names[staging] == sock {
				l.path = staging
			}
			if inc.handed == nil {
				inc.handed = map[string][]public.Listener{}
			}
			inc.handed[s.name] = append(inc.handed[s.name], l)
			if inc.w.names[s.paths.Socket()] == sock {
				s.up()
			}
			s.tell("the service manager gives socket %d back", sock.inode)
		}
	}
}

type past struct{ *incarnation }

func (k past) From() string { return k.from }

func (k past) Builds() []string {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	return slices.Sorted(maps.Keys(k.handed))
}

func (k past) Sockets(name string) []public.Listener {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	all := k.handed[name]
	delete(k.handed, name)
	return all
}

func (k past) Place(ports.PlaceName, string) net.Listener { return nil }

func (k past) Adopted() {
	if !k.lock() {
		return
	}
	defer k.w.mu.Unlock()
	for _, all := range k.handed {
		for _, l := range all {
			own(l).close()
		}
	}
	k.handed = nil
}

func (k past) Close() {}

type upgrader struct{ *incarnation }

func (k upgrader) Ask(ctx context.Context) (ports.Acceptance, error) {
	if !k.lock() {
		return ports.Acceptance{}, errGone
	}
	took, refuses := k.w.dice.between(throwHook, 20*time.Millisecond, 2*time.Second), k.w.dice.oneIn(throwHook, 6) || k.w.file.bad
	k.w.mu.Unlock()
	k.sleep(took)
	if refuses {
		return ports.Acceptance{}, errors.New("the program does not take over")
	}
	return ports.Acceptance{Version: "made-up", Handover: 2}, nil
}

var errGone = errors.New("the supervisor is gone")

func (k upgrader) Execute(s ports.Succession) error {
	if !k.lock() {
		return errGone
	}
	defer k.w.mu.Unlock()
	w := k.w
	if w.dice.oneIn(throwHook, 5) {
		w.tell("world", "the exec of an upgrade fails")
		return errors.New("exec format error")
	}
	if n := len(k.hands); n > 0 {
		w.breaks("", "an upgrade loses no client", "%d clients are in the hands of the supervisor that is replaced", n)
	}
	handed := map[string][]kept{}
	for name, all := range s.Sockets {
		for _, l := range all {
			if l := own(l); !l.closed && l.inc == k.incarnation {
				handed[name] = append(handed[name], kept{l.sock, l.path})
			}
		}
	}
	for _, l := range k.listeners() {
		given := slices.ContainsFunc(handed[l.sock.site.name], func(k kept) bool { return k.sock == l.sock })
		if s := l.sock.site; !given && w.names[s.paths.Socket()] == l.sock {
			s.breaks("an upgrade loses no client", "the public socket is not handed over")
		}
	}
	w.tell("world", "the supervisor executes its successor")
	w.start(w.dice.between(throwHook, 10*time.Millisecond, 120*time.Millisecond), "made-up", handed)
	k.replaced()
	return errGone
}

type commands struct{ *incarnation }

// SetReaders changes nothing: operators of this world may do everything.
func (commands) SetReaders(string) error { return nil }

func (k commands) Serve(ctx context.Context, b control.Backend, _ *control.Metrics) {
	k.w.mu.Lock()
	k.backend = b
	k.w.control = k.w.control || !k.dead
	k.w.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-k.gone:
	}
	k.w.mu.Lock()
	k.backend = nil
	k.w.mu.Unlock()
	k.requests.Wait()
	k.w.mu.Lock()
	if !k.dead {
		k.w.control = false
	}
	k.w.mu.Unlock()
}

type program struct{}

func (program) Rotate(ctx context.Context, _ func() []string, _ <-chan struct{}) { <-ctx.Done() }
func (program) Room(int) error                                                   { return nil }
func (program) Hurry(bool)                                                       {}
func (program) Trim()                                                            {}
func (program) Close() error                                                     { return nil }

// events are told in the story, as people are told of them.
type events struct{ *incarnation }

func (k events) Add(line any) {
	e, ok := line.(control.Event)
	if !ok || !k.lock() {
		return
	}
	defer k.w.mu.Unlock()
	text := "» " + e.Event
	if e.Release != "" {
		text += " " + e.Release
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	k.w.tell(e.Build, text)
	if s := k.w.sites[e.Build]; s != nil {
		s.happened(e.Event, e.Release)
	}
}

func (events) Run(done <-chan struct{}) { <-done }

func (k events) Await(limit time.Duration) {
	if !k.lock() {
		return
	}
	blocked := k.w.disk.blocked
	k.w.mu.Unlock()
	if blocked == nil {
		return
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-blocked:
	case <-late.C:
	case <-k.gone:
	}
}

// stopSignal is what a person stops the supervisor with.
const stopSignal = syscall.SIGTERM

// left holds what must be gone when a supervisor has stopped.
func (w *World) left(inc *incarnation) {
	for _, s := range w.order {
		for _, t := range s.all() {
			s.breaks("nothing of ours is left after a stop", "%v still runs", t)
		}
		for _, t := range s.runs {
			s.breaks("nothing of ours is left after a stop", "%v, process %d", t, t.main.pid)
		}
		for _, path := range slices.Sorted(maps.Keys(w.names)) {
			if k := w.names[path]; w.siteAt(path) == s && !k.stored && (k.held() || !s.forgotten()) {
				s.breaks("nothing of ours is left after a stop", "%s is still there", strings.TrimPrefix(path, string(Root)))
			}
		}
		if s.hooks > 0 {
			s.breaks("nothing of ours is left after a stop", "%d hooks still run", s.hooks)
		}
		if s.half != "" && !s.forgotten() {
			s.breaks("nothing of ours is left after a stop", "half a release")
		}
		if s.recordLost && s.wish == wishStopped {
			s.wish = wishUnsure // whoever deleted its record was the last
		}
		if s.sure = false; !s.lasts || w.ending {
			s.named, s.why, s.since = false, "the supervisor stopped", w.now()
		}
	}
	for _, l := range inc.listeners() {
		w.breaks(l.sock.site.name, "nothing of ours is left after a stop", "socket %d is still open", l.sock.inode)
	}
}
