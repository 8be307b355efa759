package actor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// Task is a command that runs once, from a release and beside what serves: the facts of one moment,
// which are never changed.
type Task struct {
	ID      string
	Kind    string // TaskRun, TaskSchedule
	Name    string // for people: what is run
	Release string
	Pid     int    // of its main process; 0: not known
	By      string // the person who asked for it; "" if nobody did
	Started time.Time
	Ended   time.Time // zero: it is running
	Exit    Exit      // once it has ended
	Why     string    // it was ended; "": it ended by itself
	Output  []string  // the last lines that it printed, unless its caller has them; once it has ended
}

// The kinds of tasks.
const (
	TaskRun      = "run"
	TaskSchedule = "schedule"
)

// Running reports whether its main process has not ended.
func (t Task) Running() bool { return t.Ended.IsZero() }

// What says in two or three words what it is.
func (t Task) What() string { return strings.TrimSpace(t.Kind + " " + t.Name) }

// How says how it ended.
func (t Task) How() string {
	if t.Why != "" {
		return t.Exit.Words + ", " + t.Why
	}
	return t.Exit.Words
}

// Order says what is to be run once.
type Order struct {
	ID   string // NewTaskID of Kind and Name; "": it gets one
	Kind string
	// Name is what is run, for people. It goes into events and logs, and so holds no argument that may
	// be a secret (CommandName). That of a schedule also goes into ID.
	Name string
	// Argv is the command. manage.py and python in the first place mean those of the release.
	Argv []string
	// Braces says that {python} and the like are filled in, for a command of the file.
	Braces bool
	// Release is the one to run it from, or the beginning of its name; "" is the one that serves.
	Release string
	Env     []string      // in addition to the build's
	Streams *Streams      // nil: its output goes to the build's log
	Timeout time.Duration // after which it is ended; 0: never
	// Attended says that somebody waits for it (AttendTask), without whom it is of no use.
	Attended bool
	By       string
}

const (
	// taskKept is how long it is known how a task has ended.
	taskKept = time.Minute
	// attendLimit is how long a task of an earlier supervisor runs on unattended: its caller was cut off
	// with that, and comes back within moments.
	attendLimit = 30 * time.Second
	// taskLines is how much of its output is kept.
	taskLines = 20
)

// tookTooLong is why a task is ended that has a timeout.
const tookTooLong = "ended because it took too long"

// left reports whether something of it may be running.
func (t *task) left() bool { return t.tree != nil && !t.gone }

// ErrNoTask is returned for a task that is not known, or not any more.
var ErrNoTask = errors.New("no such task")

// task is a task with everything that belongs to it. The actor's goroutine owns it.
type task struct {
	Task
	user      int  // who runs it, by number; -1: the supervisor's own user
	tree      Tree // nil: there was nothing of it any more when we came
	watched   bool // the end of its main process will be told
	gone      bool // nothing is left of it
	mark      string
	log       string // "": its output goes to its caller
	logOffset int64
	deadline  time.Time // zero: none
	attended  bool
	callers   int // who attend it now
	ending    bool
	timer     *time.Timer // of the deadline, or of whoever has left it
}

// RunTask has a command run from a release, and returns when it does, or why it cannot. A task that has
// been started by the ID of the order is not started again.
func (a *Actor) RunTask(o Order) (Task, error) {
	began := make(chan taskBegan, 1)
	a.post(ordered{o, began})
	select {
	case b := <-began:
		return b.task, b.err
	case <-a.done:
		return Task{}, fmt.Errorf("build %s has stopped", a.name)
	}
}

// AttendTask waits until a task has ended, in the place of its caller: if ctx ends before it, the task
// gets SIGHUP, and is ended after the build's graceful_timeout. What has ended is known for a minute.
func (a *Actor) AttendTask(ctx context.Context, id string) (Task, error) {
	a.post(taskAttended{id})
	for {
		changed := a.Changed()
		t, ok := a.View().task(id)
		if !ok {
			return Task{}, fmt.Errorf("%w: %s of build %s: what has ended is known for %v", ErrNoTask, id, a.name, taskKept)
		}
		if !t.Running() {
			return t, nil
		}
		select {
		case <-changed:
		case <-a.done:
			if t, _ := a.View().task(id); !t.Running() && t.ID != "" {
				return t, nil
			}
			return Task{}, fmt.Errorf("build %s has stopped", a.name)
		case <-ctx.Done():
			a.post(taskLeft{id})
			return Task{}, ctx.Err()
		}
	}
}

