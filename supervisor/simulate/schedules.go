package simulate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/cron"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// The runs of schedules, and the commands that operators have run once. A run is one process: most do
// something for a while, some fail, some hang until they are ended, some ignore SIGTERM then.

// run is a run of a schedule, or a command of an operator.
type run struct {
	site     *site
	schedule string // "": it is a command
	mark     string
	env      []string
	release  *release
	main     *process
	deaf     bool
	watched
	exit actor.Exit
	over chan struct{} // closed when it has ended
}

func (r *run) String() string {
	if r.schedule == "" {
		return "an operator's command"
	}
	return "a run of " + r.schedule
}

// timetable is what ran of a build's schedules, and of operators' commands.
type timetable struct {
	runs    []*run                   // that are alive
	tasks   map[string]*run          // all there ever were, by the ID of their task
	lastRun map[string]time.Duration // when one of a schedule was started last
	began   map[string]int           // how many were
}

// schedulesOf are the schedules of a build, none for most.
func schedulesOf(y uint64) []config.Schedule {
	if y%3 != 0 {
		return nil
	}
	return []config.Schedule{
		{Name: "often", Command: []string{"manage.py", "often"}, Every: time.Duration(2+y>>4%4) * time.Minute, Timeout: time.Minute, CatchUp: y>>8%2 == 0},
		{Name: "by-clock", Command: []string{"manage.py", "by_clock"}, Cron: "*/7 * * * *", Timezone: "Europe/Amsterdam", Timeout: 30 * time.Second, CatchUp: y>>9%2 == 0},
	}
}

// startRun starts a run.
func (k trees) startRun(st actor.Start, exited func(actor.Exit)) (actor.Tree, server.Words, error) {
	w := k.w
	s, _ := w.siteOf(st.Mark)
	k.spend(&s.dice)
	if !k.lock() {
		return &runHandle{inc: k.incarnation}, nil, nil
	}
	defer w.mu.Unlock()
	task := st.Mark[strings.LastIndexByte(st.Mark, '/')+1:]
	_, name, _ := actor.TaskOf(task)
	id, _, _ := server.VersionOf(st.Launch.Env)
	r := s.release(id)
	if r == nil || !r.there() {
		return nil, nil, fmt.Errorf("start release %s: %w", id, fs.ErrNotExist)
	}
	if s.tasks[task] != nil {
		s.breaks("a task is started once", "%s is started again", task)
	}
	if name != "" {
		s.mayRun(name, r)
	}
	if s.dice.oneIn(throwRun, 20) {
		return nil, nil, errors.New("fork: resource temporarily unavailable")
	}
	t := &run{site: s, schedule: name, mark: st.Mark, env: st.Launch.Env, release: r, watched: watched{k.incarnation, exited}, over: make(chan struct{})}
	t.main = &process{pid: s.pid(), start: w.ticks(), role: roleMaster, run: t, alive: true}
	w.procs[t.main.pid] = t.main
	s.runs = append(s.runs, t)
	s.tasks[task] = t
	took, fate := s.dice.between(throwRun, 100*time.Millisecond, 50*time.Second), s.dice.next(throwRun)%10
	s.tell("the supervisor starts %v, of release %s", t, id)
	switch fate {
	case 0: // it hangs
	case 1:
		t.deaf = true
	case 2:
		w.after(took, func() { t.dies("exit code 1") })
	default:
		w.after(took, func() { t.dies("exit code 0") })
	}
	return &runHandle{inc: k.incarnation, run: t, pid: t.main.pid, start: t.main.start}, nil, nil
}

// mayRun notes the start of a run of a schedule, and holds what must be so then.
func (s *site) mayRun(name string, r *release) {
	w := s.w
	s.ran(name)
	for _, o := range s.runs {
		if o.schedule == name {
			s.breaks("a schedule never runs twice at once", "%v starts while process %d is one", o, o.main.pid)
		}
	}
	if s.entry != nil && s.wish == wishStopped && w.now()-s.wishAt > 0 {
		s.breaks("a build that is stopped runs no schedule", "%s starts", name)
	}
	if !slices.ContainsFunc(s.passed, func(p passing) bool { return p.release.ID == r.ID }) {
		s.breaks("schedules run from a release that has passed its check", "%s starts from %s", name, r.ID)
	}
}

