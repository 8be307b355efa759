package actor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// sleeper is a command that a person runs.
func sleeper() Order {
	return Order{Kind: TaskRun, Name: "sleep", Argv: []string{"sleep", "60"}, Attended: true, By: "alice"}
}

// runs starts a task and returns it with its tree.
func (l *life) runs(o Order) (Task, *tree) {
	l.Helper()
	t, err := l.RunTask(o)
	if err != nil {
		l.Fatal(err)
	}
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for _, tree := range l.w.trees {
		if tree.mark == "root/one/"+t.ID {
			return t, tree
		}
	}
	l.Fatalf("%s was not started", t.ID)
	return t, nil
}

// attends attends a task until it has ended or the returned function is called.
func (l *life) attends(id string) (ended <-chan Task, leave func()) {
	ctx, leave := context.WithCancel(context.Background())
	done := make(chan Task, 1)
	go func() {
		defer close(done)
		if t, err := l.AttendTask(ctx, id); err == nil {
			done <- t
		}
	}()
	l.pass(0)
	return done, leave
}

func TestATaskRunsAsTheServerDoes(t *testing.T) {
	serving(t, func(l *life) {
		l.entry.Limits, l.entry.Umask = config.Limits{Memory: 1 << 20, Nofile: 100}, 0o27
		l.w.do(func() { l.w.environ = []string{"SECRET=x", "PATH=/bin"} })
		l.configure(false)
		l.pass(time.Minute)
		l.w.do(func() { l.w.events = nil })
		server := l.server()
		task, tree := l.runs(Order{Kind: TaskRun, Name: "manage.py shell", Argv: []string{"manage.py", "shell", "{app}"}, Env: []string{"TERM=xterm"}, By: "alice"})
		at := tree.start
		if want := []string{"/venv/bin/python", "/release/API/manage.py", "shell", "{app}"}; !slices.Equal(at.Launch.Argv, want) {
			l.Errorf("runs %q, want %q", at.Launch.Argv, want)
		}
		as := server.start.Launch
		if at.Limits != l.entry.Limits || at.Launch.Limits != as.Limits || at.Launch.User.UID != as.User.UID || at.Launch.Umask != 0o27 || at.Launch.Dir != as.Dir || at.Launch.NewPrivs != as.NewPrivs {
			l.Errorf("started with %+v", at)
		}
		env := slices.DeleteFunc(slices.Clone(at.Launch.Env), func(e string) bool { return slices.Contains(as.Env, e) })
		if want := []string{"TERM=xterm", "PATH=/venv/bin:/bin"}; !slices.Equal(env, want) || !slices.Contains(at.Launch.Env, "SECRET=x") {
			l.Errorf("its environment has %q more than the server's, want %q", env, want)
		}
		if at.Listener != nil || len(at.Launch.Files) > 0 || at.Log != "/log/one.log" {
			l.Errorf("started with %+v", at)
		}
		if task.Release != "r1" || task.Pid != tree.pid || !task.Running() {
			l.Errorf("%+v", task)
		}
		l.w.do(func() { l.w.output = []string{"done"} })
		ended, _ := l.attends(task.ID)
		l.pass(3 * time.Second)
		tree.exit(Exit{Words: "exit code 3", Code: 3})
		got := <-ended
		if got.Running() || got.Exit.Code != 3 || got.How() != "exit code 3" || !slices.Equal(got.Output, []string{"done"}) {
			l.Errorf("%+v", got)
		}
		l.pass(0)
		if !tree.isGone() {
			l.Error("what it left behind is not ended")
		}
		l.events("task_started task_ended")
		l.pass(taskKept / 2)
		if again, err := l.AttendTask(context.Background(), task.ID); err != nil || again.Exit.Code != 3 {
			l.Errorf("%+v, %v", again, err)
		}
		l.pass(taskKept)
		if _, err := l.AttendTask(context.Background(), task.ID); !errors.Is(err, ErrNoTask) {
			l.Error(err)
		}
		if l.server() != server || len(l.View().Tasks) > 0 {
			l.Error("the server was touched, or a task is left")
		}
	})
}

func TestEventsTellWhoRanWhat(t *testing.T) {
	serving(t, func(l *life) {
		_, tree := l.runs(sleeper())
		l.pass(1500 * time.Millisecond)
		tree.exit(Exit{Words: "killed by SIGINT", Code: -1, Signal: true, Number: 2})
		l.pass(0)
		for i, want := range []string{"run sleep", "run sleep: killed by SIGINT after 1.5s"} {
			if e := l.w.events[i]; e.Reason != want || e.By != "alice" || e.Pid != tree.pid || e.Release != "r1" {
				l.Errorf("%+v, want %q", e, want)
			}
		}
	})
}

