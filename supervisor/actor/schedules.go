package actor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/cron"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/schedule"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Scheduled is a schedule of a build: the facts of one moment, which are never changed.
type Scheduled struct {
	Entry   config.Schedule
	Next    time.Time // zero: not while the build is as it is, or never
	Running int
	Last    *Run      // nil: none is known
	Success time.Time // when a run last ended well; zero: none did
	Trouble string    // why it cannot run; "": it can
}

// Run is a run of a schedule that has ended.
type Run struct {
	ID      string // of its task; "": it could not be started
	Release string
	Started time.Time
	Ended   time.Time
	Result  string
	Exit    string // how it ended, for people
	Output  []string
}

// The results of runs, and of times at which there was none.
const (
	RunGood    = "good"
	RunFailed  = "failed"
	RunLate    = "timed_out"
	RunStopped = "stopped"     // with the build
	RunUnknown = "unknown"     // it ended while no supervisor watched
	RunLeft    = "left_out"    // the one before was under way
	RunMissed  = "missed"      // nobody waited for it, and nothing makes up for it
	runPending = "is to begin" // for people
)

// RunResults are all of them.
var RunResults = []string{RunGood, RunFailed, RunLate, RunStopped, RunUnknown, RunLeft, RunMissed}

// schedules are the schedules of a build. The actor's goroutine owns them.
type schedules struct {
	of      map[string]*scheduled // by name; nil: the build is not configured yet
	earlier map[string]state.Schedule
	// idle says that the build is not meant to run, or has nothing to run them from: the times that pass
	// are nobody's.
	idle  bool
	timer *time.Timer
}

// scheduled is one of them.
type scheduled struct {
	entry   config.Schedule
	when    schedule.Schedule
	mark    schedule.Mark
	trouble string
	begins  int // runs that are about to be started, once it is written down
	last    *Run
	success time.Time
}

const (
	// writtenLimit is how long a run waits for a disk that does not take that it was begun.
	writtenLimit = 2 * time.Second
	// The output of the last run that is kept for people: the rest is in its log.
	runLines     = 10
	runLineBytes = 300
)

// setSchedules takes those of the entry. One whose times are others than before begins anew.
func (a *Actor) setSchedules() {
	s, now := &a.schedules, a.Ports.Host.Now()
	all := map[string]*scheduled{}
	for _, entry := range a.entry.Schedules {
		d, known := s.of[entry.Name]
		if !known {
			d = &scheduled{}
		}
		times := d.entry.Times()
		d.entry, d.trouble = entry, ""
		d.when = schedule.Schedule{Every: entry.Every, Delay: entry.Delay(a.name), CatchUp: entry.CatchUp}
		if entry.Every == 0 {
			var err, bad error
			d.when.Times, err = cron.Parse(entry.Cron)
			if d.when.In, bad = entry.Location(); err == nil {
				err = bad
			}
			if err != nil {
				d.trouble = err.Error()
				a.log.Error("schedule cannot run, its times cannot be told", "schedule", entry.Name, "error", err)
			}
		}
		r, was := s.earlier[entry.Name]
		switch {
		case known && times == entry.Times():
		case !known && was && r.Times == entry.Times():
			d.mark = d.when.Resume(schedule.Mark{At: r.At, MakeUp: r.MakeUp}, now, a.Executed)
		default:
			d.mark = d.when.Begin(now)
		}
		if !known && was {
			d.last, d.success = runOf(r.Last), r.Success
		}
		all[entry.Name] = d
	}
	if len(all)+len(s.of)+len(s.earlier) > 0 {
		s.of, s.earlier = all, nil
		a.save()
	}
}

// runsFrom is the release that schedules run from, "" if they do not run now: the one that serves, or is
// about to do so again.
func (a *Actor) runsFrom() string {
	st := a.state
	if st.Want != machine.WantServe || st.Halted != "" {
		return ""
	}
	return cmp.Or(st.Serving.Version.Release, st.Proven.Release)
}

