package process

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// task is a Spec of a shell script that is a one-off command.
func task(t testing.TB, script string) Spec {
	s := sh(t, script)
	s.Mark, s.Task = "", "/"+s.Mark
	return s
}

// unnamed makes a file without a name.
func unnamed(t testing.TB) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "output")
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t testing.TB, f *os.File) string {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTaskWritesToTheFilesItIsGiven(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		out, complaints, extra := unnamed(t), unnamed(t), unnamed(t)
		s := task(t, `echo out; echo complaint >&2; echo extra >&3; echo "fds $LISTEN_FDS pid $LISTEN_PID umask $(umask) twice $TWICE"`)
		s.Stdout, s.Stderr, s.Extra, s.Log = out, complaints, extra, filepath.Join(s.Dir, "never")
		s.Env, s.Umask = append(s.Env, "TWICE=first", "TWICE=last"), 0o027
		k := spawn(t, tb, s)
		if exit, err := k.Wait(t.Context(), 0); err != nil || !exit.Clean() {
			t.Fatal(exit, err)
		}
		if got, want := content(t, out), "out\nfds  pid  umask 0027 twice last\n"; got != want {
			t.Errorf("it wrote %q, want %q", got, want)
		}
		if got := content(t, complaints); got != "complaint\n" {
			t.Errorf("it complained %q", got)
		}
		if got := content(t, extra); got != "extra\n" {
			t.Errorf("it wrote %q to descriptor 3", got)
		}
		s.Stderr = nil
		k = spawn(t, tb, s)
		k.wait()
		if got := content(t, out); !strings.Contains(got, "complaint\n") {
			t.Errorf("without a file for complaints it wrote %q", got)
		}
		if _, err := os.Stat(s.Log); err == nil {
			t.Error("the log was opened")
		}
	})
}

func TestTaskIsNoGeneration(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := task(t, `sleep 1000 & wait`)
	k := spawn(t, tb, s)
	found, err := tb.FindMarked("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Pid == k.Pid() {
			t.Errorf("it was found with the mark %q", f.Mark)
		}
	}
	if tasks, err := tb.FindTasks(s.Task[:len(s.Task)-1], os.Geteuid()); err != nil || !slices.Equal(tasks, []string{s.Task}) {
		t.Errorf("tasks %q, error %v, want %q", tasks, err, s.Task)
	}
	if tasks, err := tb.FindTasks(s.Task+"/", os.Geteuid()); err != nil || len(tasks) != 0 {
		t.Errorf("tasks %q, error %v, want none", tasks, err)
	}
}

func TestWaitEndsWhatACommandLeftBehind(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := task(t, `
			(trap '' TERM; echo $$ >> /dev/null; exec sleep 1000) &
			echo $! >> pids
			(trap '' TERM; setsid sh -c 'echo $$ >> pids; exec sleep 1000' &)
			while [ $(wc -l < pids) -lt 2 ]; do sleep 0.01; done
			exit 3`)
		k := spawn(t, tb, s)
		exit, err := k.Wait(t.Context(), patience)
		if err != nil || exit.Code != 3 {
			t.Errorf("exit %v, error %v", exit, err)
		}
		for _, pid := range pidsIn(t, filepath.Join(s.Dir, "pids"), 2) {
			if !gone(pid) {
				t.Errorf("process %d is left", pid)
			}
		}
		if again, err := k.Wait(t.Context(), patience); again != exit || err != nil {
			t.Errorf("the second time it is %v, %v", again, err)
		}
	})
}

