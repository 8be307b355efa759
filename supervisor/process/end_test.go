package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn is a tree of five that ignores SIGTERM: a child, a worker, a worker's child, a daemon in
// a session of its own whose parent is gone, and one that has wiped its environment.
const stubborn = `
	trap '' TERM
	sh -c 'sleep 1000 & echo $! >> pids; wait; wait' &
	echo $! >> pids
	(setsid sh -c 'sleep 1000 & echo $$ >> pids; echo $! >> pids; wait; wait' &)
	env -i setsid /bin/sleep 1000 &
	echo $! >> pids
	echo $$ >> pids
	wait; wait; wait`

func TestEndTakesTheWholeTree(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, stubborn)
		k := spawn(t, tb, s)
		pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 6)
		slices.Sort(pids)
		tree, err := k.Tree()
		if err != nil || !slices.Equal(tree, pids) {
			t.Errorf("tree is %v (%v), want %v", tree, err, pids)
		}
		k.end(50 * time.Millisecond)
		for _, pid := range pids {
			if !gone(pid) {
				st, err := readStat(pid)
				t.Errorf("process %d is left: %+v, %v", pid, st, err)
			}
		}
		if e, ok := k.Exited(); !ok || e.Signal != unix.SIGKILL {
			t.Errorf("exit is %v %v, want a kill", e, ok)
		}
		if n := len(tb.watches); n != 0 {
			t.Errorf("%d watches are left", n)
		}
	})
}

func TestEndTakesWhatADeadChildLeft(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(map[bool]string{false: "", true: "kernel without group flag"}[old], func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			tb.noGroupFlag.Store(old)
			s := sh(t, stubborn)
			k := spawn(t, tb, s)
			pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 6)
			if err := k.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			k.wait()
			if old { // as if the exit were long past
				k.mu.Lock()
				k.Child.exit.At = time.Now().Add(-time.Hour)
				k.mu.Unlock()
			}
			k.end(20 * time.Millisecond)
			for _, pid := range pids {
				// The one without a mark lost its parent: nothing tells whose it is.
				if !gone(pid) && !unmarkedOrphan(t, pid) {
					t.Errorf("process %d is left", pid)
				}
			}
		})
	}
}

// unmarkedOrphan ends it, too.
func unmarkedOrphan(t *testing.T, pid int) bool {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || len(environ) > 0 {
		return false
	}
	unix.Kill(pid, unix.SIGKILL)
	unix.Wait4(pid, nil, 0, nil)
	return true
}

func TestEndIsOverWhenTheTreeIs(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `
			trap 'echo bye > finished; exit 0' TERM
			sh -c 'trap "echo bye > worker; exit 0" TERM; echo $$ > pids; while :; do sleep 0.01; done' &
			while :; do sleep 0.01; done`)
		k := spawn(t, tb, s)
		pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
		if took := k.end(patience); took > patience/2 {
			t.Errorf("took %v", took)
		}
		for _, name := range []string{"finished", "worker"} {
			if _, err := os.Stat(filepath.Join(s.Dir, name)); err != nil {
				t.Errorf("not ended gracefully: %v", err)
			}
		}
		if e := k.wait(); !e.Clean() {
			t.Errorf("exit is %v, want a clean one", e)
		}
	})
}

// A process with a signal of its own sees to its workers, as celery does: they finish their tasks, and
// it is asked once, as twice means at once. What it leaves behind is asked when it has ended.
func TestStopSignalIsForTheChildAlone(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `
			trap 'echo told >> told' USR1
			trap 'echo wrong >> told' TERM
			sh -c 'trap "echo told > worker" USR1; trap "echo wrong > worker" TERM; echo $$ >> pids; until [ -e go ]; do sleep 0.01; done; echo bye > finished' &
			worker=$!
			setsid python3 -c 'import os, signal, time
signal.signal(signal.SIGUSR1, lambda *_: (open("left", "w").close(), os._exit(0)))
print(os.getpid(), file=open("pids", "a"), flush=True)
while True: time.sleep(1)' &
			while kill -0 $worker; do wait $worker; done
			[ ! -e left ] || echo early >> told`)
		s.StopSignal = unix.SIGUSR1
		k := spawn(t, tb, s)
		pidsIn(t, filepath.Join(s.Dir, "pids"), 2)
		for range 2 {
			if err := k.Ask(); err != nil {
				t.Fatal(err)
			}
		}
		ended := make(chan time.Duration)
		go func() { ended <- k.end(patience) }()
		eventually(t, "it is told", func() bool { return len(lines(t, filepath.Join(s.Dir, "told"))) > 0 })
		if err := os.WriteFile(filepath.Join(s.Dir, "go"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if took := <-ended; took > patience/2 {
			t.Errorf("took %v", took)
		}
		if told := lines(t, filepath.Join(s.Dir, "told")); !slices.Equal(told, []string{"told"}) {
			t.Errorf("it was told %q, want once", told)
		}
		for name, want := range map[string]bool{"worker": false, "finished": true, "left": true} {
			if _, err := os.Stat(filepath.Join(s.Dir, name)); (err == nil) != want {
				t.Errorf("%s: %v, want it: %v", name, err, want)
			}
		}
	})
}