// SignalTask sends a signal to all processes of a task.
func (a *Actor) SignalTask(id string, sig syscall.Signal) error {
	v := a.View()
	t, left := v.tasks[id]
	if task, ok := v.task(id); !ok || !left || !task.Running() {
		return fmt.Errorf("%w: %s of build %s", ErrNoTask, id, a.name)
	}
	return t.Signal(sig)
}

// order starts a task.
func (a *Actor) order(o Order) (Task, error) {
	if o.ID == "" {
		o.ID = NewTaskID(o.Kind, o.Name)
	}
	if kind, _, ok := TaskOf(o.ID); !ok || kind != o.Kind {
		return Task{}, fmt.Errorf("%q is not the ID of a task of kind %s", o.ID, o.Kind)
	}
	if t, ok := a.oneOffs[o.ID]; ok {
		return t.Task, nil
	}
	launch, err := a.launchOfTask(o)
	if err != nil {
		if release := a.state.Serving.Version.Release; errors.Is(err, fs.ErrNotExist) && o.Release == "" && release != "" {
			a.post(startMisses{release, err}) // another is made in its place
		}
		return Task{}, err
	}
	t := &task{
		Task: Task{
			ID: o.ID, Kind: o.Kind, Name: o.Name, Release: launch.From.ID, By: o.By,
			Started: a.Ports.Host.Now().UTC().Round(0),
		},
		user: launch.User.UID, attended: o.Attended,
	}
	t.mark = a.taskMark(t.ID)
	start := Start{Launch: launch, Mark: t.mark, Build: a.name, Streams: o.Streams, Limits: a.entry.Limits}
	if o.Streams == nil {
		t.log = a.logOfTask(t.ID)
		t.logOffset, start.Log = a.Ports.Host.OutputSize(t.log), t.log
	}
	a.Reach("before", "a task is started")
	t.tree, _, err = a.Ports.Trees.Start(start, func(exit Exit) { a.post(taskExited{t, exit}) })
	if err != nil {
		return Task{}, err
	}
	a.Reach("after", "a task is started")
	t.watched, t.Pid = true, t.tree.Pid()
	if o.Timeout > 0 {
		t.deadline = t.Started.Add(o.Timeout)
		a.endTaskAt(t, o.Timeout)
	}
	a.oneOffs[t.ID] = t
	a.log.Info("task started", "task", t.ID, "kind", t.Kind, "name", t.Name, "release", t.Release, "pid", t.Pid, "by", t.By)
	a.taskEvent(machine.EventTaskStarted, t, t.What())
	a.save()
	a.publish()
	return t.Task, nil
}

// launchOfTask returns how to start a task.
func (a *Actor) launchOfTask(o Order) (*server.Launch, error) {
	switch {
	case len(o.Argv) == 0 || o.Argv[0] == "":
		return nil, errors.New("no command is given")
	case a.state.Want == machine.WantRemoved, a.state.Want == machine.WantShutdown:
		return nil, fmt.Errorf("build %s is stopping", a.name)
	}
	v := a.state.Serving.Version
	if o.Release != "" {
		release, err := oneOf(a.Kept(), o.Release)
		if err != nil {
			return nil, err
		}
		if release != v.Release {
			v = machine.Version{Release: release, RunKey: a.state.RunKey}
		}
	}
	if v.Release == "" {
		why := a.state.ReasonAt(time.Now())
		if why != "" {
			why = " (" + why + ")"
		}
		return nil, fmt.Errorf("no release of %s serves, the build is %s%s: `start` serves it, or name a release that is kept with --release", a.name, a.state.Phase(), why)
	}
	set, err := a.settingsOf(v)
	if err != nil {
		return nil, err
	}
	rel, owner, err := a.placeOf(v, set)
	if err != nil {
		return nil, err
	}
	at := server.Place{Release: rel, Paths: a.paths, RunKey: v.RunKey}
	return server.PrepareTask(set.entry, set.environ, at, owner, server.Once{Argv: o.Argv, Braces: o.Braces, Env: o.Env}), nil
}