// ran notes the start of a run, and holds that no time is run twice.
func (s *site) ran(name string) {
	before, again := s.lastRun[name]
	s.lastRun[name] = s.w.now()
	s.began[name]++
	for _, d := range s.last.Schedules {
		if d.Name == name && again && d.Every == 0 && s.w.wallOff == 0 && s.w.disk.tookAll(before) && s.w.disk.badAt < before && sameTime(d, s.w.began.Add(before), s.w.wall()) {
			s.breaks("no time is run twice", "%s starts, as it did at %s for the same time", name, clock(before))
		}
		// One at each of its times; and what is made up for, or late, comes in addition to the next one.
		if most := int(s.w.now()/periodOf(d)) + 2 + s.w.lives; d.Name == name && s.w.wallOff == 0 && s.began[name] > most {
			s.breaks("no time is run twice", "%s starts for the %d. time, want at most %d", name, s.began[name], most)
		}
	}
}

// sameTime says that none of a schedule's times lies between two runs.
func sameTime(d config.Schedule, before, now time.Time) bool {
	times, err := cron.Parse(d.Cron)
	in, bad := d.Location()
	return err == nil && bad == nil && times.Next(before, in).After(now)
}

// periodOf is the time from one time of a schedule to the next.
func periodOf(d config.Schedule) time.Duration {
	if d.Every > 0 {
		return d.Every
	}
	return 7 * time.Minute // at most: it is less at the end of an hour, once
}

// dies ends a run.
func (t *run) dies(why string) {
	if !t.main.alive {
		return
	}
	s, w := t.site, t.site.w
	t.main.alive = false
	delete(w.procs, t.main.pid)
	s.runs = slices.DeleteFunc(s.runs, func(o *run) bool { return o == t })
	close(t.over)
	if w.traits.recycle {
		s.stranger(t.main.pid)
	}
	t.exit = exitOf(why)
	exit := t.exit
	if inc, exited := t.watcher, t.exited; inc != nil {
		w.after(s.dice.between(throwRun, 100*time.Microsecond, 900*time.Microsecond), func() {
			if !inc.dead {
				exited(exit)
			}
		})
	}
}

// adoptRun is that a supervisor watches a run that an earlier one started.
func (k trees) adoptRun(t *run, exited func(actor.Exit)) actor.Tree {
	t.watched = watched{k.incarnation, exited}
	t.site.tell("the supervisor adopts %v", t)
	return &runHandle{inc: k.incarnation, run: t, pid: t.main.pid, start: t.main.start}
}

// markedRuns lists the processes of runs, as a reading of the process table found them.
func (w *World) markedRuns(prefix string) (found []ports.Marked) {
	for _, s := range w.order {
		for _, t := range s.runs {
			if strings.HasPrefix(t.mark, prefix) {
				found = append(found, ports.Marked{Process: actor.Process{Pid: t.main.pid, StartTime: t.main.start}, Mark: t.mark, Leader: true, User: os.Geteuid()})
			}
		}
	}
	return found
}

// runAt returns the run with that mark, nil where it has ended.
func (s *site) runAt(mark string) *run {
	if i := slices.IndexFunc(s.runs, func(t *run) bool { return t.mark == mark }); i >= 0 {
		return s.runs[i]
	}
	return nil
}

// schedulesAtRest holds that schedules run while nothing keeps them from it.
func (s *site) schedulesAtRest() {
	if s.backless {
		return
	}
	for _, d := range s.entry.Schedules {
		if d.Every == 0 && s.w.wallOff != 0 {
			continue // a clock that was set back repeats nothing
		}
		last, ok := s.lastRun[d.Name]
		if most := periodOf(d) + d.Timeout + time.Minute; !ok || s.w.now()-last > most {
			s.breaks("a schedule runs at its times", "%s ran last at %v", d.Name, clock(last))
		}
	}
}

