package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// contender is one of the programs that `make compare` compares.
type contender struct {
	name    string
	setup   string                 // how it is set up here
	version func() (string, error) // fails where the program is not installed
	cannot  map[string]string      // why it has no part in a scenario, by its title
	serve   func(*trial) *managed  // keeps gunicorn with Django running
	// These keep any program running.
	children func(*trial, int) *managed // so many of childCommand
	writer   func(*trial) *managed      // one writerCommand
}

// managed is a contender that is running, with what it keeps running.
type managed struct {
	*cgroup
	dir    string // of its own
	socket string // on which it serves
	data   string // MEDCTRL_DATA of what serves

	own     func() []int       // the processes of the contender itself
	again   func()             // starts it again, as its service manager does after its death
	banner  func(string) error // changes the settings that the next deploy brings
	wsgi    string             // the module that a deploy brings
	deploy  func() error       // brings code that was changed: by a reload where the contender's users do so
	restart func() error       // what its users do to have the server started anew
	readers func() []int       // the processes that read what the children print
	kept    func() string      // what was kept of it
	settles time.Duration      // how long after its start it gives back the memory that only the start needed
}

// trial is one contender in one scenario. What fails there is written down, and ends neither the others
// nor the test.
type trial struct {
	testing.TB
	mu       sync.Mutex
	said     []string // what failed
	cleanups []func()
}

// try runs f, and then what it has registered by Cleanup. It returns what failed.
func try(t *testing.T, f func(*trial)) (failed string) {
	a := &trial{TB: t}
	for _, step := range []func(){func() { f(a) }, a.clean} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			step()
		}()
		<-done
	}
	return strings.Join(a.said, "; ")
}

// clean runs what was registered, the last first, whatever one of them does.
func (a *trial) clean() {
	for len(a.cleanups) > 0 {
		last := len(a.cleanups) - 1
		f := a.cleanups[last]
		a.cleanups = a.cleanups[:last]
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
}

func (a *trial) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }
func (a *trial) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.said) > 0
}
func (a *trial) Errorf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said = append(a.said, fmt.Sprintf(format, args...))
}
func (a *trial) Error(args ...any) { a.Errorf("%s", fmt.Sprint(args...)) }
func (a *trial) FailNow()          { runtime.Goexit() }
func (a *trial) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	a.FailNow()
}
func (a *trial) Fatal(args ...any) { a.Fatalf("%s", fmt.Sprint(args...)) }

// cgroup is a cgroup (v2) with all processes of a contender, whatever has become of their parents.
type cgroup struct {
	t   testing.TB
	dir string
}

// cgroupMount is where cgroup v2 is mounted; empty where it is not.
func cgroupMount() string {
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err == nil {
			return mount
		}
	}
	return ""
}

// comparedCgroups is the folder of the contenders' cgroups.
func comparedCgroups() string { return filepath.Join(cgroupMount(), comparedName()) }

func comparedName() string { return "medctrl-compare-" + strconv.Itoa(os.Getpid()) }

// comparedV1 is the folder of the same name that a container has made, where systemd's own hierarchy is one of v1.
func comparedV1() string { return filepath.Join("/sys/fs/cgroup/systemd", comparedName()) }

// newCgroup makes one. All that is in it at the end of the trial is killed.
func newCgroup(a *trial) *cgroup {
	a.Helper()
	if err := os.MkdirAll(comparedCgroups(), 0o755); err != nil {
		a.Fatal(err)
	}
	dir, err := os.MkdirTemp(comparedCgroups(), "")
	if err != nil {
		a.Fatal(err)
	}
	c := &cgroup{a, dir}
	a.Cleanup(func() {
		Eventually(a, 30*time.Second, "the end of all processes", func() (bool, string) {
			err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
			left := c.pids()
			return len(left) == 0, fmt.Sprint(left, err)
		})
		old := &cgroup{a, filepath.Join(comparedV1(), filepath.Base(dir))}
		for _, sub := range slices.Backward(append(c.dirs(), old.dirs()...)) {
			Eventually(a, 10*time.Second, "the removal of "+sub, func() (bool, string) {
				err := syscall.Rmdir(sub) // a process that was killed is in it until it has ended
				return err == nil || os.IsNotExist(err), fmt.Sprint(err)
			})
		}
	})
	return c
}

// dirs are its folder and those below, each before what is below it.
func (c *cgroup) dirs() []string {
	all := []string{c.dir}
	for i := 0; i < len(all); i++ {
		entries, _ := os.ReadDir(all[i]) // it may have been removed
		for _, e := range entries {
			if e.IsDir() {
				all = append(all, filepath.Join(all[i], e.Name()))
			}
		}
	}
	return all
}

