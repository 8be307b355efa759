package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// escapee leaves everything that could tell whose it is: session, group, parent and environment.
// Its pid is in the file pids.
const escapee = `
	(env -i setsid /bin/sh -c 'echo $$ > pids; exec /bin/sleep 1000' &)
	exec sleep 1000`

// inCgroups makes a table with cgroups in a folder of their own name.
func inCgroups(t testing.TB) (*Table, string) {
	t.Helper()
	name := "medctrl-test-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	tb := newTable(t)
	if err := tb.UseCgroups(name); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no cgroup v2 that can be written: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return tb, name
}

func TestCgroupKeepsWhoeverTriesToEscape(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*Table){
		"":                                    func(*Table) {},
		"no clone into a cgroup":              func(tb *Table) { tb.noCloneInto.Store(true) },
		"exec step":                           func(tb *Table) { tb.stepOnly = true },
		"no cgroup.kill":                      func(tb *Table) { tb.noCgroupKill = true },
		"exec step, no clone, no cgroup.kill": func(tb *Table) { tb.stepOnly, tb.noCgroupKill = true, true; tb.noCloneInto.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb, _ := inCgroups(t)
			limit(tb)
			s := sh(t, escapee)
			k := spawn(t, tb, s)
			want := append(pidsIn(t, filepath.Join(s.Dir, "pids"), 1), k.Pid())
			slices.Sort(want)
			eventually(t, fmt.Sprintf("the tree to be %v", want), func() bool {
				tree, err := k.Tree()
				return err == nil && slices.Equal(tree, want)
			})
			if got := tb.FindCgroups(); !slices.Equal(got, []string{s.Mark}) {
				t.Errorf("cgroups of %q, want %q", got, s.Mark)
			}
			k.end(20 * time.Millisecond)
			for _, pid := range want {
				if !gone(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
			if got := tb.FindCgroups(); len(got) != 0 {
				t.Errorf("cgroups of %q are left", got)
			}
			own := tb.cgroups.own
			if err := tb.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(own); err == nil {
				t.Errorf("%s is left", own)
			}
		})
	}
}

func TestCgroupsOfADeadSupervisorAreFound(t *testing.T) {
	t.Parallel()
	_, name := inCgroups(t)
	lives, died := sh(t, escapee), sh(t, escapee)
	f := startFormerWith(t, name, false, lives, died)
	escaped := []int{
		pidsIn(t, filepath.Join(lives.Dir, "pids"), 1)[0],
		pidsIn(t, filepath.Join(died.Dir, "pids"), 1)[0],
	}
	f.die(t)
	if err := unix.Kill(f.children[1].Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tb := newTable(t)
	if err := tb.UseCgroups(name); err != nil {
		t.Fatal(err)
	}
	found := tb.FindCgroups()
	slices.Sort(found)
	want := []string{lives.Mark, died.Mark}
	slices.Sort(want)
	if !slices.Equal(found, want) {
		t.Errorf("cgroups of %q, want %q", found, want)
	}
	adopted := f.adopt(t, tb, 0)
	if tree, err := adopted.Tree(); err != nil || !slices.Contains(tree, escaped[0]) {
		t.Errorf("tree is %v (%v), want %d in it", tree, err, escaped[0])
	}
	remains := tb.Remains(0, 0, died.Mark, os.Geteuid())
	eventually(t, "the escaped one to remain", func() bool {
		tree, err := remains.Tree()
		return err == nil && slices.Equal(tree, escaped[1:])
	})
	adopted.end(patience)
	if err := remains.End(context.Background(), patience); err != nil {
		t.Fatal(err)
	}
	for _, pid := range escaped {
		if s, err := readStat(pid); err == nil && !s.dead() {
			t.Errorf("process %d is left: %+v", pid, s)
		}
	}
	if got := tb.FindCgroups(); len(got) != 0 {
		t.Errorf("cgroups of %q are left", got)
	}
}

func TestCgroupsThatAreKnownAreNotLookedFor(t *testing.T) {
	t.Parallel()
	before, name := inCgroups(t)
	elsewhere := filepath.Join(filepath.Dir(before.cgroups.own), name+"-else", name)
	if err := os.MkdirAll(filepath.Join(elsewhere, "1:one:1"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(removeCgroup(filepath.Dir(elsewhere)), removeCgroup(before.cgroups.own)); err != nil {
			t.Error(err)
		}
	})
	own := []string{before.cgroups.own}
	for _, c := range []struct{ known, want []string }{
		{nil, append(own, elsewhere)},
		{append(own, elsewhere), append(own, elsewhere)},
		{[]string{elsewhere}, append(own, elsewhere)},
		{own, own},
		{append(own, "/sys/fs/cgroup/another"), own},
	} {
		tb := newTable(t)
		if err := tb.UseCgroups(name, c.known...); err != nil {
			t.Fatal(err)
		}
		if got := tb.Cgroups(); !slices.Equal(got, c.want) {
			t.Errorf("cgroups are in %q, want %q, with %q known", got, c.want, c.known)
		}
	}
}

func TestChildIsStartedAlsoWhereItsCgroupCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Table){
		"folder removed":      func(tb *Table) { unix.Rmdir(tb.cgroups.own) },
		"folder is no cgroup": func(tb *Table) { tb.cgroups.own = t.TempDir() },
		"no name":             func(*Table) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tb, _ := inCgroups(t)
			own := tb.cgroups.own
			spoil(tb)
			s := sh(t, "exit 6")
			if name == "no name" {
				s.Mark = strings.Repeat("long", 100)
			}
			for range 2 {
				k := spawn(t, tb, s)
				if e := k.wait(); e.Code != 6 {
					t.Error(e)
				}
				if name == "folder removed" && k.cgroup == "" {
					t.Error("the folder was not made again")
				}
				k.end(0)
			}
			tb.cgroups.own = own
		})
	}
	if err := newTable(t).UseCgroups("a/b"); err == nil || errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a name with a slash: %v", err)
	}
}

