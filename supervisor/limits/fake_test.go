package limits

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// These tests need no cgroups and no rights: plain folders and files stand in for them.

// fake is a made-up machine.
type fake struct {
	*testing.T
	dir string // everything is below
}

// v2 makes a machine with cgroup v2, on which we are in the cgroup own, which has these controllers.
func v2(t *testing.T, own, controllers string) (fake, *Machine) {
	f := fake{t, t.TempDir()}
	f.file("proc/self/mountinfo", "30 20 0:28 / /cgroup rw - cgroup2 cgroup2 rw\n")
	f.file("proc/self/cgroup", "0::"+own+"\n")
	f.file("cgroup/cgroup.controllers", "cpu memory pids\n")
	f.cgroup("cgroup"+own, controllers)
	return f, f.machine()
}

// v1 makes one with cgroup v1, on which we are in the cgroup own.
func v1(t *testing.T, own string) (fake, *Machine) {
	f := fake{t, t.TempDir()}
	f.file("proc/self/mountinfo", "31 20 0:29 / /cgroup/memory rw - cgroup cgroup rw,memory\n"+
		"32 20 0:30 / /cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n33 20 0:31 / /cgroup/pids rw - cgroup cgroup rw,pids\n")
	f.file("proc/self/cgroup", "3:memory:"+own+"\n2:cpu,cpuacct:"+own+"\n1:pids:"+own+"\n")
	for _, h := range []string{"memory", "cpu,cpuacct", "pids"} {
		f.mkdir("cgroup/" + h + own)
	}
	return f, f.machine()
}

func (f fake) machine() *Machine {
	f.Helper()
	m, err := at(f.dir, filepath.Join(f.dir, "proc/self"))
	if err != nil {
		f.Fatal(err)
	}
	return m
}

func (f fake) path(name string) string { return filepath.Join(f.dir, name) }

func (f fake) mkdir(name string) {
	f.Helper()
	if err := os.MkdirAll(f.path(name), 0o755); err != nil {
		f.Fatal(err)
	}
}

func (f fake) file(name, text string) {
	f.Helper()
	f.mkdir(filepath.Dir(name))
	if err := os.WriteFile(f.path(name), []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}

// cgroup makes one of v2.
func (f fake) cgroup(name, controllers string) {
	f.Helper()
	for file, text := range map[string]string{
		"cgroup.controllers": controllers + "\n", "cgroup.subtree_control": "", "cgroup.procs": "", "memory.max": "max\n", "memory.high": "max\n",
		"memory.swap.max": "max\n", "memory.oom.group": "0\n", "cpu.max": "max 100000\n", "pids.max": "max\n", "memory.current": "0\n", "memory.events": "oom_kill 0\n",
	} {
		f.file(filepath.Join(name, file), text)
	}
}

// cgroupV1 makes the files of one of v1.
func (f fake) cgroupV1(name string) {
	f.Helper()
	for _, file := range []string{"cgroup.procs", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.cfs_period_us", "cpu.cfs_quota_us", "pids.max"} {
		f.file(filepath.Join(name, file), "")
	}
	f.file(filepath.Join(name, "memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
}

// has compares files with what was written into them; "" is that there is none.
func (f fake) has(want map[string]string) {
	f.Helper()
	for name, text := range want {
		got, err := os.ReadFile(f.path(name))
		if string(got) != text || err != nil && !(text == "" && errors.Is(err, fs.ErrNotExist)) {
			f.Errorf("%s is %q (%v), want %q", name, got, err, text)
		}
	}
}
