package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// strangers is a user that has nothing to do with us.
const strangers = 65102

// stranger starts a process of another user with an environment, whose parent is not us either, and
// returns its pid.
func stranger(t *testing.T, environ string) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to start a process of another user")
	}
	cmd := exec.Command("/bin/sh", "-c", "env -i "+environ+" setsid sleep 1000 & echo $!; wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: strangers, Gid: strangers}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Kill(pid, unix.SIGKILL) // it is there until its parent has waited
		cmd.Wait()
	})
	return pid
}

func TestProcessOfAnotherUserThatClaimsAMarkIsNoOneOfTheTree(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := sh(t, "exec sleep 1000")
	k := spawn(t, tb, s)
	pid := stranger(t, MarkKey+"="+s.Mark)
	// It is found, with what is no claim.
	eventually(t, "the mark in its environment", func() bool {
		found, err := tb.FindMarked(s.Mark)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(found, func(f Found) bool { return f.Pid == pid && f.User == strangers && f.Cgroup == "" })
	})
	if tree, err := k.Tree(); err != nil || !slices.Equal(tree, []int{k.Pid()}) {
		t.Errorf("the tree is %v, error %v, want %d alone", tree, err, k.Pid())
	}
	if err := k.SignalTree(unix.SIGTERM); err != nil {
		t.Error(err)
	}
	k.end(patience)
	// Nor does it hold anybody up where the main process has long ended.
	rest := kid{Child: tb.Remains(k.Pid(), k.StartTime(), s.Mark, os.Geteuid()), t: t}
	rest.end(0)
	if Dead(pid) {
		t.Error("somebody else's process was ended")
	}
}

func TestTaskThatAnotherUserClaimsToRunIsNone(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	name := "/test/" + t.Name() + "/1"
	pid := stranger(t, TaskKey+"="+name)
	eventually(t, "the task in its environment", func() bool {
		tasks, err := tb.FindTasks(name, strangers)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Equal(tasks, []string{name})
	})
	if tasks, err := tb.FindTasks(name, os.Geteuid()); err != nil || len(tasks) != 0 {
		t.Errorf("tasks %q, error %v", tasks, err)
	}
	if err := tb.EndTask(t.Context(), name, os.Geteuid(), 0); err != nil {
		t.Error(err)
	}
	if Dead(pid) {
		t.Error("somebody else's process was ended")
	}
}

func TestClaimIsBelievedOfTheTreesUserAndOfOurOwnChildrenAlone(t *testing.T) {
	t.Parallel()
	const mark, user = "root/build/1", 7
	carrier := func(pid, ppid, uid int) proc {
		return proc{stat: stat{pid: pid, pgrp: pid, session: pid, ppid: ppid, start: 50, state: 'S', threads: 1}, tag: mark, uid: uid}
	}
	quiet := carrier(20, 1, user)
	quiet.tag, quiet.cookie = "", cookieOf(mark)
	forger := carrier(21, 1, user+1)
	forger.tag, forger.cookie = "", cookieOf(mark)
	inGroup := carrier(22, 1, user+1)
	inGroup.pgrp, inGroup.session = 10, 10
	self := os.Getpid()
	for name, c := range map[string]struct {
		proc proc
		want bool
	}{
		"the tree's user":                      {carrier(20, 1, user), true},
		"another user":                         {carrier(20, 1, user+1), false},
		"root, of whom the tree is not":        {carrier(20, 1, 0), false},
		"a set-user-ID program":                {carrier(20, 1, nobodys), false},
		"our own child of another user":        {carrier(20, self, user+1), true},
		"a daemon with an empty environment":   {quiet, true},
		"another user's with the same limit":   {forger, false},
		"another user's in the recorded group": {inGroup, false},
		"another mark":                         {proc{stat: carrier(20, 1, user).stat, tag: mark + "0", uid: user}, false},
	} {
		k := newTable(t).Remains(10, 7, mark, user)
		got := k.members(newSnapshot([]proc{c.proc}), nil)
		if (len(got) == 1) != c.want {
			t.Errorf("%s: members %v", name, got)
		}
	}
}