// pids are those of its processes that have not ended.
func (c *cgroup) pids() (all []int) {
	for _, dir := range c.dirs() {
		text, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // it may have been removed
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				if _, live := readProcess("/proc/" + field); live {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// cpu is the CPU time that its processes have used, those that have ended as well.
func (c *cgroup) cpu() time.Duration {
	text, err := os.ReadFile(filepath.Join(c.dir, "cpu.stat"))
	if err != nil {
		c.t.Fatal(err)
	}
	var usec int64
	if _, err := fmt.Sscanf(string(text), "usage_usec %d", &usec); err != nil {
		c.t.Fatalf("%s/cpu.stat says %q: %v", c.dir, text, err)
	}
	return time.Duration(usec) * time.Microsecond
}

// start starts a command in it, which ends with these tests.
func (c *cgroup) start(cmd *exec.Cmd) int {
	c.t.Helper()
	fd, err := os.Open(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	defer fd.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	if err := StartBound(cmd); err != nil {
		c.t.Fatalf("start %v: %v", cmd.Args, err)
	}
	go cmd.Wait() // how it ends is seen by what it does
	return cmd.Process.Pid
}

// run runs a command in it that leaves processes, and waits for the command.
func (c *cgroup) run(cmd *exec.Cmd) error {
	fd, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	defer fd.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 100 * time.Millisecond // what it leaves may hold its output
	if err := cmd.Run(); err != nil && err != exec.ErrWaitDelay {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

// named are the pids of its processes whose command has a name, as in /proc/PID/comm.
func (c *cgroup) named(names ...string) (found []int) {
	for _, pid := range c.pids() {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // it may have ended
		if slices.Contains(names, strings.TrimSpace(string(comm))) {
			found = append(found, pid)
		}
	}
	return found
}

// servers are the processes of gunicorn or uWSGI, by the pids of their parents.
func (m *managed) servers() map[int][]Process {
	own, all := m.own(), map[int][]Process{}
	for _, pid := range m.pids() {
		p, live := readProcess(fmt.Sprintf("/proc/%d", pid))
		if live && !slices.Contains(own, pid) && (strings.Contains(p.Command, "gunicorn") || strings.Contains(p.Command, "uwsgi")) {
			all[p.Parent] = append(all[p.Parent], p)
		}
	}
	return all
}

// masters are those servers that have workers, and whose parent is no server.
func (m *managed) masters() (found []Process) {
	children := m.servers()
	is := map[int]bool{}
	for _, all := range children {
		for _, p := range all {
			is[p.Pid] = true
		}
	}
	for parent, all := range children {
		if is[parent] {
			continue
		}
		for _, p := range all {
			if len(children[p.Pid]) > 0 {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, func(a, b Process) int { return a.Pid - b.Pid })
	return found
}

// master waits until there is one other than those that are named, and returns it.
func (m *managed) master(gone ...Process) (found Process) {
	m.t.Helper()
	Eventually(m.t, 30*time.Second, "a master", func() (bool, string) {
		all := slices.DeleteFunc(m.masters(), func(p Process) bool {
			return slices.ContainsFunc(gone, func(g Process) bool { return g.Pid == p.Pid && g.Start == p.Start })
		})
		if len(all) > 0 {
			found = all[len(all)-1]
		}
		return len(all) > 0, ""
	})
	return found
}

// answers waits for a good answer, and returns whether it came.
func (m *managed) answers(limit time.Duration, banner string) bool {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); <-again.C {
		if m.answersNow(time.Second, banner) {
			return true
		}
	}
	return false
}

func (m *managed) answersNow(limit time.Duration, banner string) bool {
	shot := m.ask(limit)
	return shot.Outcome == OK && (banner == "" || shot.Banner == banner)
}

// ask sends one request.
func (m *managed) ask(limit time.Duration) Shot {
	var shot Shot
	begun := time.Now()
	Load{Network: "unix", Addr: m.socket, Method: "GET", Path: "/", Host: "localhost"}.shoot(&shot, begun.Add(limit))
	shot.Ended = time.Since(begun)
	return shot
}

// anonKB is the memory of processes that belongs to no file, in KiB.
func anonKB(t testing.TB, pids []int) int { return smapsKB(t, pids, "Anonymous") }

// smapsKB adds up a field of smaps_rollup (proc_pid_smaps(5)). A process that has ended has nothing.
func smapsKB(t testing.TB, pids []int, field string) (sum int) {
	t.Helper()
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // it may have ended
		for line := range strings.Lines(string(text)) {
			var kb int
			if _, err := fmt.Sscanf(line, field+": %d kB", &kb); err == nil {
				sum += kb
			}
		}
	}
	return sum
}

// cpuTicks is the CPU time of processes in clock ticks, user and system (proc_pid_stat(5), fields
// 14 and 15).
func cpuTicks(t testing.TB, pids []int) (sum int) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}