// taskName is what a task's name may look like to be a part of its ID.
var taskName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// NewTaskID makes an ID that no other task has, also of earlier supervisors.
func NewTaskID(kind, name string) string {
	id := strings.ToLower(rand.Text()[:12])
	if kind == TaskSchedule && taskName.MatchString(name) {
		return kind + "." + name + "." + id
	}
	return kind + "." + id
}

// taskMark identifies the tree of a task, also for a later supervisor (TaskOf).
func (a *Actor) taskMark(id string) string { return fmt.Sprintf("%s/%s/%s", a.RootID, a.name, id) }

var taskIDs = regexp.MustCompile(`^(run|schedule)\.(?:([a-z0-9][a-z0-9_-]{0,63})\.)?[a-z2-7]{12}$`)

// TaskOf reads the ID of a task, the last part of its mark. ok is false where it is none.
func TaskOf(id string) (kind, name string, ok bool) {
	parts := taskIDs.FindStringSubmatch(id)
	if parts == nil {
		return "", "", false
	}
	return parts[1], parts[2], true
}

// taskExit is that the main process of a task has ended. What it has left behind is ended as well.
func (a *Actor) taskExit(m taskExited) {
	t := m.t
	t.Ended, t.Exit = a.Ports.Host.Now().UTC().Round(0), m.exit
	if t.log != "" {
		t.Output = a.Ports.Host.Output(t.log, t.logOffset, taskLines)
	}
	if kills := t.tree.OOMKills(); kills > 0 {
		a.Ports.Reports.OOMKilled(a.name, "", kills)
		a.taskEvent(machine.EventOutOfMemory, t, t.What()+": "+m.exit.Words)
	}
	a.taskOver(t)
	a.endTask(t, "")
}

// taskOver tells people that a task has ended, and keeps that for who asks.
func (a *Actor) taskOver(t *task) {
	took := t.Ended.Sub(t.Started).Round(time.Millisecond)
	a.log.Info("task ended", "task", t.ID, "kind", t.Kind, "name", t.Name, "result", t.How(), "took", took)
	a.taskEvent(machine.EventTaskEnded, t, fmt.Sprintf("%s: %s after %v", t.What(), t.How(), took))
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.Kind == TaskSchedule {
		a.runEnded(t) // which keeps how it went: there may be one a second
	}
	if t.Kind != TaskSchedule || !t.left() {
		t.timer = time.AfterFunc(t.kept(), func() { a.post(taskOld{t}) })
	}
	a.save()
	a.publish()
}

// kept is how long it is known how it has ended.
func (t *task) kept() time.Duration {
	if t.Kind == TaskSchedule {
		return 0
	}
	return taskKept
}

func (a *Actor) taskEvent(event machine.EventName, t *task, reason string) {
	a.Ports.Reports.Event(Event{Time: a.Ports.Host.Now(), Build: a.name, Event: string(event), Release: t.Release, Pid: t.Pid, Reason: reason, By: t.By})
}

// endTask ends the whole tree of a task: why, unless it ended by itself.
func (a *Actor) endTask(t *task, why string) {
	if t.ending || !t.left() {
		return
	}
	t.ending = true
	if t.Running() {
		t.Why = why
	}
	tree, grace := t.tree, a.grace()
	a.task(func(ctx context.Context) {
		if err := a.endTree(ctx, tree, grace); err != nil {
			a.log.Error("task does not end", "task", t.ID, "pid", t.Pid, "error", err)
		}
		a.post(taskGone{t})
	})
}

// grace is how long a tree may take to end after SIGTERM.
func (a *Actor) grace() time.Duration {
	if a.entry.GracefulTimeout > 0 {
		return a.entry.GracefulTimeout
	}
	return leftoverGrace
}

// endTaskAt ends a task that takes longer than it may.
func (a *Actor) endTaskAt(t *task, in time.Duration) {
	t.timer = time.AfterFunc(in, func() { a.post(taskDue{t, tookTooLong}) })
}

