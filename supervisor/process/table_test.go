package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExitIsToldOnceWithItsCause(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		for _, c := range []struct {
			script, want string
			code         int
			sig          syscall.Signal
		}{
			{"exit 0", "exit code 0", 0, 0},
			{"exit 3", "exit code 3", 3, 0},
			{"kill -9 $$", "killed by SIGKILL", -1, unix.SIGKILL},
			{"kill -TERM $$", "killed by SIGTERM", -1, unix.SIGTERM},
			{"ulimit -c 0; kill -QUIT $$", "killed by SIGQUIT", -1, unix.SIGQUIT},
		} {
			k := spawn(t, tb, sh(t, c.script))
			e := k.wait()
			if e.String() != c.want || e.Code != c.code || e.Signal != c.sig || e.Clean() != (c.code == 0) || e.At.IsZero() {
				t.Errorf("%s: %+v (%v), want %s", c.script, e, e, c.want)
			}
			k.end(0)
			if got, ok := k.Exited(); !ok || got != e {
				t.Errorf("Exited is %v %v, want %v", got, ok, e)
			}
			if err := k.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal to the dead: %v", err)
			}
			if len(k.exits) != 0 {
				t.Error("exit was told twice")
			}
		}
	})
}

// Build steps run by os/exec next to the children: each side gets its own exits.
func TestChildrenOfOsExecAreLeftToIt(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if err := exec.Command("/bin/sh", "-c", "exit 5").Run(); err == nil || err.Error() != "exit status 5" {
					t.Errorf("os/exec got %v, want exit status 5", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				k, err := trySpawn(t, tb, sh(t, "exit 6"))
				if err != nil {
					t.Error(err)
					return
				}
				if e := <-k.exits; e.Code != 6 {
					t.Errorf("got %v, want exit code 6", e)
				}
			}
		})
	}
	wg.Wait()
}

func TestManyChildrenNeedNoThreads(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	var wg sync.WaitGroup
	kids := make([]kid, 60)
	for i := range kids {
		wg.Go(func() { kids[i] = spawn(t, tb, Spec{Argv: []string{"/bin/sleep", "1000"}}) })
	}
	wg.Wait()
	if n := threads(t); n > 40 { // other tests run concurrently
		t.Errorf("%d threads with 60 children", n)
	}
	for _, k := range kids {
		if err := k.Signal(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	for _, k := range kids {
		if e := k.wait(); e.Signal != unix.SIGKILL {
			t.Error(e)
		}
	}
}

func threads(t testing.TB) int {
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	return s.threads
}

func TestCloseLeavesChildrenAlone(t *testing.T) {
	t.Parallel()
	tb, err := NewTable("", nil)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan Exit, 1)
	c, err := tb.Spawn(Spec{Argv: []string{"/bin/sleep", "1000"}}, func(e Exit) { told <- e })
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Close(); err != nil {
		t.Fatal(err)
	}
	if start, err := StartTime(c.Pid()); err != nil || start != c.StartTime() {
		t.Errorf("child is gone: %v", err)
	}
	if _, err := tb.Spawn(Spec{Argv: []string{"/bin/true"}}, nil); !errors.Is(err, errClosed) {
		t.Errorf("spawn from a closed table: %v", err)
	}
	if err := c.End(context.Background(), 0); !errors.Is(err, errClosed) {
		t.Errorf("end from a closed table: %v", err)
	}
	unix.Kill(c.Pid(), unix.SIGKILL) // not waited for yet
	unix.Wait4(c.Pid(), nil, 0, nil)
	if len(told) != 0 {
		t.Error("exit was told after Close")
	}
}

func TestFindMarkedFindsByPrefix(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `sleep 1000 & echo $! > pids; setsid sleep 1000 & wait`)
	k := spawn(t, tb, s)
	sleeper := pidsIn(t, filepath.Join(s.Dir, "pids"), 1)[0]
	eventually(t, "three marked processes", func() bool {
		found, err := tb.FindMarked(s.Mark[:len(s.Mark)-3])
		if err != nil {
			t.Fatal(err)
		}
		pids := map[int]Found{}
		for _, f := range found {
			if f.Mark != s.Mark {
				t.Errorf("mark is %q, want %q", f.Mark, s.Mark)
			}
			pids[f.Pid] = f
		}
		return len(found) == 3 && pids[k.Pid()].StartTime == k.StartTime() && pids[sleeper].Group == k.Pid()
	})
	if found, err := tb.FindMarked("no/such/mark/"); err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
}

// It has no environment for a moment in each exec: a supervisor that comes then must not miss it.
func TestFindMarkedFindsWhoIsAlwaysInTheMiddleOfAnExec(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `echo 'exec /bin/sh "$0"' > again; exec /bin/sh ./again`)
	k := spawn(t, tb, s)
	for range 100 {
		var r procReader // one that has seen nothing yet, as at a start
		snap, err := r.read()
		if err != nil {
			t.Fatal(err)
		}
		if all := snap.byTag[s.Mark]; len(all) != 1 || snap.procs[all[0]].pid != k.Pid() {
			t.Fatalf("found %d processes with its mark", len(all))
		}
	}
}

func TestBootIDIsStable(t *testing.T) {
	t.Parallel()
	a, err := BootID()
	b, err2 := BootID()
	if err != nil || err2 != nil || a != b || len(a) != 36 {
		t.Errorf("%q %v, %q %v", a, err, b, err2)
	}
	if _, err := StartTime(1 << 29); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("start time of nobody: %v", err)
	}
}