// actWithoutCgroups runs in a mount namespace of its own, where it unmounts cgroup v2, or makes it
// read-only.
func actWithoutCgroups(args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	machine, err := limits.Here()
	if err != nil {
		return err
	}
	mount := machine.V2.Mount
	if args[0] == "unmounted" {
		err = unix.Unmount(mount, unix.MNT_DETACH)
	} else {
		err = unix.Mount("", mount, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	if err != nil {
		return err
	}
	tb, err := NewTable("", nil)
	if err != nil {
		return err
	}
	defer tb.Close()
	if err := tb.UseCgroups("medctrl-test-without"); !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("use cgroups: %w, want that it is unsupported", err)
	}
	exits := make(chan Exit, 1)
	c, err := tb.Spawn(Spec{Argv: []string{"/bin/sh", "-c", "exit 6"}, Mark: "test/without"}, func(e Exit) { exits <- e })
	if err != nil {
		return err
	}
	if e := <-exits; e.Code != 6 {
		return fmt.Errorf("exit is %v, want code 6", e)
	}
	return c.End(context.Background(), 0)
}

func TestTableDoesWithoutCgroups(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to take them away")
	}
	inCgroups(t) // or there are none anyway
	for _, how := range []string{"unmounted", "read-only"} {
		cmd := exec.Command("/proc/self/exe", "without-cgroups", how)
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // it would sleep for a second at its end
		cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
		if out, err := cmd.CombinedOutput(); errors.Is(err, unix.EPERM) {
			t.Skip("may not have mounts of its own: ", err)
		} else if err != nil {
			t.Errorf("%s: %v, %s", how, err, out)
		}
	}
}

// BenchmarkCgroup compares the start of a child with and without, taken in turn.
func BenchmarkCgroup(b *testing.B) {
	with, _ := inCgroups(b)
	entering, _ := inCgroups(b)
	entering.noCloneInto.Store(true)
	tables := map[string]*Table{"without": newTable(b), "with": with, "entering": entering}
	took := map[string][]time.Duration{}
	ended := map[string][]time.Duration{}
	s := sleeper(b)
	n := 0
	for b.Loop() {
		for name, tb := range tables {
			n++
			s.Mark = "bench/cgroup/" + strconv.Itoa(n)
			began := time.Now()
			c, err := tb.Spawn(s, nil)
			if err != nil {
				b.Fatal(err)
			}
			took[name] = append(took[name], time.Since(began))
			began = time.Now()
			if err := c.End(context.Background(), 0); err != nil {
				b.Fatal(err)
			}
			ended[name] = append(ended[name], time.Since(began))
		}
	}
	for name := range tables {
		b.ReportMetric(median(took[name]), "ms-spawn-"+name)
		b.ReportMetric(median(ended[name]), "ms-end-"+name)
	}
	b.ReportMetric(median(took["with"])/median(took["without"]), "with/without")
	b.ReportMetric(median(took["entering"])/median(took["without"]), "entering/without")
	b.ReportMetric(0, "ns/op")
}
