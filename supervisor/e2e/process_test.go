package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Process is one live process. Zombies are dead and not listed.
type Process struct {
	Pid, Parent, Session int
	State                string // one letter, T is stopped
	Start                string // since boot, in ticks: with the pid it identifies a process
	Command              string
}

func (p Process) String() string {
	return fmt.Sprintf("%d (parent %d, session %d): %s", p.Pid, p.Parent, p.Session, p.Command)
}

// processes reads all of /proc (proc_pid_stat(5)), except what was running before these tests began:
// nothing of theirs can be among it.
func processes() []Process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // fails only where /proc is no directory
	var all []Process
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if p, live := readSince("/proc/"+name, began()); live {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Process) int { return a.Pid - b.Pid })
	return all
}

// began is when these tests did, as in Process.Start.
var began = sync.OnceValue(func() int {
	stat, _ := os.ReadFile("/proc/self/stat")
	start, _ := strconv.Atoi(statFields(stat)[19]) // the kernel writes numbers
	return start
})

// statFields are those of a stat file from the third on. The name in brackets before them may contain
// anything, even brackets and spaces; what follows the last bracket is regular.
func statFields(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

func readProcess(dir string) (Process, bool) { return readSince(dir, 0) }

// readSince reads a process unless it was started before a time, as in Process.Start.
func readSince(dir string, since int) (Process, bool) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Process{}, false // ended in the meantime
	}
	fields := statFields(stat)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return Process{}, false
	}
	if start, _ := strconv.Atoi(fields[19]); start < since {
		return Process{}, false
	}
	var p Process
	p.Pid, _ = strconv.Atoi(filepath.Base(dir)) // the kernel writes numbers
	p.State = fields[0]
	p.Parent, _ = strconv.Atoi(fields[1])
	p.Session, _ = strconv.Atoi(fields[3])
	p.Start = fields[19]
	command, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return Process{}, false
	}
	p.Command = strings.TrimSpace(string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
	return p, true
}

// Processes lists every live process that belongs to this world, except the running supervisor: the
// world's folder is in their environment (MEDCTRL_DATA) or command line, or is their working
// directory.
func (w *World) Processes() []Process {
	var ours []Process
	for _, p := range processes() {
		if p.Pid == os.Getpid() || w.Running() && p.Pid == w.Pid() {
			continue
		}
		if w.owns(p) {
			ours = append(ours, p)
		}
	}
	return ours
}

func (w *World) owns(p Process) bool {
	if strings.Contains(p.Command, w.Dir+"/") {
		return true
	}
	dir := fmt.Sprintf("/proc/%d/", p.Pid)
	// unreadable for another user's process, which is not ours
	if cwd, _ := os.Readlink(dir + "cwd"); cwd == w.Dir || strings.HasPrefix(cwd, w.Dir+"/") {
		return true
	}
	environ, _ := os.ReadFile(dir + "environ")
	return bytes.Contains(environ, []byte(w.Dir+"/"))
}

// dropCgroups removes the cgroups of the root's trees, which all have ended: a supervisor that was killed
// leaves them to the next one, and a test that removes its root, or ends, has no next one.
func (w *World) dropCgroups() {
	id, _, _ := strings.Cut(readAll(filepath.Join(w.Root, ".supervisor", "id")), " ")
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		own := filepath.Join(mount, "medctrl-"+id)
		for _, pattern := range []string{"pool:*/*", "*", ""} {
			found, err := filepath.Glob(filepath.Join(own, pattern))
			if err != nil {
				w.t.Fatal(err)
			}
			for _, dir := range found {
				_ = syscall.Rmdir(dir) // fails where a process is left, which the test then says, and of what is no folder
			}
		}
	}
}

// Tree lists pid, everything in its session, and all its descendants.
func Tree(pid int) []Process {
	all := processes()
	in := map[int]bool{pid: true}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.Pid] && (in[p.Parent] || p.Session == pid) {
				in[p.Pid], grown = true, true
			}
		}
	}
	var tree []Process
	for _, p := range all {
		if in[p.Pid] {
			tree = append(tree, p)
		}
	}
	return tree
}

// Workers lists the direct children of a master.
func Workers(master int) []Process {
	var workers []Process
	for _, p := range processes() {
		if p.Parent == master {
			workers = append(workers, p)
		}
	}
	return workers
}

// pids returns their pids. In other fields, two looks at one process may differ.
func pids(all []Process) []int {
	var numbers []int
	for _, p := range all {
		numbers = append(numbers, p.Pid)
	}
	return numbers
}

// KillAll sends a signal to each of them, and to no other process: os.FindProcess has a pidfd, and
// the start time is compared after it was opened.
func KillAll(t testing.TB, victims []Process, sig syscall.Signal) {
	t.Helper()
	for _, victim := range victims {
		handle, err := os.FindProcess(victim.Pid)
		if err != nil {
			t.Fatal(err)
		}
		now, live := readProcess(fmt.Sprintf("/proc/%d", victim.Pid))
		if live && now.Start == victim.Start {
			if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("signal %v with %v: %v", victim, sig, err)
			}
		}
		if err := handle.Release(); err != nil {
			t.Errorf("release the handle of %v: %v", victim, err)
		}
	}
}

// KillMaster sends build name's master a signal and returns its pid.
func (w *World) KillMaster(name string, sig syscall.Signal) int {
	w.t.Helper()
	master := w.WaitState(name, "running").Pid
	p, live := readProcess(fmt.Sprintf("/proc/%d", master))
	if !live {
		w.t.Fatalf("status says that %d serves build %s, but it is not alive", master, name)
	}
	KillAll(w.t, []Process{p}, sig)
	return master
}

// KillTree sends a signal to every process of build name at once and returns the master's pid.
func (w *World) KillTree(name string, sig syscall.Signal) int {
	w.t.Helper()
	master := w.WaitState(name, "running").Pid
	KillAll(w.t, Tree(master), sig)
	return master
}
