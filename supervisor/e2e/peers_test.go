package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The peers are set up as their documentation shows for gunicorn, which makes its socket itself
// (--bind unix:).

// bySupervisord is Debian's supervisor; nil if it is not installed.
func bySupervisord(t testing.TB) *supervised {
	t.Helper()
	dir := peerProject(t)
	socket := filepath.Join(dir, "g.sock")
	pidfile := filepath.Join(dir, "g.pid")
	command := fmt.Sprintf("%s -m gunicorn --workers 2 --pid %s --bind unix:%s api_settings.wsgi:application", python, pidfile, socket)
	program := fmt.Sprintf("[program:one]\ncommand=%s\ndirectory=%s\nautorestart=true\nstartsecs=1\nstdout_logfile=/dev/null\nredirect_stderr=true\nenvironment=%s\n",
		command, filepath.Join(dir, "app", "API"), strings.Join(quotedEnv(dir), ","))
	if startSupervisord(t, dir, program) == 0 {
		return nil
	}
	return &supervised{name: "supervisor", socket: socket, master: func() int { return readPid(t, pidfile) }}
}

// byRunit is Debian's runit; nil if it is not installed.
func byRunit(t testing.TB) *supervised {
	t.Helper()
	dir := peerProject(t)
	socket := filepath.Join(dir, "g.sock")
	script := fmt.Sprintf("#!/bin/sh\ncd %s\nexec env %s %s %s >/dev/null 2>&1\n", filepath.Join(dir, "app", "API"),
		strings.Join(projectEnv(filepath.Join(dir, "data")), " "), python, strings.Join(gunicornArgs(socket), " "))
	service := filepath.Join(dir, "services", "one")
	writeRun(t, service, script)
	if startRunit(t, dir) == 0 {
		return nil
	}
	pidfile := filepath.Join(service, "supervise", "pid")
	return &supervised{name: "runit", socket: socket, master: func() int { return readPid(t, pidfile) }}
}

// supervisordWith starts a supervisor of n trivial children and returns the pids of its own
// processes.
func supervisordWith(t testing.TB, n int) []int {
	t.Helper()
	dir := ShortDir(t)
	var programs strings.Builder
	for i := range n {
		fmt.Fprintf(&programs, "[program:p%d]\ncommand=sleep 100000\nstdout_logfile=NONE\nstderr_logfile=NONE\n", i)
	}
	pid := startSupervisord(t, dir, programs.String())
	if pid == 0 {
		return nil
	}
	waitChildren(t, n, func() int { return len(Tree(pid)) - 1 })
	return []int{pid}
}

// runitWith is the same for runit, which has a process of its own for each child.
func runitWith(t testing.TB, n int) []int {
	t.Helper()
	dir := ShortDir(t)
	for i := range n {
		writeRun(t, filepath.Join(dir, "services", fmt.Sprintf("p%d", i)), "#!/bin/sh\nexec sleep 100000\n")
	}
	pid := startRunit(t, dir)
	if pid == 0 {
		return nil
	}
	named := func(name string) (pids []int) {
		for _, p := range Tree(pid) {
			comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.Pid))
			if err == nil && strings.TrimSpace(string(comm)) == name {
				pids = append(pids, p.Pid)
			}
		}
		return pids
	}
	waitChildren(t, n, func() int { return len(named("sleep")) })
	return append(named("runsv"), pid)
}

func waitChildren(t testing.TB, n int, count func() int) {
	t.Helper()
	Eventually(t, 2*time.Minute, fmt.Sprintf("%d children", n), func() (bool, string) {
		have := count()
		return have >= n, strconv.Itoa(have)
	})
}

// startSupervisord returns its pid, 0 if it is not installed.
func startSupervisord(t testing.TB, dir, programs string) int {
	t.Helper()
	path, err := exec.LookPath("supervisord")
	if err != nil {
		return 0
	}
	conf := filepath.Join(dir, "supervisord.conf")
	text := fmt.Sprintf("[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%s/supervisord.pid\nminfds=4096\n%s", dir, programs)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startPeer(t, exec.Command(path, "-c", conf))
}

// startRunit returns the pid of runsvdir, 0 if it is not installed.
func startRunit(t testing.TB, dir string) int {
	t.Helper()
	path, err := exec.LookPath("runsvdir")
	if err != nil {
		return 0
	}
	return startPeer(t, exec.Command(path, filepath.Join(dir, "services")))
}

func startPeer(t testing.TB, cmd *exec.Cmd) int {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(cmd); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() {
		KillAll(t, Tree(pid), syscall.SIGKILL)
		_ = cmd.Wait() // the error says that it was killed
	})
	return pid
}

func writeRun(t testing.TB, service, script string) {
	t.Helper()
	if err := os.MkdirAll(service, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(service, "run"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// peerProject is a copy of the tiny project, with its bytecode compiled as in our releases.
func peerProject(t testing.TB) string {
	t.Helper()
	dir := ShortDir(t)
	app := filepath.Join(dir, "app")
	if err := os.CopyFS(app, os.DirFS("testdata/project")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, "-m", "compileall", "-q", app).CombinedOutput(); err != nil {
		t.Fatalf("compile the project: %v\n%s", err, out)
	}
	return dir
}

func quotedEnv(dir string) []string {
	var all []string
	for _, entry := range projectEnv(filepath.Join(dir, "data")) {
		name, value, _ := strings.Cut(entry, "=")
		all = append(all, fmt.Sprintf("%s=%q", name, value))
	}
	return all
}

func readPid(t testing.TB, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// pssKB is the memory of processes in KiB, shared pages divided among their users
// (proc_pid_smaps(5)).
func pssKB(t testing.TB, pids []int) (sum int) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var kb int
			if _, err := fmt.Sscanf(line, "Pss: %d kB", &kb); err == nil {
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
