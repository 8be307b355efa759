package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// Status returns what is running now, builds in the order of the file; removed builds that are
// still stopping come last. If usage is set, it measures first what they use. It waits for nothing
// else.
func (s *Supervisor) Status(usage bool) control.Status {
	if usage {
		s.reports.meters.Refresh()
	}
	f := s.fleet.Load()
	st := control.Status{
		Version: s.Version, Pid: os.Getpid(), Started: s.started.UTC().Truncate(time.Second), Host: s.Host,
		Config: control.ConfigStatus{Path: s.Config.Path, Loaded: f.loaded.UTC().Truncate(time.Second)},
		Builds: []control.BuildStatus{},
	}
	if f.err != nil {
		st.Config.Error = f.err.Error()
	}
	st.Front, st.Dashboard, st.Metrics = s.frontend.at[0].part(), s.frontend.at[1].part(), s.frontend.at[2].part()
	if st.Log.Address = "stderr"; s.LogSink != nil {
		st.Log.Trouble = s.LogSink.Trouble()
	}
	for _, a := range f.all() {
		st.Builds = append(st.Builds, s.statusOf(a))
	}
	return st
}

// statusOf is one build's part of Status.
func (s *Supervisor) statusOf(a *actor.Actor) control.BuildStatus {
	v, used := a.View(), s.reports.meters.Of(a.Name())
	st, now := v.State, time.Now()
	b := control.BuildStatus{
		Name: a.Name(), State: string(st.Phase()), Reason: st.ReasonAt(now),
		Release: st.Serving.Version.Release, Pid: st.Serving.Pid,
		Restarts: st.Restarts, ByHand: st.RestartsByHand, LastExit: st.LastExit,
		Socket: s.shared.Root.Build(a.Name()).Socket(), Location: v.Entry.Location,
		Healthy:  st.Serving.Ready && !st.Serving.Unhealthy && st.Serving.Misses == 0 && !st.Lost,
		Building: st.Building.Running, BuildError: st.BuildErrAt(now),
		Releases: []string{}, Queue: -1,
		Sandbox: v.Bounds.Boxed, Limits: limitsOf(v.Bounds.Limits),
	}
	b.Tasks, b.Requests = runningTasks(v), used.Traffic
	if b.Reason == "" && v.Static != "" {
		b.Reason = "static files are not those of the release that serves: " + v.Static
	}
	if st.Serving.N != 0 {
		b.Memory, b.CPU = used.Memory, used.CPU
	}
	if v.Public != nil {
		b.Queue = used.Queue
	}
	if !st.Serving.Since.IsZero() {
		b.Since = st.Serving.Since.UTC().Truncate(time.Second)
	}
	if kept := a.Kept(); kept != nil {
		b.Releases = kept
	}
	if next := st.NextTry(); !next.IsZero() {
		b.NextTry = next.UTC().Truncate(time.Second)
	}
	b.Commit = commitOf(a.Commit(b.Release))
	b.Proving, b.ProvingSince = st.Candidate.Version.Release, st.Candidate.Since
	b.Pinned, b.Failed = st.IsPinned(), failedOf(st, a.LastAttempt())
	b.Replicas, b.Processes = replicasOf(v), processesOf(st)
	b.Warnings = append(s.reports.restless.of(a.Name()), a.Remarks()...)
	b.Warnings = append(append(b.Warnings, v.Limits...), v.Lost...)
	b.Schedules, b.Elsewhere = schedulesOf(v), control.On(v.Entry.Elsewhere.Host, v.Entry.Migrate, v.Entry.Elsewhere.Processes, v.Entry.Elsewhere.Schedules)
	if p := a.Progress(); p != nil && p.Of == 0 {
		b.BuildProgress = fmt.Sprintf("%s (%s)", p.Step, p.Took().Round(100*time.Millisecond))
	} else if p != nil {
		b.BuildProgress = fmt.Sprintf("%s (%d of %d, %s)", p.Step, p.N, p.Of, p.Took().Round(100*time.Millisecond))
	}
	b.Remedy = control.Remedy(b)
	return b
}

// failedOf is what was to serve and does not.
func failedOf(st *machine.State, last *actor.Attempt) *control.Failed {
	f := control.Failed{At: st.Failed.At, Tries: st.Failed.Tries, Release: st.Lacking()}
	switch {
	case st.BuildErr != "":
		if f.Release = ""; last != nil {
			f.Step = last.Step
		}
	case f.Release == "":
		return nil
	case f.Tries == 0:
		f.Tries = st.Trial.Faults + st.Trial.Others
	}
	return &f
}

func limitsOf(l config.Limits) control.Limits {
	to := control.Limits{Memory: uint64(l.Memory), CPU: float64(l.CPU), Tasks: int(l.Tasks), Nofile: int(l.Nofile), Core: int64(l.Core)}
	if l.Core == config.NoLimit {
		to.Core = -1
	}
	return to
}

// schedulesOf are the schedules of a build.
func schedulesOf(v *actor.View) (all []control.ScheduleStatus) {
	for _, d := range v.Schedules {
		s := control.ScheduleStatus{
			Name: d.Entry.Name, Cron: d.Entry.Cron, Timezone: d.Entry.Timezone,
			Next: d.Next, Running: d.Running, LastSuccess: d.Success, Trouble: d.Trouble,
		}
		if d.Entry.Every > 0 {
			s.Every = d.Entry.Every.String()
		}
		if l := d.Last; l != nil {
			s.Last = &control.RunStatus{
				Started: l.Started, Took: l.Ended.Sub(l.Started).Seconds(), Result: l.Result, Exit: l.Exit, Release: l.Release, Output: l.Output,
			}
		}
		all = append(all, s)
	}
	return all
}

