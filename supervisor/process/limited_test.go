package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// Real limits, by the cgroups that the machine has: v1 where it mounts those, else v2.

// limited makes a table whose children can have such limits.
func limited(t testing.TB, want limits.Limits) *Table {
	t.Helper()
	tb := newTable(t)
	name := "medctrl-test-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := tb.UseCgroups(name); err != nil {
		t.Log(err) // those of v1 may be there
	}
	group, _, err := tb.room.Make(want, "probe/"+name, probeCgroup(tb, name), "")
	if err != nil {
		t.Skip("limits need cgroups that can be written: ", err)
	}
	if err := group.Remove(); err != nil {
		t.Fatal(err)
	}
	if dir := tb.cgroups.find("probe/" + name); dir != "" {
		if err := removeCgroup(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if left := leftOf(name); len(left) > 0 && !t.Failed() {
			t.Errorf("left are %q", left)
		}
	})
	t.Cleanup(func() { tb.Close() })
	return tb
}

func probeCgroup(tb *Table, name string) string {
	dir, err := tb.cgroups.make("probe/"+name, "")
	if err != nil {
		return ""
	}
	return dir
}

// leftOf finds the cgroups below folders called name.
func leftOf(name string) []string {
	var left []string
	for _, pattern := range []string{"/sys/fs/cgroup/*", "/sys/fs/cgroup/*/*", "/sys/fs/cgroup/*/*/*", "/sys/fs/cgroup/*/*/*/*"} {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err == nil {
			left = append(left, found...)
		}
	}
	return left
}

