package supervisor

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// NewRunID makes the ID of a command for control.Client.Run.
func NewRunID() string { return actor.NewTaskID(actor.TaskRun, "") }

// Run starts a command from a release of a build, for a caller who attends it.
func (s *Supervisor) Run(ctx context.Context, name string, r control.RunRequest) (control.TaskStatus, error) {
	defer func() {
		for _, f := range r.Streams {
			f.Close() // the command has its own
		}
	}()
	a, err := s.find(name)
	if err != nil {
		return control.TaskStatus{}, err
	}
	o := actor.Order{
		ID: r.ID, Kind: actor.TaskRun, Name: actor.CommandName(r.Argv), Argv: r.Argv, Release: r.Release,
		Attended: true, By: control.Who(ctx),
	}
	if r.Term != "" {
		if !control.IsTerm(r.Term) {
			return control.TaskStatus{}, fmt.Errorf("TERM=%.80q: want the name of a terminal", r.Term)
		}
		o.Env = []string{"TERM=" + r.Term}
	}
	if len(r.Streams) == 3 {
		o.Streams = &actor.Streams{In: r.Streams[0], Out: r.Streams[1], Err: r.Streams[2], Terminal: r.Terminal}
	}
	t, err := a.RunTask(o)
	return taskStatus(t), err
}

// Attend returns how a task ended, once it has.
func (s *Supervisor) Attend(ctx context.Context, name, id string) (control.TaskStatus, error) {
	a, err := s.find(name)
	if err != nil {
		return control.TaskStatus{}, err
	}
	t, err := a.AttendTask(ctx, id)
	return taskStatus(t), noTask(err)
}

// SignalTask sends a signal to all processes of a task.
func (s *Supervisor) SignalTask(ctx context.Context, name, id string, sig syscall.Signal) error {
	a, err := s.find(name)
	if err != nil {
		return err
	}
	return noTask(a.SignalTask(id, sig))
}

// noTask has the API know an error for what it is.
func noTask(err error) error {
	if errors.Is(err, actor.ErrNoTask) {
		return &taskError{err}
	}
	return err
}

// taskError is an error of a task that is not known.
type taskError struct{ error }

func (*taskError) Is(target error) bool { return target == control.ErrNoTask }

func taskStatus(t actor.Task) control.TaskStatus {
	s := control.TaskStatus{ID: t.ID, Kind: t.Kind, Name: t.Name, Release: t.Release, Pid: t.Pid, By: t.By, Started: t.Started.Truncate(time.Second)}
	if !t.Running() {
		s.Ended, s.Exit, s.Code, s.Signal, s.Why = t.Ended.Truncate(time.Second), t.Exit.Words, t.Exit.Code, t.Exit.Number, t.Why
	}
	return s
}

// runningTasks are the tasks of a build that have not ended.
func runningTasks(v *actor.View) (all []control.TaskStatus) {
	for _, t := range v.Tasks {
		if t.Running() {
			all = append(all, taskStatus(t))
		}
	}
	return all
}
