package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/journal"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// Status answers what runs now, builds in the order of the file; builds that
// are still leaving come last. What they use is looked at first where usage says so.
func (s *Supervisor) Status(usage bool) control.Status {
	if usage {
		s.refreshUsage()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := control.Status{
		Version: s.Version, Pid: os.Getpid(), Started: s.started.UTC().Truncate(time.Second),
		Config: control.ConfigStatus{Path: s.Config.Path, Loaded: s.loaded.UTC().Truncate(time.Second)},
		Builds: []control.BuildStatus{},
	}
	if s.configErr != nil {
		st.Config.Error = s.configErr.Error()
	}
	seen := map[string]bool{}
	for _, name := range names(s.cfg) {
		if a, ok := s.actors[name]; ok {
			st.Builds = append(st.Builds, a.status())
			seen[name] = true
		}
	}
	for name, a := range s.actors {
		if !seen[name] {
			st.Builds = append(st.Builds, a.status())
		}
	}
	return st
}

// status is one build's part of Status.
func (a *actor) status() control.BuildStatus {
	v := a.view.Load()
	st := v.state
	b := control.BuildStatus{
		Name: a.name, State: string(st.Phase()), Reason: st.Reason(),
		Release: st.Serving.Version.Release, Pid: st.Serving.Pid,
		Restarts: st.Restarts, LastExit: st.LastExit,
		Socket: a.socketPath, Location: v.entry.Location,
		Healthy:  st.Serving.Ready && !st.Serving.Unhealthy && st.Serving.Misses == 0,
		Building: st.Building.Running, BuildError: st.BuildErr,
		Releases: []string{}, Queue: -1,
	}
	if u := a.usage.Load(); u != nil && st.Serving.N != 0 {
		b.Memory, b.CPU = u.memory, u.cpu
	}
	if v.public != nil {
		b.Queue = int(a.queue.Load())
	}
	if !st.Serving.Since.IsZero() {
		b.Since = st.Serving.Since.UTC().Truncate(time.Second)
	}
	if r := a.releases.Load(); r != nil {
		b.Releases = *r
	}
	if p := a.progress.Load(); p != nil {
		b.BuildProgress = fmt.Sprintf("%s (%d of %d, %s)", p.Step, p.N, p.Of, p.took().Round(100*time.Millisecond))
	}
	return b
}

// Reload is SIGHUP with an answer: what changes, or why nothing does.
func (s *Supervisor) Reload(ctx context.Context, dryRun bool) (changes []string, err error) {
	if failed := s.do(ctx, func() { changes, err = s.reload(dryRun) }); failed != nil {
		return nil, failed
	}
	return changes, err
}

// Events answers what happened, in earlier runs too, and what happens.
func (s *Supervisor) Events() *control.Feed { return s.events.feed }

// Log calls each with the last lines that a build's server wrote, or its last
// build, and where q says so with what comes.
func (s *Supervisor) Log(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	a, err := s.find(name)
	if err != nil {
		return err
	}
	if q.Build {
		return s.buildLog(ctx, name, q, each)
	}
	size := journal.Size(a.logPath())
	lines, err := journal.Tail(a.logPath(), q.Lines)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !q.Since.IsZero() {
		lines = journal.Since(lines, q.Since, changed(a.logPath()), time.Local)
	}
	if len(lines) > 0 {
		if err := each([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	return journal.Follow(ctx, a.logPath(), size, each)
}

// changed is when a file was written last; never, where it is not there.
func changed(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// buildLogEvery is how often a build's log is looked at for more.
const buildLogEvery = 200 * time.Millisecond

func (s *Supervisor) buildLog(ctx context.Context, name string, q control.LogQuery, each func([]byte) error) error {
	var said []byte
	for {
		text, err := build.ReadLog(s.root, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		more, same := bytes.CutPrefix(text, said)
		if !same {
			more = text // of another build
		}
		if said == nil && q.Lines > 0 {
			all := bytes.SplitAfter(bytes.TrimSuffix(more, []byte("\n")), []byte("\n"))
			more = append(bytes.Join(all[max(0, len(all)-q.Lines):], nil), '\n')
			if !q.Since.IsZero() {
				more = []byte(strings.Join(journal.Since(linesOf(more), q.Since, time.Now(), time.Local), "\n") + "\n")
			}
		}
		if said = text; len(bytes.TrimSpace(more)) > 0 {
			if err := each(more); err != nil {
				return err
			}
		}
		if !q.Follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(buildLogEvery):
		}
	}
}

func (s *Supervisor) find(name string) (*actor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a, ok := s.actors[name]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("%w: %q is not in %s", control.ErrNoBuild, name, s.Config.Path)
}

// progressEvery is how often a queue that is drained is looked at.
const progressEvery = time.Second

// Act carries out a command on a build and returns when its result holds, or
// with the reason why it does not.
func (s *Supervisor) Act(ctx context.Context, name, action string, args map[string]string, progress func(string)) error {
	a, err := s.find(name)
	if err != nil {
		return err
	}
	from := a.view.Load().state
	want, err := a.command(action, args, from)
	if err != nil {
		return err
	}
	a.post(want.event)
	if args["wait"] == "no" {
		return nil
	}
	said := ""
	for {
		change := a.change()
		st := a.view.Load().state
		if done, err := want.holds(st); done {
			s.saver.flush() // what was asked for outlives us from here on, or the log says that it does not
			return err
		}
		if now := a.progressLine(st); now != said && now != "" && progress != nil {
			said = now
			progress(now)
		}
		select {
		case <-change:
		case <-time.After(progressEvery):
		case <-a.done:
			return errors.New("the build is being removed")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// command is a person's wish: the event that carries it and when it has come
// true, or cannot.
type command struct {
	event machine.Event
	holds func(*machine.State) (done bool, err error)
}

func (a *actor) command(action string, args map[string]string, from *machine.State) (command, error) {
	began := false // whether the machine has taken up the event
	taken := func(st *machine.State) bool {
		began = began || st.Spawned > from.Spawned || st.Builds > from.Builds || st.Want != from.Want ||
			st.Building != from.Building || st.Release != from.Release
		return began
	}
	served := func(st *machine.State) (bool, error) {
		switch p := st.Phase(); {
		case !taken(st):
			return false, nil
		case st.Building.Running || st.NeedBuild != machine.NeedNone || st.Candidate.N != 0:
			return false, nil
		case st.Serving.N > from.Spawned && st.Serving.Ready && st.Serving.Version.Release == st.Release:
			return true, nil
		case st.BuildErr != "":
			return true, errors.New(st.BuildErr)
		case p == machine.PhaseBackoff || p == machine.PhaseFailed || p == machine.PhaseStopped || p == machine.PhaseRunning:
			return true, reasonOf(st)
		}
		return false, nil
	}
	switch action {
	case "start":
		return command{machine.Start{}, func(st *machine.State) (bool, error) {
			if from.Phase() == machine.PhaseRunning || st.Phase() == machine.PhaseRunning {
				return true, nil
			}
			return served(st)
		}}, nil
	case "stop":
		return command{machine.Stop{}, func(st *machine.State) (bool, error) {
			return st.Phase() == machine.PhaseStopped, nil
		}}, nil
	case "restart":
		return command{machine.RestartNow{}, served}, nil
	case "rebuild":
		return command{machine.Rebuild{}, served}, nil
	case "rollback":
		to := args["to"]
		if to == "" {
			to = from.Previous
		}
		if err := a.rollbackable(to, from); err != nil {
			return command{}, err
		}
		return command{machine.Rollback{Release: to}, served}, nil
	}
	return command{}, fmt.Errorf("%w: %q", control.ErrNoAction, action)
}

func (a *actor) rollbackable(to string, st *machine.State) error {
	if to == "" {
		return errors.New("there is no release before this one to go back to")
	}
	if to == st.Serving.Version.Release {
		return fmt.Errorf("release %s serves already", to)
	}
	if r := a.releases.Load(); r != nil {
		for _, id := range *r {
			if id == to {
				return nil
			}
		}
	}
	return fmt.Errorf("release %s is not kept; `status` lists those that are", to)
}

func reasonOf(st *machine.State) error {
	if r := st.Reason(); r != "" {
		return errors.New(r)
	}
	return fmt.Errorf("the build is %s", st.Phase())
}

// progressLine says in a few words what a build is at, "" where nothing goes on.
func (a *actor) progressLine(st *machine.State) string {
	if p := a.progress.Load(); p != nil {
		return fmt.Sprintf("%s: step %d of %d: %s", a.name, p.N, p.Of, p.Step)
	}
	switch {
	case st.Candidate.N != 0:
		return fmt.Sprintf("%s: proving release %s", a.name, st.Candidate.Version.Release)
	case st.Building.Running:
		return a.name + ": waiting for its turn to be built"
	case len(st.Ending) > 0 && st.Serving.N == 0:
		return a.name + ": draining" + a.waiting()
	}
	switch p := st.Phase(); p {
	case machine.PhaseStarting, machine.PhaseStopping, machine.PhaseBackoff:
		return fmt.Sprintf("%s: %s", a.name, p)
	}
	return ""
}

func linesOf(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// waiting says how many clients a queue that is drained still holds.
func (a *actor) waiting() string {
	v := a.view.Load()
	if v.drains == nil {
		return ""
	}
	n, err := v.drains.QueueLen()
	if err != nil || n == 0 {
		return "" // it is closed, or cannot be seen
	}
	return fmt.Sprintf(", %d requests wait", n)
}
