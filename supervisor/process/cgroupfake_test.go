package process

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests need no cgroups and no rights: plain folders and files stand in for them.

// fakeCgroups gives a table a folder for cgroups, and returns where they seem to be mounted.
func fakeCgroups(t *testing.T, tb *Table) (mount string) {
	t.Helper()
	mount = t.TempDir()
	own := filepath.Join(mount, "ours", "medctrl-test")
	fakeFile(t, filepath.Join(own, "cgroup.type"), "domain\n")
	if err := tb.useCgroups(mount, own, nil); err != nil {
		t.Fatal(err)
	}
	return mount
}

func fakeFile(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFolderThatTakesNoProcessesIsNotUsedForCgroups(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	mount := t.TempDir()
	for name, kind := range map[string]string{"threaded": "threaded\n", "plain": ""} {
		own := filepath.Join(mount, name)
		if kind != "" {
			fakeFile(t, filepath.Join(own, "cgroup.type"), kind)
		}
		if err := tb.useCgroups(mount, own, nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := tb.useCgroups(mount, filepath.Join(mount, "no", "such"), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("one that cannot be made: %v", err)
	}
	if got := tb.Cgroups(); len(got) != 0 {
		t.Errorf("used are %q", got)
	}
}

func TestCgroupsAreFoundWhereverAnEarlierSupervisorMadeThem(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	mount := fakeCgroups(t, tb)
	own := filepath.Join(mount, "ours", "medctrl-test")
	elsewhere := filepath.Join(mount, "elsewhere", "medctrl-test")
	for _, dir := range []string{"root:one:1/below", taskPrefix + ":opt:one:.tmp-1:1"} {
		if err := os.MkdirAll(filepath.Join(elsewhere, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fakeFile(t, filepath.Join(elsewhere, taskPrefix+":opt:one:.tmp-1:2", "cgroup.procs"), "")
	for _, known := range [][]string{nil, {own, elsewhere, filepath.Join(mount, "another")}} {
		if err := tb.useCgroups(mount, own, known); err != nil {
			t.Fatal(err)
		}
		if got := tb.Cgroups(); !slices.Equal(got, []string{own, elsewhere}) {
			t.Errorf("cgroups are in %q with %q known", got, known)
		}
	}
	if got := tb.FindCgroups(); !slices.Equal(got, []string{"root/one/1"}) {
		t.Errorf("marks %q", got)
	}
	// The empty one is removed. A plain folder with a file in it is like a cgroup in use.
	if got, err := tb.FindTasks("/opt/one/", os.Geteuid()); err != nil || !slices.Equal(got, []string{"/opt/one/.tmp-1/2"}) {
		t.Errorf("tasks %q, error %v", got, err)
	}
	for tag, want := range map[string]string{
		"root/one/1": filepath.Join(elsewhere, "root:one:1"), "root/one/2": "", "root:one:1": "", ".hidden": "",
		strings.Repeat("long", 100): "",
	} {
		if got := tb.cgroups.find(tag); got != want {
			t.Errorf("cgroup of %s is %q, want %q", tag, got, want)
		}
	}
	if err := removeCgroup(filepath.Join(elsewhere, "root:one:1")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "root:one:1")); err == nil {
		t.Error("it is left")
	}
}

func TestProcessesInACgroupAndBelowAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fakeFile(t, filepath.Join(dir, "cgroup.procs"), "10\n0\n")
	fakeFile(t, filepath.Join(dir, "below", "cgroup.procs"), "11\n12\n")
	if err := os.Mkdir(filepath.Join(dir, "gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := cgroupPids(dir); !slices.Equal(got, []int{11, 12, 10}) {
		t.Errorf("pids %v", got)
	}
	if got := cgroupPids(filepath.Join(dir, "no such")); len(got) != 0 {
		t.Errorf("pids %v of a cgroup that is gone", got)
	}
	for text, want := range map[string]bool{"populated 0\nfrozen 0\n": true, "populated 1\nfrozen 0\n": false, "": false} {
		fakeFile(t, filepath.Join(dir, "cgroup.events"), text)
		if got := isEmptyCgroup(dir); got != want {
			t.Errorf("%q: empty is %v", text, got)
		}
	}
	fakeFile(t, filepath.Join(dir, "cgroup.kill"), "")
	killCgroup(dir)
	if text, err := os.ReadFile(filepath.Join(dir, "cgroup.kill")); err != nil || string(text) != "1" {
		t.Errorf("written to kill it: %q, %v", text, err)
	}
}

func TestChildEntersItsCgroupByItselfWhereItCannotBeginThere(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		mount := fakeCgroups(t, tb)
		s := task(t, "exit 3")
		s.Task = "/opt/one"
		procs := filepath.Join(mount, "ours", "medctrl-test", taskPrefix+":opt:one", "cgroup.procs")
		fakeFile(t, procs, "")
		k := spawn(t, tb, s)
		if e := k.wait(); e.Code != 3 {
			t.Error(e)
		}
		if text, err := os.ReadFile(procs); err != nil || string(text) != "0" {
			t.Errorf("written to enter it: %q, %v", text, err)
		}
		if err := unix.Unlink(procs); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Wait(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Dir(procs)); err == nil {
			t.Error("its cgroup is left")
		}
	})
}

func TestChildIsStartedWithoutACgroupThatIsNone(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, tb *Table) {
		mount := fakeCgroups(t, tb)
		s := sh(t, "exit 3")
		k := spawn(t, tb, s)
		if e := k.wait(); e.Code != 3 {
			t.Error(e)
		}
		k.end(0)
		left, err := filepath.Glob(filepath.Join(mount, "ours", "medctrl-test", "*:*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left are %q, %v", left, err)
		}
	})
}