func TestStoppedTreeFinishesWhatItHolds(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `
		trap 'echo bye > finished; exit 0' TERM
		(setsid sh -c 'trap "echo bye > daemon; exit 0" TERM; echo $$ >> pids; while :; do sleep 0.01; done' &)
		echo $$ >> pids
		while :; do sleep 0.01; done`)
	k := spawn(t, tb, s)
	pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 2)
	if err := k.SignalTree(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		eventually(t, "it is stopped", func() bool {
			s, err := readStat(pid)
			// A shell may be waiting for a child that was stopped before its exec (vfork).
			return err == nil && (s.state == 'T' || s.state == 'D')
		})
	}
	if took := k.end(patience); took > patience/2 {
		t.Errorf("took %v", took)
	}
	for _, name := range []string{"finished", "daemon"} {
		if _, err := os.Stat(filepath.Join(s.Dir, name)); err != nil {
			t.Errorf("not ended gracefully: %v", err)
		}
	}
}

func TestOrphansGetTheGroupsSignal(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(map[bool]string{false: "", true: "kernel without group flag"}[old], func(t *testing.T) {
			t.Parallel()
			tb := newTable(t)
			tb.noGroupFlag.Store(old)
			s := sh(t, `sh -c 'trap "echo bye > finished; exit 0" TERM; echo $$ > pids; while :; do sleep 0.01; done' & wait`)
			k := spawn(t, tb, s)
			pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
			if err := k.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			k.wait()
			if err := k.SignalGroup(unix.SIGTERM); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the orphan finished", func() bool {
				_, err := os.Stat(filepath.Join(s.Dir, "finished"))
				return err == nil
			})
			k.end(patience)
			if err := k.SignalGroup(unix.SIGTERM); err != nil {
				t.Errorf("signal to an empty group: %v", err)
			}
		})
	}
}

// A group's number goes to someone else when the group is gone.
func TestRecycledGroupIsNotSignalled(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	stranger := spawn(t, tb, Spec{Argv: []string{"/bin/sleep", "1000"}})
	k := spawn(t, tb, sh(t, "exit 0"))
	k.wait()
	eventually(t, "the exit is taken", func() bool { _, ok := k.Exited(); return ok })
	// As if the number had come to the stranger.
	k.mu.Lock()
	k.Child.pid = stranger.pid
	k.mu.Unlock()
	for _, at := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
		k.mu.Lock()
		k.Child.exit.At = at
		k.mu.Unlock()
		if err := k.SignalGroup(unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	k.end(0)
	if _, ended := stranger.Exited(); ended || gone(stranger.pid) {
		t.Error("a stranger was killed")
	}
}

func TestEndGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `trap '' TERM; echo $$ > pids; while :; do sleep 0.01; done`)
	k := spawn(t, tb, s)
	pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := k.End(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want the context's", err)
	}
	if gone(k.Pid()) {
		t.Error("it was killed all the same")
	}
	k.end(0)
}

func TestManyEndsShareTheReadingOfTheProcessTable(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	kids := make([]kid, 40)
	for i := range kids {
		kids[i] = spawn(t, tb, Spec{Argv: []string{"/bin/sleep", "1000"}, Mark: "test/many"})
	}
	var wg sync.WaitGroup
	for _, k := range kids {
		wg.Go(func() { k.end(patience) })
	}
	wg.Wait()
	tb.scans.mu.Lock()
	defer tb.scans.mu.Unlock()
	if tb.scans.reads > len(kids) {
		t.Errorf("the process table was read %d times for %d trees", tb.scans.reads, len(kids))
	}
}

func TestOrphanThatDiedBetweenIsReaped(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `(setsid sh -c 'echo $$ > pids; exec sleep 1000' &); wait; exec sleep 1000`)
	k := spawn(t, tb, s)
	daemon := pidsIn(t, filepath.Join(s.Dir, "pids"), 1)[0]
	eventually(t, "the daemon is ours", func() bool {
		st, err := readStat(daemon)
		return err == nil && st.ppid == os.Getpid()
	})
	unix.Kill(daemon, unix.SIGKILL)
	seen := map[procID]time.Time{}
	eventually(t, "the zombie is gone", func() bool {
		tb.sweepOnce(context.Background(), seen, 10*time.Millisecond)
		return gone(daemon)
	})
	k.end(0)
}

func TestEndNeedsNoCPUWhileItWaits(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, `trap '' TERM; echo $$ > pids; sleep 1000 & wait; wait`)
	k := spawn(t, tb, s)
	pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
	k.end(300 * time.Millisecond)
	tb.scans.mu.Lock()
	defer tb.scans.mu.Unlock()
	if tb.scans.reads > 6 {
		t.Errorf("the process table was read %d times for one tree", tb.scans.reads)
	}
}