// leftTask has a task end that nobody attends any more: as of a terminal that was closed.
func (a *Actor) leftTask(t *task) {
	if !t.Running() || t.ending {
		return
	}
	a.log.Info("task is not attended any more, it is told to end", "task", t.ID, "name", t.Name)
	// What is stopped gets no signal before it goes on.
	err := errors.Join(t.tree.Signal(syscall.SIGHUP), t.tree.Signal(syscall.SIGCONT))
	a.warn("tell a task that its caller has gone", err)
	t.Why = "its caller had gone"
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(a.grace(), func() { a.post(taskDue{t, t.Why}) })
}

// followTasks ends the tasks of a build that is not to run any more.
func (a *Actor) followTasks(before, now *machine.State) {
	switch {
	case before.Want == now.Want, now.Want == machine.WantServe:
		return
	case before.Want == machine.WantUnknown && now.Want == machine.WantStopped:
		return // they were started while it was stopped already
	}
	for _, t := range a.oneOffs {
		a.endTask(t, "the build was stopped")
	}
}

// taskMessage handles what concerns tasks.
func (a *Actor) taskMessage(m message) {
	switch m := m.(type) {
	case ordered:
		t, err := a.order(m.order)
		m.began <- taskBegan{t, err}
	case tasksAdopted:
		a.adoptTasks(m.found)
	case taskExited:
		a.taskExit(m)
	case taskGone:
		m.t.gone = true
		if m.t.Running() && !m.t.watched {
			m.t.Ended, m.t.Exit = a.Ports.Host.Now().UTC().Round(0), unknownExit
			a.taskOver(m.t)
		} else if m.t.Kind == TaskSchedule && !m.t.Running() {
			a.post(taskOld(m))
		}
		a.publish()
		if a.state.Want == machine.WantServe && m.t.Release != a.state.Serving.Version.Release {
			a.prune() // it may have been kept for the task alone
		}
	case taskOld:
		delete(a.oneOffs, m.t.ID)
		a.save()
		a.publish()
	case taskDue:
		a.endTask(m.t, m.why)
	case taskAttended:
		if t, ok := a.oneOffs[m.id]; ok {
			if t.callers++; t.callers == 1 && t.timer != nil && t.deadline.IsZero() && t.Running() {
				t.timer.Stop() // it was about to be left
				if !t.ending {
					t.Why = ""
				}
			}
		}
	case taskLeft:
		if t, ok := a.oneOffs[m.id]; ok {
			if t.callers = max(t.callers-1, 0); t.callers == 0 && t.attended {
				a.leftTask(t)
			}
		}
	}
}

// shownTasks are the tasks as others may see them, the oldest first.
func (a *Actor) shownTasks() (all []Task, trees map[string]Tree) {
	if len(a.oneOffs) == 0 {
		return nil, nil
	}
	trees = map[string]Tree{}
	for _, t := range a.oneOffs {
		all = append(all, t.Task)
		if t.left() {
			trees[t.ID] = t.tree
		}
	}
	slices.SortFunc(all, func(t, u Task) int {
		return cmp.Or(t.Started.Compare(u.Started), cmp.Compare(t.ID, u.ID))
	})
	return all, trees
}

func (v *View) task(id string) (Task, bool) {
	i := slices.IndexFunc(v.Tasks, func(t Task) bool { return t.ID == id })
	if i < 0 {
		return Task{}, false
	}
	return v.Tasks[i], true
}

// subcommand is what is told of the command of manage.py: its name is no secret, unlike what follows.
var subcommand = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// CommandName is what people are told of a command: the program, and what manage.py is to do. No other
// argument: it may be a secret.
func CommandName(argv []string) string {
	if len(argv) == 0 {
		return ""
	}
	program := func(text string) string {
		text = text[strings.LastIndexByte(text, '/')+1:]
		printed := strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f || r == '\ufffd' {
				return '?'
			}
			return r
		}, strings.ToValidUTF8(text, "?"))
		if len(printed) > 64 {
			return strings.ToValidUTF8(printed[:64], "") + "…"
		}
		return printed
	}
	words := []string{program(argv[0])}
	rest := argv[1:]
	if strings.HasPrefix(words[0], "python") && len(rest) > 0 && program(rest[0]) == "manage.py" {
		words, rest = append(words, "manage.py"), rest[1:]
	}
	if words[len(words)-1] == "manage.py" && len(rest) > 0 && subcommand.MatchString(rest[0]) {
		words = append(words, rest[0])
	}
	return strings.Join(words, " ")
}