// keepSchedules begins the runs that are due, and has itself called when the next one is. It reports
// whether there is something new to be seen.
func (a *Actor) keepSchedules() (news bool) {
	s := &a.schedules
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if len(s.of) == 0 {
		return false
	}
	if a.runsFrom() == "" {
		s.idle = s.idle || a.state.Want != machine.WantUnknown
		return false
	}
	now, wait := a.Ports.Host.Now(), 24*time.Hour
	for _, name := range slices.Sorted(maps.Keys(s.of)) {
		d := s.of[name]
		if d.trouble != "" {
			continue
		}
		before := d.mark
		if s.idle {
			d.mark = d.when.Begin(now)
		}
		after, run, missed := d.when.Look(d.mark, now)
		d.mark = after
		news = news || after.At != before.At || after.MakeUp != before.MakeUp
		if missed {
			a.log.Warn("times of a schedule passed while nobody waited for them, and are left out", "schedule", name)
			a.Ports.Reports.Ran(a.name, name, RunMissed, 0)
		}
		if run {
			a.beginRun(d)
		}
		wait = min(wait, d.when.Wait(d.mark, now))
	}
	if s.idle = false; news {
		a.save()
	}
	s.timer = time.AfterFunc(max(wait, time.Millisecond), func() { a.post(scheduleDue{}) })
	return news
}

// beginRun has a run of a schedule started once it is written down that its time was handled: so it is
// not run again, whatever becomes of this supervisor.
func (a *Actor) beginRun(d *scheduled) {
	name := d.entry.Name
	if under := a.underWay(d); under != "" && !d.entry.Overlap {
		a.log.Warn("time of a schedule is left out, the run before is under way", "schedule", name, "task", under)
		a.Ports.Reports.Ran(a.name, name, RunLeft, 0)
		return
	}
	d.begins++
	a.task(func(ctx context.Context) {
		if a.begun(ctx) {
			a.Ports.Records.Flush(writtenLimit) // where it fails, the log says so, and it runs all the same
		}
		a.post(runWritten{d})
	})
}

// underWay returns the run of a schedule that is under way, "" if none is.
func (a *Actor) underWay(d *scheduled) string {
	if d.begins > 0 {
		return "about to begin"
	}
	for _, t := range a.oneOffs {
		if t.ofSchedule() == d.entry.Name && (t.Running() || t.left()) {
			return t.ID
		}
	}
	return ""
}

// ofSchedule is the name of the schedule that a task is a run of, "" if it is none.
func (t *task) ofSchedule() string {
	if kind, name, _ := TaskOf(t.ID); kind == TaskSchedule {
		return name
	}
	return ""
}

// startRun starts a run of a schedule.
func (a *Actor) startRun(d *scheduled) {
	d.begins--
	release := a.runsFrom()
	if release == "" || a.schedules.of[d.entry.Name] != d {
		return // the build was stopped, or the schedule taken out of the file
	}
	if release == a.state.Serving.Version.Release {
		release = "" // with the run settings that it serves with
	}
	began := a.Ports.Host.Now().UTC().Round(0)
	_, err := a.order(Order{
		Kind: TaskSchedule, Name: d.entry.Name, Argv: d.entry.Command, Braces: true, Release: release,
		Env: []string{"MEDCTRL_SCHEDULE=" + d.entry.Name}, Timeout: d.entry.Timeout,
	})
	if err != nil {
		a.log.Error("schedule cannot run", "schedule", d.entry.Name, "error", err)
		a.ran(d.entry.Name, Run{Release: cmp.Or(release, a.state.Serving.Version.Release), Started: began, Ended: began, Result: RunFailed, Exit: err.Error()}, 0)
		a.save()
		a.publish()
	}
}

// runEnded is that a run of a schedule has ended, or its main process has.
func (a *Actor) runEnded(t *task) {
	r := Run{ID: t.ID, Release: t.Release, Started: t.Started, Ended: t.Ended, Exit: t.How(), Output: shortened(t.Output)}
	switch {
	case t.Why == tookTooLong:
		r.Result = RunLate
	case t.Why != "":
		r.Result = RunStopped
	case t.Exit.Words == unknownExit.Words:
		r.Result = RunUnknown
	case t.Exit.Clean:
		r.Result = RunGood
	default:
		r.Result = RunFailed
	}
	a.ran(t.ofSchedule(), r, t.Pid)
}