func TestWaitEndsTheTreeWithItsContext(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := task(t, stubborn)
	k := spawn(t, tb, s)
	pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 6)
	why := errors.New("that is enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	exit, err := k.Wait(ctx, 20*time.Millisecond)
	if !errors.Is(err, why) || exit.Signal != unix.SIGKILL {
		t.Errorf("exit %v, error %v", exit, err)
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}

func TestTasksOfADeadSupervisorAreFoundAndEnded(t *testing.T) {
	t.Parallel()
	for _, inCgroup := range []bool{false, true} {
		t.Run("in a cgroup "+strconv.FormatBool(inCgroup), func(t *testing.T) {
			t.Parallel()
			name, tb := "", newTable(t)
			if inCgroup {
				tb, name = inCgroups(t)
			}
			const daemon = `(setsid sh -c 'echo $$ >> pids; exec sleep 1000' &); echo $$ >> pids; exec sleep 1000`
			lives, over := task(t, daemon), task(t, daemon)
			f := startFormerWith(t, name, false, lives, over)
			pids := pidsIn(t, filepath.Join(lives.Dir, "pids"), 2)
			ended := pidsIn(t, filepath.Join(over.Dir, "pids"), 2)
			f.die(t)
			if err := tb.EndTask(t.Context(), over.Task, os.Geteuid(), 0); err != nil {
				t.Fatal(err)
			}
			tasks, err := tb.FindTasks(lives.Task, os.Geteuid())
			if err != nil || !slices.Equal(tasks, []string{lives.Task}) {
				t.Errorf("tasks %q, error %v, want %q", tasks, err, lives.Task)
			}
			for _, pid := range ended {
				if s, err := readStat(pid); err == nil && !s.dead() {
					t.Errorf("process %d is left", pid)
				}
			}
			for _, pid := range pids {
				if s, err := readStat(pid); err != nil || s.dead() {
					t.Errorf("process %d was ended, of another task", pid)
				}
			}
			if err := tb.EndTask(t.Context(), lives.Task, os.Geteuid(), time.Second); err != nil {
				t.Fatal(err)
			}
			if tasks, err := tb.FindTasks("/test/"+t.Name(), os.Geteuid()); err != nil || len(tasks) != 0 {
				t.Errorf("left are tasks %q, error %v", tasks, err)
			}
		})
	}
}

func TestEmptyCgroupsOfTasksAreRemovedAtTheNextStart(t *testing.T) {
	t.Parallel()
	tb, name := inCgroups(t)
	s, child := task(t, "exec sleep 1000"), sh(t, "exec sleep 1000")
	for _, s := range []Spec{s, child} {
		k := spawn(t, tb, s)
		if err := k.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		k.wait()
	}
	running := task(t, "exec sleep 1000")
	spawn(t, tb, running)
	next := newTable(t)
	if err := next.UseCgroups(name); err != nil {
		t.Fatal(err)
	}
	if tasks, err := next.FindTasks("/test/"+t.Name(), os.Geteuid()); err != nil || !slices.Equal(tasks, []string{running.Task}) {
		t.Errorf("tasks %q, error %v, want %q", tasks, err, running.Task)
	}
	if marks := next.FindCgroups(); !slices.Equal(marks, []string{child.Mark}) {
		t.Errorf("marks %q, want %q", marks, child.Mark)
	}
}

func TestSpecThatContradictsItselfIsRefused(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	f := unnamed(t)
	both := task(t, "exit 0")
	both.Mark = "root/one/1"
	extra := task(t, "exit 0")
	extra.Listener, extra.Extra = f, f
	closed := task(t, "exit 0")
	closed.Stdout = unnamed(t)
	closed.Stdout.Close()
	for want, s := range map[string]Spec{"Mark": both, "descriptor 3": extra, "hand output": closed} {
		if _, err := trySpawn(t, tb, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q in it", err, want)
		}
	}
}

// A step of a build must not cost a reading of the process table, which takes long where a thousand
// builds are served.
func TestWaitReadsTheProcessTableOnlyWhereItMust(t *testing.T) {
	t.Parallel()
	for script, reads := range map[string]bool{
		"exit 0": false,
		"setsid sleep 1000 & while [ $(cat /proc/$!/comm) != sleep ]; do :; done": true,
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			tb, _ := inCgroups(t)
			s := task(t, script)
			k := spawn(t, tb, s)
			<-k.Done()
			if canClone && k.leftNothing() == reads {
				t.Errorf("the process table is read: %v", !reads)
			}
			if exit, err := k.Wait(t.Context(), 0); err != nil || !exit.Clean() {
				t.Fatal(exit, err)
			}
			if tasks, err := tb.FindTasks(s.Task, os.Geteuid()); err != nil || len(tasks) != 0 {
				t.Errorf("left are %q, error %v", tasks, err)
			}
		})
	}
}