// acting is this program in another role (TestMain).
func acting(t testing.TB, what string) Spec {
	s := sh(t, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.Argv = []string{self, what}
	return s
}

// eatMemory uses more and more of it.
func eatMemory([]string) error {
	for all := [][]byte{}; ; {
		more := make([]byte, 1<<20)
		for i := 0; i < len(more); i += 4096 {
			more[i] = 1
		}
		all = append(all, more)
		if len(all) > 4096 {
			return fmt.Errorf("%d MiB, and nobody has stopped it", len(all))
		}
	}
}

// burnCPU never rests.
func burnCPU([]string) error {
	for i := 0; ; i++ {
		if i < 0 {
			return nil
		}
	}
}

const mib = 1 << 20

func TestTreeThatEatsMemoryIsKilledAndItsNeighbourIsNot(t *testing.T) {
	t.Parallel()
	for _, stepOnly := range []bool{false, true} {
		t.Run(map[bool]string{false: "clone", true: "exec step"}[stepOnly], func(t *testing.T) {
			t.Parallel()
			want := limits.Limits{Memory: 48 * mib}
			tb := limited(t, want)
			tb.stepOnly = tb.stepOnly || stepOnly
			neighbour := sh(t, "exec sleep 1000")
			neighbour.Limits = want
			beside := spawn(t, tb, neighbour)
			s := acting(t, "eat")
			s.Limits = want
			k := spawn(t, tb, s)
			if e := k.wait(); e.String() != "killed by the kernel: out of memory (limit 48M)" {
				t.Errorf("it ended with %q", e)
			}
			if n := k.OOMKills(); n < 1 {
				t.Errorf("%d kills are counted", n)
			}
			k.end(0)
			if n := k.OOMKills(); n < 1 {
				t.Errorf("%d kills are counted once it has ended", n)
			}
			if _, ended := beside.Exited(); ended || beside.OOMKills() != 0 {
				t.Error("its neighbour was killed too")
			}
			// A kill by hand is not the kernel's.
			if err := beside.Signal(unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if e := beside.wait(); e.String() != "killed by SIGKILL" {
				t.Errorf("the neighbour ended with %q", e)
			}
			beside.end(0)
		})
	}
}

func TestOOMKillOfAMemberIsCounted(t *testing.T) {
	t.Parallel()
	tb := limited(t, limits.Limits{Memory: 48 * mib})
	s := acting(t, "eat")
	s.Argv = []string{"/bin/sh", "-c", s.Argv[0] + ` eat; exec sleep 1000`}
	s.Limits.Memory = 48 * mib
	k := spawn(t, tb, s)
	eventually(t, "the kill", func() bool { return k.OOMKills() > 0 })
	if _, v1 := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); v1 == nil {
		if err := k.Signal(unix.SIGKILL); err != nil { // what was told of is not taken for the reason of another end
			t.Fatal(err)
		}
		if e := k.wait(); e.String() != "killed by SIGKILL" {
			t.Errorf("it ended with %q", e)
		}
	} else if e := k.wait(); e.Signal != unix.SIGKILL { // half of a tree does not go on
		t.Errorf("it ended with %q", e)
	}
	k.end(0)
}

func TestTreeThatForksWithoutEndStaysWithinItsTasks(t *testing.T) {
	t.Parallel()
	const tasks = 12
	tb := limited(t, limits.Limits{Tasks: tasks})
	// Each of them leaves session, group and environment.
	s := sh(t, `while :; do env -i setsid /bin/sleep 1000 2>/dev/null & done`)
	s.Limits.Tasks = tasks
	k := spawn(t, tb, s)
	eventually(t, "as many processes as may be", func() bool {
		tree, err := k.Tree()
		if err != nil {
			t.Fatal(err)
		}
		if len(tree) > tasks {
			t.Fatalf("it has %d processes", len(tree))
		}
		return len(tree) >= tasks-2
	})
	k.end(0)
	if tree, err := k.Tree(); err != nil || len(tree) > 0 {
		t.Errorf("%v are left (%v)", tree, err)
	}
}

func TestTreeThatBurnsTheProcessorGetsItsShareAlone(t *testing.T) {
	t.Parallel()
	const share, burnt = 0.2, 300 * time.Millisecond
	tb := limited(t, limits.Limits{CPU: share})
	s := acting(t, "burn")
	s.Limits.CPU = share
	began := time.Now()
	k := spawn(t, tb, s)
	eventually(t, "some work", func() bool {
		used, err := tb.Usage(t.Context(), []*Child{k.Child})
		return err == nil && used[0].CPU >= burnt
	})
	// A busy machine makes it longer.
	if took, least := time.Since(began), time.Duration(float64(burnt)/share)*7/10; took < least {
		t.Errorf("%v of the processor took %v, want at least %v", burnt, took, least)
	}
	k.end(0)
}

func TestLimitsChangeWhileTheTreeRuns(t *testing.T) {
	t.Parallel()
	tb := limited(t, limits.Limits{Tasks: 2, Memory: 48 * mib})
	s := sh(t, `until [ -e more ]; do :; done; sleep 0 | sleep 0 | sleep 0 && exit 7`) // a shell that may not fork exits with 2
	s.Limits = limits.Limits{Tasks: 2, Memory: 48 * mib}
	k := spawn(t, tb, s)
	if err := k.SetLimits(limits.Limits{Tasks: 20, Memory: 64 * mib, CPU: 0.5}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if e := k.wait(); e.Code != 7 {
		t.Errorf("it ended with %v", e)
	}
	if got := k.OutOfMemory().String(); got != "out of memory (limit 64M)" {
		t.Error(got)
	}
	k.end(0)
}

func TestLimitsHoldAfterTheDeathOfTheirSupervisor(t *testing.T) {
	t.Parallel()
	want := limits.Limits{Tasks: 5, Memory: 48 * mib}
	before := limited(t, want)
	s := sh(t, `until [ -e more ]; do sleep 0.01; done; exec "$SELF" eat`)
	s.Env = append(s.Env, "SELF="+acting(t, "").Argv[0])
	s.Limits = want
	k := spawn(t, before, s)
	name := filepath.Base(before.roomName())
	// Another table stands in for the next supervisor.
	next := newTable(t)
	if err := next.UseCgroups(name); err != nil {
		t.Log(err)
	}
	start := k.StartTime()
	after, err := newKid(t, func(exited func(Exit)) (*Child, error) {
		return next.Adopt(k.Pid(), start, s.Mark, os.Geteuid(), exited)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := after.SetLimits(limits.Limits{Tasks: 6, Memory: 64 * mib}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if e := k.wait(); e.Signal != unix.SIGKILL {
		t.Errorf("it ended with %v", e)
	}
	if e := after.wait(); e.String() != "killed by the kernel: out of memory (limit 64M)" { // nobody may know its exit status
		t.Errorf("the next supervisor says that it ended with %q", e)
	}
	if n := after.OOMKills(); n < 1 {
		t.Errorf("%d kills are counted", n)
	}
	if err := after.End(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
}

// roomName is the name of the folder of the table's cgroups.
func (t *Table) roomName() string { return t.room.Name() }

// pooled starts trees that may use l together, and each as much if it has no limits of its own.
func pooled(t *testing.T, tb *Table, l limits.Limits, specs ...Spec) []kid {
	t.Helper()
	name := "pool" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := tb.Bound(name, l); err != nil {
		t.Fatal(err)
	}
	var all []kid
	for i, s := range specs {
		s.Mark, s.Within = fmt.Sprintf("test/%s/%d", name, i), name
		if s.Limits == (limits.Limits{}) {
			s.Limits = l
		}
		all = append(all, spawn(t, tb, s))
	}
	return all
}

func TestTreeThatEatsMemoryOfAPoolIsKilledAndTheOthersAreNot(t *testing.T) {
	t.Parallel()
	want := limits.Limits{Memory: 64 * mib}
	tb := limited(t, want)
	holds := sh(t, `(head -c 12000000 /dev/zero; sleep 1000) | tail -c 12000000`)
	eats := sh(t, `until [ -e begin ]; do sleep 0.01; done; exec "$SELF" eat`)
	eats.Env = append(eats.Env, "SELF="+acting(t, "").Argv[0])
	holds.Limits.Memory, eats.Limits.Memory = 512*mib, 512*mib
	all := pooled(t, tb, want, holds, eats)
	eventually(t, "what it holds", func() bool {
		used, err := tb.Usage(t.Context(), []*Child{all[0].Child})
		return err == nil && used[0].Memory >= 12_000_000
	})
	if err := os.WriteFile(filepath.Join(eats.Dir, "begin"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if e := all[1].wait(); e.OOM == nil {
		t.Errorf("it ended with %q", e)
	}
	if _, ended := all[0].Exited(); ended || all[0].OOMKills() != 0 || all[1].OOMKills() < 1 {
		t.Errorf("its neighbour ended: %v; kills: %d and %d", ended, all[0].OOMKills(), all[1].OOMKills())
	}
	for _, k := range all {
		k.end(0)
	}
}

func TestTreesOfAPoolHaveTheirTasksTogether(t *testing.T) {
	t.Parallel()
	want := limits.Limits{Tasks: 12}
	tb := limited(t, want)
	bomb := `while :; do env -i setsid /bin/sleep 1000 2>/dev/null & done`
	all := pooled(t, tb, want, sh(t, bomb), sh(t, bomb))
	count := func() (n int) {
		for _, k := range all {
			tree, err := k.Tree()
			if err != nil {
				t.Fatal(err)
			}
			n += len(tree)
		}
		return n
	}
	eventually(t, "as many processes as may be", func() bool {
		n := count()
		if n > int(want.Tasks) {
			t.Fatalf("they have %d processes", n)
		}
		return n >= int(want.Tasks)-3
	})
	// With twice as much there is room for another one, as beside a generation that is replaced.
	name := all[0].within()
	if err := tb.Bound(name, want.Twice()); err != nil {
		t.Fatal(err)
	}
	next := sh(t, "sleep 0 | sleep 0 && exit 7")
	next.Mark, next.Limits, next.Within = "test/"+name+"/next", want, name
	if e := spawn(t, tb, next).wait(); e.Code != 7 && e.Code != 2 { // 2: the others were quicker
		t.Errorf("it ended with %v", e)
	}
	for _, k := range all {
		k.end(0)
	}
}

// within is the pool that it was started in.
func (k kid) within() string { return strings.Split(k.tag, "/")[1] }

func TestTreesOfAPoolHaveTheirProcessorTogether(t *testing.T) {
	t.Parallel()
	const share, burnt = 0.2, 300 * time.Millisecond
	want := limits.Limits{CPU: share}
	tb := limited(t, want)
	began := time.Now()
	all := pooled(t, tb, want, acting(t, "burn"), acting(t, "burn"))
	eventually(t, "some work", func() bool {
		used, err := tb.Usage(t.Context(), []*Child{all[0].Child, all[1].Child})
		return err == nil && used[0].CPU+used[1].CPU >= burnt
	})
	if took, least := time.Since(began), time.Duration(float64(burnt)/share)*7/10; took < least {
		t.Errorf("%v of the processor took %v, want at least %v", burnt, took, least)
	}
	// Less for all of them begins with each.
	for _, l := range []float64{0.1, 0.3} {
		less := limits.Limits{CPU: l}
		err := tb.Bound(all[0].within(), less)
		if err != nil && !strings.Contains(err.Error(), "it applies when that has ended") { // v1, as long as one in it has more
			t.Error(err)
		}
		// Another one is started all the same.
		beside := sh(t, "exit 7")
		beside.Mark, beside.Limits, beside.Within = fmt.Sprint("test/", all[0].within(), "/", l), less, all[0].within()
		if e := spawn(t, tb, beside).wait(); e.Code != 7 {
			t.Errorf("it ended with %v", e)
		}
		for _, k := range all {
			if err := k.SetLimits(less); err != nil {
				t.Error(err)
			}
		}
		if err := tb.Bound(all[0].within(), less); err != nil {
			t.Error(err)
		}
	}
	for _, k := range all {
		k.end(0)
	}
}

// Its pool is found again by the next supervisor, which can change what all in it may use.
func TestPoolOutlivesItsSupervisor(t *testing.T) {
	t.Parallel()
	want := limits.Limits{Tasks: 5}
	before := limited(t, want)
	forks := sh(t, `until [ -e more ]; do :; done; sleep 0 | sleep 0 | sleep 0 | sleep 0 | sleep 0 && touch done`)
	all := pooled(t, before, want, forks, sh(t, "exec sleep 1000"))
	next := newTable(t)
	if err := next.UseCgroups(before.roomName()); err != nil {
		t.Log(err)
	}
	var adopted []kid
	for _, k := range all {
		after, err := newKid(t, func(exited func(Exit)) (*Child, error) {
			return next.Adopt(k.Pid(), k.StartTime(), k.tag, os.Geteuid(), exited)
		})
		if err != nil {
			t.Fatal(err)
		}
		adopted = append(adopted, after)
	}
	more := limits.Limits{Tasks: 20}
	if err := next.Bound(all[0].within(), more); err != nil {
		t.Fatal(err)
	}
	for _, k := range adopted {
		if err := k.SetLimits(more); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(forks.Dir, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	all[0].wait() // one of the two tables learns how it ended
	if _, err := os.Stat(filepath.Join(forks.Dir, "done")); err != nil {
		t.Error(err)
	}
	for _, k := range adopted {
		if err := k.End(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestChildIsNotStartedWithoutItsLimits(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	for _, l := range []limits.Limits{{Memory: mib}, {CPU: 1}, {Tasks: 3}} {
		s := sh(t, "exit 0")
		s.Limits = l
		if _, err := tb.Spawn(s, nil); err == nil || !strings.Contains(err.Error(), "limits cannot be applied") {
			t.Errorf("with %+v: %v", l, err)
		}
	}
	tb = limited(t, limits.Limits{Tasks: 3})
	s := sh(t, "exit 0")
	s.Mark, s.Limits.Tasks = "", 3
	if _, err := tb.Spawn(s, nil); err == nil || !strings.Contains(err.Error(), "cannot have limits") {
		t.Errorf("without a mark: %v", err)
	}
	// Its first process is one; where even that is too many, nothing runs outside of the limit.
	s = sh(t, "sleep 0; exit 0")
	s.Argv[0] = "/no/such/shell"
	s.Limits.Tasks = 3
	if _, err := tb.Spawn(s, nil); err == nil || !strings.Contains(err.Error(), "/no/such/shell") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestRlimitsAreThoseOfEveryProcess(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		s := sh(t, `(ulimit -n; ulimit -Hn; ulimit -c; ulimit -Hc) > limits`)
		s.Rlimits = []Rlimit{{unix.RLIMIT_NOFILE, 123, 123}, {unix.RLIMIT_CORE, 0, 0}}
		if e := spawn(t, tb, s).wait(); e.Code != 0 {
			t.Error(e)
		}
		if got := strings.Join(lines(t, filepath.Join(s.Dir, "limits")), " "); got != "123 123 0 0" {
			t.Errorf("limits are %s", got)
		}
	})
}

func TestRlimitThatIsNotOursToGiveIsNamed(t *testing.T) {
	t.Parallel()
	img := &image{spec: Spec{Rlimits: []Rlimit{{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_NOFILE, 1 << 40, 1 << 40}}}}
	got := img.rlimitFailure(unix.EPERM).Error()
	if !strings.Contains(got, "set limits.nofile to 1099511627776: operation not permitted: the supervisor's own is ") {
		t.Error(got)
	}
}
