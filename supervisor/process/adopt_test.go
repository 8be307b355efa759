package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAdoptedChildIsSupervisedAsItsOwn(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(map[bool]string{false: "", true: "old kernel"}[old], func(t *testing.T) {
			t.Parallel()
			s := sh(t, stubborn)
			f := startFormer(t, true, s)
			pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 6)
			slices.Sort(pids)
			f.die(t)

			tb := newTable(t)
			tb.noExitInfo = old
			tb.noGroupFlag.Store(old)
			k := f.adopt(t, tb, 0)
			if k.Pid() != f.children[0].Pid || k.StartTime() != f.children[0].Start {
				t.Errorf("adopted %d %d, want %+v", k.Pid(), k.StartTime(), f.children[0])
			}
			if _, ended := k.Exited(); ended {
				t.Error("it is said to have ended")
			}
			eventually(t, fmt.Sprintf("the tree to be %v", pids), func() bool {
				tree, err := k.Tree()
				return err == nil && slices.Equal(tree, pids)
			})
			if err := k.Signal(0); err != nil {
				t.Error(err)
			}
			if err := k.SignalTree(unix.SIGTERM); err != nil { // which it ignores
				t.Error(err)
			}
			k.end(50 * time.Millisecond)
			for _, pid := range pids {
				if s, err := readStat(pid); err == nil && !s.dead() {
					t.Errorf("process %d is left: %+v", pid, s)
				}
			}
			if _, ended := k.Exited(); !ended {
				t.Error("it has no exit")
			}
			if n := len(tb.watches); n != 0 {
				t.Errorf("%d watches are left", n)
			}
		})
	}
}

func TestAdoptedExitIsToldOnceAsFarAsItIsKnown(t *testing.T) {
	t.Parallel()
	const unknown = "ended, exit status unknown"
	const either = "as it was, or unknown" // who was quicker, we or the real parent?
	// As the kernel says it, where it can.
	canTell := func(want string) string {
		if kernelBefore(6, 15) || os.Getenv(onOldKernel) != "" {
			return either
		}
		return want
	}
	for name, c := range map[string]struct {
		script, want   string
		initReaps, old bool
	}{
		"exit code":      {"exit 7", canTell("exit code 7"), true, false},
		"clean":          {"exit 0", canTell("exit code 0"), true, false},
		"killed":         {"kill -9 $$", canTell("killed by SIGKILL"), true, false},
		"parent is slow": {"exit 7", "exit code 7", false, false},
		"killed, slowly": {"kill -9 $$", "killed by SIGKILL", false, false},
		"kernel is old":  {"exit 7", either, true, true},
		"both":           {"exit 7", "exit code 7", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A shell that runs its trap is sure to be past its start.
			s := sh(t, `trap '`+c.script+`' USR1; echo $$ > pids; while :; do sleep 0.01; done`)
			f := startFormer(t, c.initReaps, s)
			pidsIn(t, filepath.Join(s.Dir, "pids"), 1)
			f.die(t)
			tb := newTable(t)
			tb.noExitInfo = c.old
			k := f.adopt(t, tb, 0)
			if err := k.Signal(unix.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			e := k.wait()
			if c.want == either {
				if c.want = unknown; !e.Unknown {
					c.want = map[string]string{"exit 7": "exit code 7", "exit 0": "exit code 0", "kill -9 $$": "killed by SIGKILL"}[c.script]
				}
			}
			if e.String() != c.want || e.Unknown != (c.want == unknown) || e.Clean() != (c.want == "exit code 0") {
				t.Errorf("%+v (%v), want %s", e, e, c.want)
			}
			if late := time.Since(e.At); late > patience/2 {
				t.Errorf("told %v after it was seen", late)
			}
			if err := k.Signal(0); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal to the dead: %v", err)
			}
			k.end(0)
			if len(k.exits) != 0 {
				t.Error("exit was told twice")
			}
		})
	}
}

func kernelBefore(major, minor int) bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return true
	}
	var at [2]int
	n := 0
	for _, c := range u.Release {
		switch {
		case c >= '0' && c <= '9':
			at[n] = at[n]*10 + int(c-'0')
			continue
		case c == '.' && n == 0:
			n = 1
			continue
		}
		break
	}
	return at[0] < major || at[0] == major && at[1] < minor
}