func TestACommandsNameTellsNoSecret(t *testing.T) {
	t.Parallel()
	for want, argv := range map[string][]string{
		"":                            {},
		"env":                         {"env", "PASSWORD=x"},
		"true":                        {"/bin/true"},
		"python":                      {"python", "-c", "secret"},
		"python manage.py shell":      {"python", "manage.py", "shell", "secret"},
		"python3 manage.py migrate":   {"/usr/bin/python3", "/app/manage.py", "migrate"},
		"manage.py createsuperuser":   {"manage.py", "createsuperuser", "--password=x"},
		"manage.py":                   {"manage.py", "--password=x"},
		"a?b":                         {"a\nb"},
		strings.Repeat("x", 64) + "…": {strings.Repeat("x", 100)},
	} {
		if got := CommandName(argv); got != want {
			t.Errorf("%q: %q, want %q", argv, got, want)
		}
	}
}

func TestATaskCannotBeStarted(t *testing.T) {
	serving(t, func(l *life) {
		refused := func(o Order, want string) {
			l.Helper()
			if _, err := l.RunTask(o); err == nil || !strings.Contains(err.Error(), want) {
				l.Errorf("%v, want %q", err, want)
			}
		}
		o := sleeper()
		o.Release = "x"
		refused(o, "release x is not kept")
		refused(Order{Kind: TaskRun}, "no command")
		refused(Order{Kind: TaskRun, ID: "schedule.aaaaaaaaaaaa", Argv: []string{"x"}}, "not the ID")
		l.w.fail("Start", errBroken)
		refused(sleeper(), "it broke")
		l.w.fail("Start", nil)
		l.act("stop")
		refused(sleeper(), "no release of one serves, the build is stopped")
		o.Release = "r"
		task, tree := l.runs(o) // of a build that is stopped: for maintenance
		if task.Release != "r1" {
			l.Errorf("%+v", task)
		}
		l.pass(time.Hour)
		if tree.isGone() || len(l.View().Tasks) != 1 {
			l.Error("it did not go on")
		}
	})
}

// act carries out a command and waits for its result.
func (l *life) act(action string) {
	l.Helper()
	if err := l.Do(context.Background(), Command{Action: action}, func(string) {}); err != nil {
		l.Errorf("%s: %v", action, err)
	}
}

func TestAStopEndsTasksAndWaitsForThem(t *testing.T) {
	serving(t, func(l *life) {
		task, tree := l.runs(sleeper())
		tree.act(conduct{stubborn: true})
		ended, _ := l.attends(task.ID)
		begun := time.Now()
		l.act("stop")
		if took := time.Since(begun); took != l.entry.GracefulTimeout || !tree.isGone() {
			l.Errorf("stopped after %v", took)
		}
		if got := <-ended; got.How() != "killed by SIGKILL, the build was stopped" {
			l.Error(got.How())
		}
	})
}

func TestTheEndOfTheSupervisorAndARemovalEndTasks(t *testing.T) {
	for name, leave := range map[string]func(l *life){"removal": func(l *life) { l.Remove() }, "end": func(l *life) { l.Shutdown() }} {
		t.Run(name, func(t *testing.T) {
			serving(t, func(l *life) {
				task, tree := l.runs(sleeper())
				ended, _ := l.attends(task.ID)
				leave(l)
				<-l.Done()
				if got := <-ended; !tree.isGone() || !tree.wasTold() || got.Why == "" {
					l.Errorf("%+v", got)
				}
				if _, err := l.RunTask(sleeper()); err == nil {
					l.Error("another one was started")
				}
			})
		})
	}
}

func TestATaskHasItsTime(t *testing.T) {
	serving(t, func(l *life) {
		task, _ := l.runs(Order{Kind: TaskRun, Name: "nightly", Argv: []string{"{python}", "x"}, Braces: true, Timeout: time.Minute})
		begun := time.Now()
		got, err := l.AttendTask(context.Background(), task.ID)
		if took := time.Since(begun); err != nil || took != time.Minute || got.How() != "killed by SIGTERM, ended because it took too long" {
			l.Errorf("%v after %v, %v", got.How(), took, err)
		}
	})
}