// runHandle is a supervisor's grip on a run.
type runHandle struct {
	inc   *incarnation
	run   *run // nil: nothing is left of it
	pid   int
	start uint64
}

// Boxed is false: builds of this machine have no sandbox.
func (*runHandle) Boxed() bool { return false }

// Unlogged is nil: whatever happens to a log is not seen on this machine.
func (*runHandle) Unlogged() error { return nil }

// Private is "": it takes no clients.
func (*runHandle) Private() string { return "" }

// StopBy changes nothing: they all end by SIGTERM here.
func (*runHandle) StopBy(syscall.Signal, bool) {}

func (h *runHandle) Pid() int                  { return h.pid }
func (h *runHandle) StartTime() uint64         { return h.start }
func (h *runHandle) Limit(config.Limits) error { return nil }
func (h *runHandle) OOMKills() int             { return 0 }
func (h *runHandle) Said(string, int) []string { return nil }
func (h *runHandle) Terminate() error          { return nil }

// Signal is of a caller who has gone: most end.
func (h *runHandle) Signal(sig syscall.Signal) error {
	if h.run == nil || sig != syscall.SIGHUP || !h.inc.lock() {
		return nil
	}
	defer h.inc.w.mu.Unlock()
	if t := h.run; !t.deaf {
		h.inc.w.after(t.site.dice.between(throwRun, time.Millisecond, 20*time.Millisecond), func() { t.dies("killed by SIGHUP") })
	}
	return nil
}

// execute is an operator who has a command run, waits for it a while, and then goes.
func (s *site) execute(x uint64) {
	w := s.w
	inc := w.sup
	if inc == nil || inc.backend == nil || !w.control {
		return
	}
	s.tell("an operator has a command run")
	backend := inc.backend
	patience := spread(mix(x), 5*time.Second, 2*time.Minute)
	w.running.Add(1)
	inc.requests.Add(1)
	go func() {
		defer w.running.Done()
		defer inc.requests.Done()
		ctx, gone := context.WithTimeout(inc.life, patience)
		defer gone()
		begun, err := backend.Run(ctx, s.name, control.RunRequest{Argv: []string{"manage.py", "check"}})
		if err != nil {
			return
		}
		told, err := backend.Attend(ctx, s.name, begun.ID)
		w.mu.Lock()
		defer w.mu.Unlock()
		if t := s.tasks[begun.ID]; t != nil && !inc.dead && !w.over {
			s.attended(inc, t, told, err)
		}
	}()
}

// attended holds what an operator was told of a command against what became of it.
func (s *site) attended(inc *incarnation, t *run, told control.TaskStatus, err error) {
	w := s.w
	if err == nil {
		s.tell("the operator is told of the command: %s", told.Exit)
		if t.main.alive || told.Code != t.exit.Code {
			s.breaks("a command ends with a truthful result", "run is told %q, code %d; it is alive: %v, %q", told.Exit, told.Code, t.main.alive, t.exit.Words)
		}
		return
	}
	s.tell("the operator waits for the command no longer")
	w.after(s.last.GracefulTimeout*2+10*time.Second, func() {
		if t.main.alive && !inc.dead && !inc.upgrading {
			s.breaks("a command ends with its caller", "process %d still runs", t.main.pid)
		}
	})
}

// End ends the run.
func (h *runHandle) End(ctx context.Context, grace time.Duration) error {
	if h.run == nil || !h.inc.lock() {
		return nil
	}
	t, w := h.run, h.inc.w
	if t.main.alive {
		t.site.tell("the supervisor ends %v", t)
	}
	if grace > 0 && !t.deaf {
		w.after(t.site.dice.between(throwRun, time.Millisecond, 20*time.Millisecond), func() { t.dies("killed by SIGTERM") })
	}
	w.mu.Unlock()
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-t.over:
		return nil
	case <-late.C:
	case <-ctx.Done():
	case <-h.inc.gone:
		return nil
	}
	if !h.inc.lock() {
		return nil
	}
	defer w.mu.Unlock()
	t.dies("killed by the supervisor, after the grace period")
	return nil
}
