package actor

import (
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// unknownExit is of a task whose end nobody saw.
var unknownExit = Exit{Words: "ended while no supervisor watched", Code: -1}

// taskRecord returns the tasks that must outlive the supervisor.
func (a *Actor) taskRecord() (all []state.Task) {
	shown, _ := a.shownTasks()
	for _, s := range shown {
		t := a.oneOffs[s.ID]
		r := state.Task{
			ID: t.ID, Kind: t.Kind, Name: t.Name, Release: t.Release, Pid: t.Pid, BootID: a.BootID, User: &t.user, By: t.By,
			Started: t.Started, Deadline: t.deadline, Attended: t.attended, Logged: t.log != "",
		}
		if t.tree != nil {
			r.StartTime = t.tree.StartTime()
		}
		if !t.Running() {
			r.Ended, r.Exit, r.Code, r.Signal, r.Why = t.Ended, t.Exit.Words, t.Exit.Code, t.Exit.Number, t.Why
		}
		all = append(all, r)
	}
	return all
}

// restoreTasks begins with the tasks of an earlier run. What has become of those that were running,
// adoptTasks finds out.
func (a *Actor) restoreTasks(recorded []state.Task) {
	for _, r := range recorded {
		if _, _, ok := TaskOf(r.ID); !ok {
			continue
		}
		t := &task{
			Task: Task{ID: r.ID, Kind: r.Kind, Name: r.Name, Release: r.Release, By: r.By, Started: r.Started},
			mark: a.taskMark(r.ID), user: -1, deadline: r.Deadline, attended: r.Attended,
		}
		if r.User != nil {
			t.user = *r.User
		}
		if r.Logged {
			t.log = a.logOfTask(t.ID)
			t.logOffset = a.Ports.Host.OutputSize(t.log)
		}
		if !r.Ended.IsZero() {
			left := taskKept - a.Ports.Host.Now().Sub(r.Ended)
			if left <= 0 {
				continue
			}
			t.Pid, t.Ended, t.Why = r.Pid, r.Ended, r.Why
			t.Exit = Exit{Words: r.Exit, Code: r.Code, Number: r.Signal, Signal: r.Signal != 0, Clean: r.Code == 0}
			t.timer = time.AfterFunc(min(left, taskKept), func() { a.post(taskOld{t}) })
		}
		a.oneOffs[t.ID] = t
	}
}

// adoptTasks takes over what an earlier supervisor left of tasks: those whose main process is running
// are watched on, of the others the rest is ended.
func (a *Actor) adoptTasks(found []Leftover) {
	for _, l := range found {
		t := a.taskOf(l)
		if t.Running() && l.Leader.Pid != 0 {
			tree, err := a.Ports.Trees.Adopt(l, func(exit Exit) { a.post(taskExited{t, exit}) })
			if err == nil {
				a.adoptTask(t, tree)
				continue
			}
			a.log.Warn("task ended while no supervisor watched", "task", t.ID, "name", t.Name, "pid", l.Leader.Pid, "error", err)
		}
		t.tree = a.Ports.Trees.Remains(l)
		a.endTask(t, "")
	}
	for _, t := range a.oneOffs {
		if t.Running() && t.tree == nil {
			t.Ended, t.Exit = a.Ports.Host.Now().UTC().Round(0), unknownExit
			a.taskOver(t)
		}
	}
}

func (a *Actor) adoptTask(t *task, tree Tree) {
	t.tree, t.watched, t.Pid = tree, true, tree.Pid()
	if t.Kind == TaskSchedule {
		// It may not have been written down any more, or somebody has set the clock back since.
		for _, s := range a.entry.Schedules {
			if limit := a.Ports.Host.Now().Add(s.Timeout); s.Name == t.ofSchedule() && (t.deadline.IsZero() || t.deadline.After(limit)) {
				t.deadline = limit
			}
		}
	}
	a.log.Info("task adopted", "task", t.ID, "name", t.Name, "release", t.Release, "pid", t.Pid)
	switch {
	case !t.deadline.IsZero():
		a.endTaskAt(t, t.deadline.Sub(a.Ports.Host.Now()))
	case t.attended:
		t.timer = time.AfterFunc(attendLimit, func() { a.post(taskLeft{t.ID}) })
	}
	a.publish()
}

// taskOf returns the task of what was found. One that was not written down any more is known by its
// mark and its environment.
func (a *Actor) taskOf(l Leftover) *task {
	if t, ok := a.oneOffs[l.Task]; ok {
		return t
	}
	kind, name, _ := TaskOf(l.Task)
	t := &task{
		Task: Task{ID: l.Task, Kind: kind, Name: name, Started: a.Ports.Host.Now().UTC().Round(0)},
		mark: l.Mark, user: l.User, attended: kind == TaskRun,
	}
	for _, pid := range l.Pids() {
		environ, err := a.Ports.Trees.Environ(pid)
		if err != nil {
			continue // it may have ended; the next process has the same variables
		}
		if release, _, ok := server.VersionOf(environ); ok {
			t.Release = release
			break
		}
	}
	a.oneOffs[t.ID] = t
	return t
}