// How much recent history the long form of a build shows.
const (
	detailEvents = 10
	detailLines  = 10
)

// Detail returns all that is known of one build.
func (s *Supervisor) Detail(name string) (control.BuildDetail, error) {
	a, err := s.find(name)
	if err != nil {
		return control.BuildDetail{}, err
	}
	s.reports.meters.Refresh()
	d := control.BuildDetail{Status: s.statusOf(a)}
	releases, err := s.world.Releases.List(name)
	if err != nil {
		return d, err
	}
	d.History = historyOf(a.View(), releases)
	d.LastBuild = attemptOf(a.LastAttempt(), releases)
	d.Events = s.reports.feed.Of(name, detailEvents)
	err = s.Log(s.shared.Hard, name, control.LogQuery{Lines: detailLines}, func(text []byte) error {
		d.Output = linesOf(text)
		return nil
	})
	return d, err
}

// historyOf returns what became of each release, the newest first.
func historyOf(v *actor.View, releases []build.Release) []control.ReleaseStatus {
	var all []control.ReleaseStatus
	for i := len(releases) - 1; i >= 0; i-- {
		r := releases[i]
		stay := v.Stays[r.ID]
		all = append(all, control.ReleaseStatus{
			Release: r.ID, Built: r.Created, Serves: r.ID == v.State.Serving.Version.Release, Bad: badOf(v.State, r.ID),
			Since: stay.Since, Until: stay.Until, Ended: stay.Ended, Commit: commitOf(r.Commit), By: r.By, Because: r.Because, Steps: stepsOf(r.Steps),
		})
	}
	return all
}

// badOf returns why a release is not tried again, "" if it may be.
func badOf(st *machine.State, release string) string {
	for _, key := range []string{st.RunKey, st.Proven.RunKey} {
		if why, bad := st.Bad[machine.Version{Release: release, RunKey: key}]; bad {
			return why
		}
	}
	return ""
}

// attemptOf returns how the last attempt went: one of this run, or else what the newest release
// records.
func attemptOf(t *actor.Attempt, releases []build.Release) *control.BuildResult {
	if t == nil && len(releases) > 0 {
		r := releases[len(releases)-1]
		t = &actor.Attempt{Release: r.ID, Result: actor.AttemptBuilt, Steps: r.Steps}
		for _, step := range r.Steps {
			t.Took += step.Took
		}
		t.Started = r.Created.Add(-t.Took)
	}
	if t == nil {
		return nil
	}
	b := &control.BuildResult{Release: t.Release, Started: t.Started, Took: t.Took.Seconds(), Result: t.Result, Error: t.Error}
	b.Steps = stepsOf(t.Steps)
	return b
}

func stepsOf(steps []build.StepTime) (all []control.StepTook) {
	for _, step := range steps {
		all = append(all, control.StepTook{Step: step.Name, Took: step.Took.Seconds(), Skipped: step.Skipped})
	}
	return all
}

// Act carries out a command on a build and returns when its result holds, or with the reason why it
// does not.
func (s *Supervisor) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) (control.Outcome, error) {
	a, err := s.find(name)
	if err != nil {
		return control.Outcome{}, err
	}
	what, err := a.Act(ctx, actor.Command{Action: action, To: args["to"], Fresh: args["fresh"] == "yes", NoWait: args["wait"] == "no", By: control.Who(ctx)}, progress)
	if errors.Is(err, actor.ErrNoAction) {
		return control.Outcome{}, fmt.Errorf("%w: %q", control.ErrNoAction, action)
	}
	// From here on the command's effect outlives us, or the log says that it does not.
	if !s.saver.Flush(savePatience) {
		s.log.Warn("what was asked for is not written down yet, a supervisor that is killed now forgets it", "build", name, "action", action)
		if action == "stop" && err == nil {
			return control.Outcome{}, errStopForgotten
		}
	}
	o := control.Outcome{Already: what.Already}
	if what.To != "" && err == nil {
		o.RolledBack = &control.RolledBack{From: what.From, To: what.To}
		if to, err := s.world.Releases.Get(name, what.To); err == nil { // it may have been removed meanwhile
			o.RolledBack.Built = to.Created
		}
	}
	return o, err
}

// errStopForgotten is the result of a stop that nobody would know of after a restart of the
// supervisor. What else is done is found again by what is running.
var errStopForgotten = errors.New("that it is to stay stopped cannot be written down, so a new supervisor would start it again: " +
	"see that .supervisor in root can be written, then stop it once more")

// savePatience is how long the result of a command waits for a disk that does not take it.
const savePatience = 5 * time.Second

// Usage returns what each build uses now.
func (s *Supervisor) Usage(ctx context.Context) []control.Usage { return s.reports.meters.Usage(ctx) }

// Samples returns how the builds did in the last hour, if a dashboard is served.
func (s *Supervisor) Samples() control.Samples { return s.reports.meters.Samples() }

// FrontCounts returns what became of the front's requests.
func (s *Supervisor) FrontCounts() control.FrontCounts { return s.frontend.counts() }
