package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestExitIsSaidInWords(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]Exit{
		"exit code 3":                     {Code: 3},
		"killed by SIGKILL":               {Code: -1, Signal: unix.SIGKILL},
		"killed by SIGABRT (core dumped)": {Code: -1, Signal: unix.SIGABRT, Core: true},
		"killed by signal 250":            {Code: -1, Signal: syscall.Signal(250)},
		"ended, exit status unknown":      {Code: -1, Unknown: true},
	} {
		if got := e.String(); got != want || e.Clean() {
			t.Errorf("%+v is %q, want %q; clean is %v", e, got, want, e.Clean())
		}
	}
}

func TestWhatAChildCouldNotDoIsSaid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fakeFile(t, filepath.Join(dir, "script"), "#!/no/such/interpreter\n")
	img := &image{path: "./script", spec: Spec{Dir: dir, User: &Credential{UID: 7, GID: 8}}}
	for _, c := range []struct {
		at    step
		errno syscall.Errno
		want  string
	}{
		{stepSession, unix.EPERM, "new session"},
		{stepGroups, unix.EPERM, "only root may"},
		{stepUser, unix.EAGAIN, "become user 7, group 8"},
		{stepLimits, unix.EPERM, "enter the cgroup of its limits: operation not permitted"},
		{stepRlimits, unix.EINVAL, "set its limits: invalid argument"},
		{stepPrivs, unix.EINVAL, "give up privileges"},
		{stepDir, unix.ENOENT, "enter folder " + dir},
		{stepFiles, unix.EBADF, "its files"},
		{stepSetup, unix.EINVAL, "exec step"},
		{stepExec, unix.ENOENT, "#! line"},
		{stepExec, unix.EACCES, "execute ./script"},
	} {
		err := img.failure(c.at, c.errno)
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q in it", err, c.want)
		}
	}
}

func TestAgeAndDeathOfAProcess(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	k := spawn(t, tb, sh(t, "exec sleep 1000"))
	if age := k.Age(); age < 0 || age > time.Minute {
		t.Errorf("it is %v old", age)
	}
	if Dead(k.Pid()) {
		t.Error("it is dead")
	}
	if err := k.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-k.Done()
	if !Dead(k.Pid()) {
		t.Error("it is not dead")
	}
	if err := k.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// Who cannot be watched, for want of descriptors say, is looked at again and again.
func TestProcessThatCannotBeWatchedIsWaitedFor(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	k := spawn(t, tb, sh(t, "exec sleep 1000"))
	running := []*watch{{done: make(chan struct{})}}
	due := make(chan time.Time, 1)
	ending := func() *ending { return &ending{Child: k.Child, unseen: time.Millisecond} }
	for _, watched := range [][]*watch{nil, running} {
		e := ending()
		if e.wait(t.Context(), watched, true, nil) || e.unseen != 2*time.Millisecond {
			t.Errorf("all have ended, the next look is in %v", e.unseen)
		}
		e = ending()
		e.unseen = time.Hour
		due <- time.Time{}
		if e.wait(t.Context(), watched, true, due) || !e.killing {
			t.Error("the time to kill was missed")
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		e = ending()
		e.unseen = time.Hour
		if e.wait(over, watched, true, nil) {
			t.Error("the end of the context was missed")
		}
	}
}

func TestClosedTableRefuses(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, "exec sleep 1000")
	k, err := tb.Spawn(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := newTable(t).Remains(k.Pid(), k.StartTime(), s.Mark, os.Geteuid()).End(context.Background(), 0); err != nil {
			t.Error(err)
		}
		unix.Wait4(k.Pid(), nil, 0, nil) // our own child; it may have been reaped as an orphan
	})
	tb.Close()
	_, spawned := tb.Spawn(s, nil)
	_, adopted := tb.Adopt(k.Pid(), k.StartTime(), s.Mark, os.Geteuid(), nil)
	_, found := tb.FindMarked(s.Mark)
	_, tasks := tb.FindTasks("", os.Geteuid())
	_, tree := k.Tree()
	_, usage := tb.Usage(t.Context(), []*Child{k})
	for what, err := range map[string]error{
		"Spawn": spawned, "Adopt": adopted, "FindMarked": found, "FindTasks": tasks, "Tree": tree, "Usage": usage,
		"Signal": k.Signal(unix.SIGTERM), "SignalTree": k.SignalTree(0), "EndTask": tb.EndTask(t.Context(), "/one", os.Geteuid(), 0),
	} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if Dead(k.Pid()) {
		t.Error("the child has ended with the table")
	}
}

// Not in parallel: the limit is the whole program's.
func TestLimitThatGoRaisedIsFoundForChildren(t *testing.T) {
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	for _, c := range []struct {
		below uint64 // the hard limit
		found bool
	}{{0, false}, {1, true}, {2, false}} {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: was.Max - c.below, Max: was.Max}); err != nil {
			t.Fatal(err)
		}
		if limit, err := inheritedNofile(); err != nil || (limit != nil) != c.found {
			t.Errorf("%d below the hard one: %v, error %v", c.below, limit, err)
		}
	}
}