func TestAdoptTakesNobodyElse(t *testing.T) {
	t.Parallel()
	long, dies := sh(t, "exec sleep 1000"), sh(t, "exec sleep 1000")
	worker := sh(t, "sleep 1000 & echo $! > pids; wait")
	f := startFormer(t, false, long, dies, worker)
	member := pidsIn(t, filepath.Join(worker.Dir, "pids"), 1)[0]
	f.die(t)
	if err := unix.Kill(f.children[1].Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a zombie", func() bool {
		s, err := readStat(f.children[1].Pid)
		return err == nil && s.dead()
	})
	memberStart, err := StartTime(member)
	if err != nil {
		t.Fatal(err)
	}
	tb := newTable(t)
	c := f.children[0]
	for name, a := range map[string]struct {
		pid   int
		start uint64
		mark  string
		want  error
	}{
		"a recycled pid":     {c.Pid, c.Start + 1, c.Mark, os.ErrProcessDone},
		"another's mark":     {c.Pid, c.Start, "other/build/1", ErrStranger},
		"a zombie":           {f.children[1].Pid, f.children[1].Start, dies.Mark, os.ErrProcessDone},
		"nobody":             {1 << 29, 1, "", os.ErrProcessDone},
		"pid 1":              {1, 0, "", os.ErrProcessDone},
		"everybody":          {0, 0, "", os.ErrProcessDone},
		"a worker of a tree": {member, memberStart, worker.Mark, ErrStranger},
	} {
		got, err := tb.Adopt(a.pid, a.start, a.mark, os.Geteuid(), func(Exit) { t.Errorf("%s: exit told", name) })
		if got != nil || !errors.Is(err, a.want) {
			t.Errorf("%s: %v, want %v", name, err, a.want)
		}
	}
	if s, err := readStat(c.Pid); err != nil || s.dead() {
		t.Error("the one that was asked about did not survive it")
	}
	if n := len(tb.watches); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

func TestAdoptedOwnChildHasItsTrueExit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"code":   {"exit 7", "exit code 7"},
		"signal": {"kill -9 $$", "killed by SIGKILL"},
	} {
		for _, dead := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " later", true: " before"}[dead], func(t *testing.T) {
				t.Parallel()
				s := sh(t, `while [ ! -e go ]; do sleep 0.01; done; `+c.script)
				before, err := NewTable("", nil)
				if err != nil {
					t.Fatal(err)
				}
				child, err := before.Spawn(s, func(Exit) { t.Error("a closed table told") })
				if err != nil {
					t.Fatal(err)
				}
				if err := before.Close(); err != nil {
					t.Fatal(err)
				}
				goOn := func() {
					if err := os.WriteFile(filepath.Join(s.Dir, "go"), nil, 0o600); err != nil {
						t.Error(err)
					}
				}
				if dead {
					goOn()
					eventually(t, "a zombie", func() bool {
						s, err := readStat(child.Pid())
						return err == nil && s.dead()
					})
				}
				tb := newTable(t)
				k, err := newKid(t, func(exited func(Exit)) (*Child, error) {
					return tb.Adopt(child.Pid(), child.StartTime(), s.Mark, os.Geteuid(), exited)
				})
				if err != nil {
					t.Fatal(err)
				}
				if !dead {
					goOn()
				}
				if e := k.wait(); e.String() != c.want || e.Unknown {
					t.Errorf("exit is %+v, want %s", e, c.want)
				}
				if !gone(child.Pid()) {
					t.Error("it was not waited for")
				}
				k.end(0)
			})
		}
	}
}