// ran keeps how a run went, and tells people if it went wrong.
func (a *Actor) ran(name string, r Run, pid int) {
	took := max(r.Ended.Sub(r.Started), 0)
	a.Ports.Reports.Ran(a.name, name, r.Result, took)
	if d, ok := a.schedules.of[name]; ok {
		if d.last = &r; r.Result == RunGood {
			d.success = r.Ended
		}
	} else if e, ok := a.schedules.earlier[name]; ok { // the build is not configured yet
		e.Last = recordOf(&r)
		a.schedules.earlier[name] = e
	}
	if r.Result == RunGood {
		a.callRecovery()
	}
	if r.Result != RunFailed && r.Result != RunLate {
		return
	}
	reason := fmt.Sprintf("schedule %s: %s after %v", name, r.Exit, took.Round(time.Millisecond))
	if n := len(r.Output); n > 0 {
		reason += ": " + build.Conceal(r.Output[n-1], a.launches.environ(a.state.RunKey, nil))
	}
	a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(machine.EventScheduleFailed), Release: r.Release, Pid: pid, Reason: reason})
	a.callHook(machine.Note{Event: machine.EventScheduleFailed, Release: r.Release, Reason: reason})
}

// shortened is the end of an output, without what a line has too much.
func shortened(lines []string) []string {
	lines = slices.Clone(lines[max(0, len(lines)-runLines):])
	for i, line := range lines {
		if len(line) > runLineBytes {
			lines[i] = strings.ToValidUTF8(line[:runLineBytes], "") + "…"
		}
	}
	return lines
}

// logOfTask is where the output of a task goes that nobody takes.
func (a *Actor) logOfTask(id string) string {
	if _, name, _ := TaskOf(id); name != "" {
		return layout.ScheduleLog(a.LogDir(), a.name, name)
	}
	return a.logPath()
}

// stop stops the timer.
func (s *schedules) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// beginning returns the schedule that an exec now would cost a run, "" if there is none.
func (s *schedules) beginning() string {
	for name, d := range s.of {
		if d.begins > 0 {
			return name
		}
	}
	return ""
}

// scheduleRecord returns what of the schedules must outlive the supervisor.
func (a *Actor) scheduleRecord() map[string]state.Schedule {
	s := &a.schedules
	if s.of == nil {
		return s.earlier
	}
	var all map[string]state.Schedule
	for name, d := range s.of {
		if all == nil {
			all = make(map[string]state.Schedule, len(s.of))
		}
		r := state.Schedule{Times: d.entry.Times(), At: d.mark.At.UTC().Round(0), MakeUp: d.mark.MakeUp.UTC().Round(0), Success: d.success}
		r.Last = recordOf(d.last)
		all[name] = r
	}
	return all
}

func recordOf(r *Run) *state.Run {
	if r == nil {
		return nil
	}
	return &state.Run{ID: r.ID, Release: r.Release, Started: r.Started, Ended: r.Ended, Result: r.Result, Exit: r.Exit, Output: r.Output}
}

func runOf(r *state.Run) *Run {
	if r == nil {
		return nil
	}
	return &Run{ID: r.ID, Release: r.Release, Started: r.Started, Ended: r.Ended, Result: r.Result, Exit: r.Exit, Output: r.Output}
}

// shownSchedules are the schedules as others may see them, in the order of the file.
func (a *Actor) shownSchedules() []Scheduled {
	s := &a.schedules
	if len(s.of) == 0 {
		return nil
	}
	all, now, runs := make([]Scheduled, 0, len(s.of)), a.Ports.Host.Now(), a.runsFrom() != ""
	for _, entry := range a.entry.Schedules {
		d, ok := s.of[entry.Name]
		if !ok {
			continue
		}
		shown := Scheduled{Entry: d.entry, Last: d.last, Success: d.success, Trouble: d.trouble}
		if next := d.next(now); runs && !next.IsZero() {
			shown.Next = next
		}
		for _, t := range a.oneOffs {
			if t.ofSchedule() == entry.Name && t.Running() {
				shown.Running++
			}
		}
		all = append(all, shown)
	}
	return all
}

// next is when a schedule runs next, as clocks show it.
func (d *scheduled) next(now time.Time) time.Time {
	if d.trouble != "" {
		return time.Time{}
	}
	next := d.when.Next(d.mark)
	if d.when.Every > 0 { // what the clock showed then may be wrong by now
		next = now.Add(next.Sub(now))
	}
	return next.UTC().Round(0)
}