func TestUserAndCookieAreReadFromProc(t *testing.T) {
	t.Parallel()
	for want, status := range map[int]string{
		1000:    "Name:\tsleep\nUid:\t1000\t1000\t1000\t1000\nGid:\t1\t1\t1\t1\n",
		0:       "Name:\tsleep\nUid:\t0\t0\t0\t0\n",
		nobodys: "Name:\tsudo\nUid:\t1000\t0\t0\t0\n",
	} {
		if got := uidIn([]byte(status)); got != want {
			t.Errorf("%q: user %d, want %d", status, got, want)
		}
	}
	for _, status := range []string{"", "Name:\ta\n", "Name:\ta\nUid:\t0\n", "Name:\ta\nUid:\tx\tx\tx\tx\n", "Name:\ta\nUid:\t4294967295\t4294967295\t4294967295\t4294967295\n"} {
		if got := uidIn([]byte(status)); got != nobodys {
			t.Errorf("%q: user %d", status, got)
		}
	}
	cookie := cookieOf("root/build/1")
	text := strconv.FormatUint(cookie, 10)
	for want, limits := range map[uint64]string{
		cookie: "Max address space         unlimited            unlimited            bytes     \nMax file locks            " + text + " " + text + " locks     \n",
		0:      "Max file locks            unlimited            unlimited            locks     \n",
	} {
		if got := cookieIn([]byte(limits)); got != want {
			t.Errorf("%q: %d, want %d", limits, got, want)
		}
	}
	for _, limits := range []string{"", "Max file locks", "Max file locks 5 5 locks\n"} {
		if got := cookieIn([]byte(limits)); got != 0 {
			t.Errorf("%q: %d", limits, got)
		}
	}
	if cookieOf("") != 0 || cookieOf("a") == cookieOf("b") {
		t.Error("cookies do not tell trees apart")
	}
}

// Without cgroups.
func TestDaemonThatEmptiedItsEnvironmentIsEndedWithItsTree(t *testing.T) {
	t.Parallel()
	const script = `(setsid env -i /bin/sh -c 'echo $$ > pid.new; mv pid.new pid; exec sleep 1000' &)
		while [ ! -e pid ]; do sleep 0.01; done`
	eachWay(t, func(t *testing.T, tb *Table) {
		step := task(t, script)
		if _, err := spawn(t, tb, step).Wait(t.Context(), patience); err != nil {
			t.Fatal(err)
		}
		server := sh(t, script)
		k := spawn(t, tb, server)
		k.wait()
		beside := sh(t, script+"; exec sleep 1000")
		neighbour := spawn(t, tb, beside)
		other := pidsIn(t, filepath.Join(beside.Dir, "pid"), 1)[0]
		k.end(time.Second)
		for what, dir := range map[string]string{"step": step.Dir, "server": server.Dir} {
			if pid := pidsIn(t, filepath.Join(dir, "pid"), 1)[0]; !gone(pid) {
				t.Errorf("the daemon of a %s is left: process %d", what, pid)
			}
		}
		if gone(other) {
			t.Error("the daemon of a neighbour was ended")
		}
		neighbour.end(0)
		if !gone(other) {
			t.Error("it was not ended with its own tree")
		}
	})
}

func TestCgroupThatAnotherUserMadeIsNotOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give folders away")
	}
	t.Parallel()
	tb := newTable(t)
	mount := fakeCgroups(t, tb)
	own := filepath.Join(mount, "ours", "medctrl-test")
	theirs := filepath.Join(mount, "user-65102", "medctrl-test")
	inOurs := filepath.Join(own, "root:one:2")
	for _, dir := range []string{theirs, filepath.Join(theirs, "root:one:1"), inOurs} {
		fakeFile(t, filepath.Join(dir, "cgroup.procs"), "4000000\n")
		if err := os.Chown(dir, strangers, strangers); err != nil {
			t.Fatal(err)
		}
	}
	for _, known := range [][]string{nil, {own, theirs}} {
		if err := tb.useCgroups(mount, own, known); err != nil {
			t.Fatal(err)
		}
		if got := tb.Cgroups(); !slices.Equal(got, []string{own}) {
			t.Errorf("cgroups are in %q with %q known", got, known)
		}
	}
	if got := tb.FindCgroups(); len(got) != 0 {
		t.Errorf("marks %q", got)
	}
	if got := tb.cgroups.members(); len(got) != 0 {
		t.Errorf("members %v", got)
	}
	for _, mark := range []string{"root/one/1", "root/one/2"} {
		if got := tb.cgroups.find(mark); got != "" {
			t.Errorf("cgroup of %s is %s", mark, got)
		}
	}
	if err := os.Chown(own, strangers, strangers); err != nil {
		t.Fatal(err)
	}
	if err := tb.useCgroups(mount, own, nil); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("error is %v", err)
	}
}

func TestStrangersThatHangInAnExecAreWaitedForTogether(t *testing.T) {
	t.Parallel()
	began := time.Now()
	asked := map[int]bool{}
	hang := make([]int, 1000)
	for i := range hang {
		hang[i] = i
	}
	untilExecuted(hang, func(i int) bool {
		asked[i] = true
		return i == 7
	})
	if took := time.Since(began); took > 100*execLimit || len(asked) != len(hang) {
		t.Errorf("it took %v, and %d were looked at", took, len(asked))
	}
}