// Its workers go on when a master is killed, and nobody watched.
func TestRemainsOfADeadLeaderAreFoundAndEnded(t *testing.T) {
	t.Parallel()
	for _, byNumber := range []bool{true, false} {
		t.Run(map[bool]string{true: "", false: "birth not written down"}[byNumber], func(t *testing.T) {
			t.Parallel()
			s := sh(t, `
				trap '' TERM
				sh -c 'sleep 1000 & echo $! >> pids; wait; wait' &
				echo $! >> pids
				(setsid sh -c 'env -i /bin/sleep 1000 & echo $$ >> pids; echo $! >> pids; wait; wait' &)
				if [ `+map[bool]string{true: "1", false: "0"}[byNumber]+` = 1 ]; then env -i /bin/sleep 1000 & echo $! >> pids; fi
				wait; wait; wait`)
			f := startFormer(t, false, s)
			want := map[bool]int{true: 5, false: 4}[byNumber]
			pids := pidsIn(t, filepath.Join(s.Dir, "pids"), want)
			slices.Sort(pids)
			f.die(t)
			if err := unix.Kill(f.children[0].Pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			tb := newTable(t)
			c := f.children[0]
			if !byNumber {
				c.Pid, c.Start = 0, 0
			}
			eventually(t, "it cannot be adopted", func() bool {
				_, err := tb.Adopt(c.Pid, c.Start, c.Mark, os.Geteuid(), nil)
				return errors.Is(err, os.ErrProcessDone)
			})
			k := tb.Remains(c.Pid, c.Start, c.Mark, os.Geteuid())
			if e, ended := k.Exited(); !ended || !e.Unknown {
				t.Errorf("exit is %v %v, want an unknown one", e, ended)
			}
			if err := k.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal to the dead: %v", err)
			}
			// One that wipes its mark has it until then.
			eventually(t, fmt.Sprintf("the tree to be %v", pids), func() bool {
				tree, err := k.Tree()
				return err == nil && slices.Equal(tree, pids)
			})
			if err := k.SignalGroup(unix.SIGTERM); err != nil { // which they ignore, or not
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := k.End(ctx, 50*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			for _, pid := range pids {
				if s, err := readStat(pid); err == nil && !s.dead() {
					t.Errorf("process %d is left: %+v", pid, s)
				}
			}
		})
	}
}

func TestRemainsEndAlsoALeaderThatIsThere(t *testing.T) {
	t.Parallel()
	s := sh(t, stubborn)
	f := startFormer(t, false, s)
	pids := pidsIn(t, filepath.Join(s.Dir, "pids"), 6)
	f.die(t)
	for _, c := range []born{{0, 0, s.Mark}, f.children[0]} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := newTable(t).Remains(c.Pid, c.Start, c.Mark, os.Geteuid()).End(ctx, 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil && !s.dead() {
			t.Errorf("process %d is left: %+v", pid, s)
		}
	}
}

func TestRemainsSpareWhoeverHasTheNumberNow(t *testing.T) {
	t.Parallel()
	const mark = "root/build/1"
	ours := proc{stat: stat{pid: 20, pgrp: 10, session: 10, ppid: 1, start: 50, state: 'S', threads: 1}, tag: mark}
	wiped := proc{stat: stat{pid: 21, pgrp: 10, session: 10, ppid: 1, start: 51, state: 'S', threads: 1}}
	daemon := proc{stat: stat{pid: 30, pgrp: 30, session: 30, ppid: 1, start: 52, state: 'S', threads: 1}, tag: mark}
	recycled := proc{stat: stat{pid: 10, pgrp: 10, session: 10, ppid: 1, start: 99, state: 'S', threads: 1}}
	// Someone who copied the environment into a shell to look at what was wrong.
	shell := proc{stat: stat{pid: 40, pgrp: 40, session: 40, ppid: 1, start: 60, state: 'S', threads: 1}}
	copied := proc{stat: stat{pid: 41, pgrp: 41, session: 40, ppid: 40, start: 61, state: 'S', threads: 1}, tag: mark}
	for name, c := range map[string]struct {
		procs []proc
		want  []int
	}{
		"the group's members":          {[]proc{ours, wiped, daemon}, []int{20, 21, 30}},
		"a group without a mark":       {[]proc{wiped, daemon}, []int{30}},
		"the number is another's":      {[]proc{recycled, wiped, daemon}, []int{30}},
		"a shell that holds one of us": {[]proc{ours, shell, copied}, []int{20, 41}},
		"nobody":                       {nil, nil},
	} {
		tb := newTable(t)
		k := tb.Remains(10, 7, mark, 0)
		var got []int
		for _, p := range k.members(newSnapshot(c.procs), nil) {
			got = append(got, p.pid)
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// Adopt does no work for each process there is.
func BenchmarkAdopt1000(b *testing.B) {
	const n = 1000
	before, err := NewTable("", nil)
	if err != nil {
		b.Fatal(err)
	}
	children := make([]*Child, n)
	for i := range children {
		s := Spec{Argv: []string{"/bin/sleep", "1000000"}, Mark: "bench/adopt/" + strconv.Itoa(i)}
		if children[i], err = before.Spawn(s, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := before.Close(); err != nil {
		b.Fatal(err)
	}
	var last *Table
	adopted := make([]*Child, n)
	var took []time.Duration
	for b.Loop() {
		if last != nil {
			last.Close()
		}
		last = newTable(b)
		began := time.Now()
		found, err := last.FindMarked("bench/adopt/")
		if err != nil || len(found) != n {
			b.Fatal(len(found), err)
		}
		for i, c := range children {
			if adopted[i], err = last.Adopt(c.pid, c.start, c.tag, os.Geteuid(), nil); err != nil {
				b.Fatal(err)
			}
		}
		took = append(took, time.Since(began))
	}
	b.ReportMetric(median(took), "ms-find-and-adopt")
	b.ReportMetric(0, "ns/op")
	endAll(b, adopted)
}
