package simulate

import (
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

var hangup os.Signal = syscall.SIGHUP

// plant puts a fault into what a supervisor does to the world.
type plant func(*incarnation, *ports.World)

// live lets a history happen, in a testing/synctest bubble, and returns its world.
func (h *history) live(planted plant) *World {
	w := newWorld(h.seed)
	w.planted = planted
	w.mu.Lock()
	w.furnish(h.seed)
	w.start(time.Millisecond, "", nil)
	w.mu.Unlock()
	for _, a := range h.plan {
		time.Sleep(a.at - w.now())
		w.mu.Lock()
		w.perform(a)
		w.mu.Unlock()
	}
	w.calmDown(h)
	w.finish()
	return w
}

// processes is what a file may ask for beside the server.
var processes = [][]config.Process{
	nil, nil, nil,
	{{Name: "worker", Command: []string{"worker"}, Count: 1, Restart: "always", StopSignal: "TERM"}},
	{{Name: "worker", Command: []string{"worker"}, Count: 2, Restart: "always", StopSignal: "TERM", Required: true},
		{Name: "web", Command: []string{"web"}, Count: 1, Restart: "always", StopSignal: "TERM", Overlap: true}},
}

// The most that there is of each.
const (
	mostReplicas  = 2
	mostInstances = 3
)

// furnish gives the machine its traits and its builds.
func (w *World) furnish(seed uint64) {
	x := mix(seed + 99)
	w.traits = traits{noRecover: x%8 == 0, noGuard: x>>8%8 == 0, holder: x>>32%2 == 0, recycle: x>>16%2 == 0, parallel: 1 + int(x>>24%2)}
	for i := range sitesOf(seed) {
		s := w.addSite(seed, names[i])
		y := mix(x + uint64(i) + 1)
		pick := func(all ...time.Duration) time.Duration {
			y = mix(y)
			return all[y%uint64(len(all))] * time.Second
		}
		b := config.Build{
			Name: s.name, Source: "/srv/source", AppDir: "API", Requirements: "requirements.txt", SettingsDir: "api_settings/settings",
			WSGI: "api_settings.wsgi:application", Python: "python3", Migrate: y%2 == 0, Check: true, Workers: 1 + int(y>>8%3), Threads: 1, WorkerClass: "sync",
			Timeout: 30 * time.Second, GracefulTimeout: pick(2, 5, 10, 30), Umask: 0o027, SocketMode: 0o660, Autostart: y>>16%12 != 0, Restart: "always",
			RestartDelayMax: pick(5, 10, 30), StableAfter: pick(5, 10, 20), KeepReleases: 1 + int(y>>24%3), StepTimeout: 15 * time.Minute,
			Health: config.Health{
				Path: "/", Host: "localhost", Expect: config.Expect{Min: 200, Max: 499}, Interval: pick(5, 10, 15, 20, 30), Timeout: 2 * time.Second,
				StartTimeout: pick(20, 30), Failures: 2 + int(y>>32%2),
			},
		}
		b.CollectStatic = y>>52%2 == 0
		b.Schedules = schedulesOf(mix(y + 1))
		switch y >> 40 % 16 {
		case 0:
			b.Restart = "never"
		case 1:
			b.Restart = "on-failure"
		}
		z := mix(y + 7)
		b.Replicas = 1 + int(z%3/2)
		b.Processes = processes[z>>8%uint64(len(processes))]
		if y>>48%4 == 0 {
			b.Hooks = config.Hooks{AfterSwap: []string{"hook"}, OnFailure: []string{"{python}", "hook"}, OnRecovery: []string{"hook"}}
		}
		s.entry, s.last = &b, b
		s.wish = wishServe
		if !b.Autostart {
			s.wish = wishStopped
		}
		s.edits = 1
		s.inputs = inputs{id: 1}
	}
}

// calmDown ends all faults, and holds that everything is as the file says soon.
func (w *World) calmDown(h *history) {
	time.Sleep(faultsEnd + 2*time.Minute - w.now())
	w.mu.Lock()
	w.tell("world", "no more faults come")
	w.quiet = true
	w.mendFile()
	if w.sup != nil {
		w.sup.die = nil
	}
	for _, s := range w.order {
		s.boots = nil
		if h.edits || s.inputs.bad() || s.final != "" || slices.ContainsFunc(s.releases, func(r *release) bool { return r.inputs.bad() }) {
			s.edit(bootWell, "")
		}
		if s.entry != nil && s.wish == wishUnsure && h.edits {
			w.after(5*time.Second, func() { s.ask("start", "", false) })
		}
	}
	w.mu.Unlock()
	time.Sleep(restAt - w.now())
	w.mu.Lock()
	for _, s := range w.order {
		s.atRest(h)
		s.allEnded()
		if s.expectsToServe() {
			for i := range 5 {
				w.after(time.Duration(i)*10*time.Millisecond, s.visit)
			}
		}
	}
	w.ownAtRest()
	w.workBounded(h)
	told := w.clients.told
	w.mu.Unlock()
	time.Sleep(10 * time.Second)
	w.mu.Lock()
	if n := w.clients.told - told; n > 0 {
		w.breaks("", "after the last fault everything is as the file says", "%d clients of builds that serve were told to come back", n)
	}
	for c := range w.clients.waiting {
		w.breaks(c.site.name, "who has connected is answered", "client %d waits since %s, %s", c.id, clock(c.at), c.where())
		break
	}
	w.mu.Unlock()
}

// stopLimit bounds how long a stop takes.
const stopLimit = 3 * time.Minute

// finish stops the supervisor for good.
func (w *World) finish() {
	w.mu.Lock()
	w.ending = true
	inc := w.sup
	w.tell("world", "the supervisor is told to stop for good")
	if inc == nil {
		w.breaks("", "the supervisor goes on until it is told to stop", "none is running")
		w.over = true
		w.mu.Unlock()
		w.running.Wait()
		return
	}
	w.stopped(inc)
	w.mu.Unlock()
	select {
	case <-inc.gone:
	case <-time.After(stopLimit):
		w.mu.Lock()
		if !inc.dead {
			w.breaks("", "a stop ends", "it takes longer than %v", stopLimit)
			inc.dies("because it does not end")
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.running.Wait()
}