func TestATaskThatItsCallerLeavesIsToldAndEnded(t *testing.T) {
	serving(t, func(l *life) {
		task, tree := l.runs(sleeper())
		_, leave := l.attends(task.ID)
		second, _ := l.attends(task.ID)
		leave()
		l.pass(0)
		if len(tree.got()) > 0 {
			l.Fatal("somebody attends it still")
		}
		tree.exit(Exit{Words: "exit code 0", Clean: true})
		<-second

		task, tree = l.runs(sleeper())
		tree.act(conduct{stubborn: true})
		_, leave = l.attends(task.ID)
		leave()
		l.pass(0)
		if !slices.Equal(tree.got(), []syscall.Signal{syscall.SIGHUP, syscall.SIGCONT}) || tree.wasTold() {
			l.Errorf("it got %v", tree.got())
		}
		l.pass(2 * l.entry.GracefulTimeout)
		if !tree.isGone() {
			l.Error("it goes on")
		}

		unattended := sleeper()
		unattended.Attended = false
		task, tree = l.runs(unattended)
		_, leave = l.attends(task.ID)
		leave()
		l.pass(time.Hour)
		if len(tree.got()) > 0 || tree.isGone() {
			l.Error("it was ended, although nobody has to wait for it")
		}
	})
}

func TestATaskIsStartedOnceByItsID(t *testing.T) {
	serving(t, func(l *life) {
		o := sleeper()
		o.ID = NewTaskID(TaskRun, "")
		first, _ := l.runs(o)
		again, err := l.RunTask(o)
		if err != nil || again.Pid != first.Pid {
			l.Errorf("%+v, %v", again, err)
		}
	})
}

func TestAReleaseIsKeptWhileATaskRunsFromIt(t *testing.T) {
	serving(t, func(l *life) {
		_, tree := l.runs(sleeper())
		l.change("second")
		l.serves("r2")
		l.change("third")
		l.serves("r3")
		l.change("fourth")
		l.serves("r4")
		l.pass(l.entry.StableAfter)
		if !l.pinned("r1") {
			l.Error("r1 is in use where it is not, or is not where it is")
		}
		if !slices.ContainsFunc(l.w.keep, func(path string) bool { return strings.Contains(path, "/run/tmp-task-") }) {
			l.Errorf("files that are kept: %q", l.w.keep)
		}
		tree.exit(Exit{Words: "exit code 0", Clean: true})
		l.pass(0)
		if l.pinned("r1") {
			l.Error("r1 is in use where it is not, or is not where it is")
		}
	})
}

func TestSignalsReachATask(t *testing.T) {
	serving(t, func(l *life) {
		task, tree := l.runs(sleeper())
		if err := l.SignalTask(task.ID, syscall.SIGINT); err != nil || !slices.Equal(tree.got(), []syscall.Signal{syscall.SIGINT}) {
			l.Errorf("%v, %v", tree.got(), err)
		}
		tree.exit(Exit{Words: "exit code 0", Clean: true})
		l.pass(0)
		for _, id := range []string{task.ID, "run.x"} {
			if err := l.SignalTask(id, syscall.SIGINT); !errors.Is(err, ErrNoTask) {
				l.Error(err)
			}
		}
	})
}

// recorded are the tasks that are written down.
func (l *life) recorded() []state.Task {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.record.Tasks
}

// pinned reports whether a release is in use, where any were removed.
func (l *life) pinned(release string) bool {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.inUse == nil || slices.Contains(l.w.inUse, release)
}

// got are the signals that a tree got, apart from those that end it.
func (t *tree) got() []syscall.Signal {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	return slices.Clone(t.signals)
}

// wasTold reports whether it was told to end, isGone whether nothing of it is left.
func (t *tree) wasTold() (told bool) {
	t.w.do(func() { told = t.termed })
	return told
}

func (t *tree) isGone() (gone bool) {
	t.w.do(func() { gone = t.gone })
	return gone
}

// leftTask is a task of an earlier supervisor, as its record has it.
func (p *past) leftTask(id string) (*tree, state.Task) {
	t := p.w.plant(p.taskMark(id), []string{"MEDCTRL_RELEASE=r1", "MEDCTRL_RUN_KEY=" + p.runKey}, nil, conduct{})
	return t, state.Task{ID: id, Kind: TaskRun, Name: "sleep", Release: "r1", Pid: t.pid, StartTime: t.StartTime(), BootID: bootID, Attended: true, Started: p.since, By: "alice"}
}

func (p *past) beginWithTasks(found ...Leftover) {
	p.Restore(p.record, p.w.kept, p.found)
	p.Releases(p.w.kept)
	p.AdoptTasks(found)
	p.Adopt(p.found, nil)
	p.configure(false)
	p.serves("r1")
}

func found(t *tree, id string) Leftover {
	l := t.leftover(0)
	l.Task = id
	return l
}

func TestATaskOutlivesItsSupervisor(t *testing.T) {
	after(t, func(p *past) {
		id := NewTaskID(TaskRun, "")
		tree, record := p.leftTask(id)
		p.record.Tasks = []state.Task{record}
		p.beginWithTasks(found(tree, id))
		ended, _ := p.attends(id)
		p.pass(time.Hour)
		if tree.wasTold() || !p.pinned("r1") {
			p.Fatal("it was ended, or its release is not kept")
		}
		if got := p.recorded(); len(got) != 1 || got[0].Pid != tree.pid || got[0].StartTime != tree.StartTime() || !got[0].Attended {
			p.Errorf("recorded is %+v", got)
		}
		tree.exit(Exit{Words: "exit code 4", Code: 4})
		if got := <-ended; got.Exit.Code != 4 || got.By != "alice" || got.Name != "sleep" {
			p.Errorf("%+v", got)
		}
		p.pass(0)
		if got := p.recorded(); len(got) != 1 || got[0].Code != 4 || got[0].Ended.IsZero() {
			p.Errorf("recorded is %+v", got)
		}
		p.pass(2 * taskKept)
		if got := p.recorded(); len(got) != 0 {
			p.Errorf("recorded is %+v", got)
		}
	})
}

func TestATaskWhoseCallerDoesNotComeBackIsEnded(t *testing.T) {
	after(t, func(p *past) {
		id := NewTaskID(TaskRun, "")
		tree, record := p.leftTask(id)
		p.record.Tasks = []state.Task{record}
		p.beginWithTasks(found(tree, id))
		p.pass(attendLimit + time.Second)
		if !slices.Contains(tree.got(), syscall.SIGHUP) || !tree.isGone() {
			p.Errorf("it got %v", tree.got())
		}
	})
}

func TestATaskThatWasNotWrittenDownIsAdopted(t *testing.T) {
	after(t, func(p *past) {
		id := NewTaskID(TaskSchedule, "nightly")
		tree, _ := p.leftTask(id)
		p.beginWithTasks(found(tree, id))
		tasks := p.View().Tasks
		if len(tasks) != 1 || tasks[0].Kind != TaskSchedule || tasks[0].Name != "nightly" || tasks[0].Release != "r1" || tree.wasTold() {
			p.Errorf("%+v", tasks)
		}
	})
}

func TestHowATaskEndedIsKnownToTheNextSupervisor(t *testing.T) {
	after(t, func(p *past) {
		seen, unseen, old := NewTaskID(TaskRun, ""), NewTaskID(TaskRun, ""), NewTaskID(TaskRun, "")
		_, record := p.leftTask(seen)
		record.Ended, record.Exit, record.Code = time.Now().Add(-taskKept/2), "exit code 5", 5
		lost := record
		lost.ID, lost.Ended = unseen, time.Time{}
		gone := record
		gone.ID, gone.Ended = old, time.Now().Add(-2*taskKept)
		p.record.Tasks = []state.Task{record, lost, gone, {ID: "../x"}}
		p.w.do(func() { p.w.trees = nil })
		p.beginWithTasks()
		if got, err := p.AttendTask(context.Background(), seen); err != nil || got.Exit.Code != 5 || got.How() != "exit code 5" {
			p.Errorf("%+v, %v", got, err)
		}
		if got, err := p.AttendTask(context.Background(), unseen); err != nil || got.Exit.Code != -1 || got.How() != "ended while no supervisor watched" {
			p.Errorf("%+v, %v", got, err)
		}
		if _, err := p.AttendTask(context.Background(), old); !errors.Is(err, ErrNoTask) {
			p.Error(err)
		}
		p.pass(taskKept)
		if tasks := p.View().Tasks; len(tasks) != 0 {
			p.Errorf("%+v", tasks)
		}
	})
}

func TestWhatATaskLeftBehindIsEndedByTheNextSupervisor(t *testing.T) {
	after(t, func(p *past) {
		id := NewTaskID(TaskRun, "")
		tree, record := p.leftTask(id)
		tree.exit(crash)
		p.record.Tasks = []state.Task{record}
		p.beginWithTasks(found(tree, id))
		p.pass(0)
		got, ok := p.View().task(id)
		if !tree.isGone() || !ok || got.Running() || got.Exit.Code != -1 {
			p.Errorf("%+v", got)
		}
	})
}
