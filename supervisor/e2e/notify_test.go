package e2e

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager stands in for the service manager that started the supervisor: it receives its messages
// (sd_notify(3)).
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// listenAt makes a manager with a socket at a path, or at an abstract name if it begins with @.
func listenAt(t *testing.T, path string) manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{t, conn}
}

// hear waits for a message that contains want as one or more whole lines.
func (m manager) hear(want string) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		m.t.Fatal(err)
	}
	var heard []string
	for buffer := make([]byte, 4096); ; {
		n, err := m.conn.Read(buffer)
		if err != nil {
			m.t.Fatalf("waiting for %q: %v; heard %q", want, err, heard)
		}
		said := string(buffer[:n])
		if strings.Contains("\n"+said+"\n", "\n"+want) {
			return
		}
		heard = append(heard, said)
	}
}

// What a service of Type=notify with a watchdog tells systemd at a start, a reload, an upgrade and
// a stop.
func TestServiceManagerIsToldOfEachTurn(t *testing.T) {
	t.Parallel()
	for name, where := range map[string]func(*World) string{
		"path":     func(w *World) string { return filepath.Join(w.Dir, "notify") },
		"abstract": func(w *World) string { return "@" + filepath.Join(w.Dir, "notify") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tinyWorld(t)
			m := listenAt(t, where(w))
			w.Env = []string{"NOTIFY_SOCKET=" + where(w), "WATCHDOG_USEC=200000"}
			w.Start()
			m.hear("READY=1\nSTATUS=1 build: ")
			m.hear("STATUS=1 build: running")
			m.hear("WATCHDOG=1")
			b := w.WaitState("one", "running")
			environ := readAll("/proc/" + strconv.Itoa(b.Pid) + "/environ")
			for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "MEDCTRL_HANDOVER"} {
				if strings.Contains(environ, name) {
					t.Errorf("the build's server has %s in its environment", name)
				}
			}
			w.Signal(syscall.SIGHUP)
			m.hear("RELOADING=1\nMONOTONIC_USEC=")
			m.hear("READY=1")
			w.Upgrade()
			m.hear("READY=1\nSTATUS=1 build: running")
			m.hear("WATCHDOG=1")
			w.MustCLI("stop", "one")
			m.hear("STATUS=1 build: stopped")
			w.Signal(syscall.SIGTERM)
			m.hear("STOPPING=1")
			if code := w.WaitEnd(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// We do not serve a watchdog that is meant for the process that started us, such as a wrapper.
func TestWatchdogOfAnotherProcessIsNotFed(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	m := listenAt(t, filepath.Join(w.Dir, "notify"))
	w.Env = []string{"NOTIFY_SOCKET=" + filepath.Join(w.Dir, "notify"), "WATCHDOG_USEC=1000", "WATCHDOG_PID=1"}
	w.Serve("one")
	w.Stop()
	if err := m.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 4096); ; {
		n, err := m.conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		said := string(buffer[:n])
		if strings.Contains(said, "WATCHDOG") {
			t.Fatalf("heard %q", said)
		}
		if strings.Contains(said, "STOPPING=1") {
			break
		}
	}
}

// Some managers only wait for READY=1, and a crashed systemd reads nothing any more while its
// sockets stay.
func TestServiceManagerThatStopsReadingDelaysNothing(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	m := listenAt(t, filepath.Join(w.Dir, "notify"))
	w.Env = []string{"NOTIFY_SOCKET=" + filepath.Join(w.Dir, "notify"), "WATCHDOG_USEC=2000"}
	w.Start()
	m.hear("READY=1")
	Eventually(t, patience, "a full queue", func() (bool, string) {
		return strings.Contains(w.Log(), "service manager cannot be told"), w.Log()
	})
	w.WaitState("one", "running")
	w.SetBanner("one", "edited", RenameOver)
	w.WaitBanner("one", "edited")
	w.Stop()
}

// TestFirstProcessOfAContainerReapsOrphans runs the supervisor as pid 1 of a pid namespace, as a
// container does.
func TestFirstProcessOfAContainerReapsOrphans(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and unshare")
	}
	w := tinyWorld(t)
	// unshare waits for pid 1 and forwards no signals, so signal pid 1 directly.
	w.Wrap = []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	w.Start()
	w.WaitState("one", "running")
	init := Tree(w.Pid())
	if len(init) < 2 {
		t.Fatalf("the namespace holds %v", init)
	}
	pid := init[1].Pid
	// An orphan that we did not start: its parent ends at once, and it soon after.
	w.nsenter(pid, "sh", "-c", "sleep 0.2 & sleep 0.1")
	w.nsenter(pid, "sh", "-c", "(sleep 0.05 &)")
	Eventually(t, patience, "no zombies", func() (bool, string) {
		out, err := exec.Command("nsenter", "-t", strconv.Itoa(pid), "-p", "-m", "ps", "-e", "-o", "stat=,args=").CombinedOutput()
		return err == nil && !strings.Contains(string(out), "Z") && !strings.Contains(string(out), "sleep"), string(out)
	})
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := w.WaitEnd(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func (w *World) nsenter(pid int, argv ...string) {
	w.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"-t", strconv.Itoa(pid), "-p", "-m"}, argv...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("nsenter %v: %v\n%s", argv, err, out)
	}
}

func TestExamplesForServiceManagersAreUnderstoodByThem(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command("sh", "-n", "../../examples/openrc/medctrl-supervisor").CombinedOutput(); err != nil {
		t.Errorf("OpenRC: %v: %s", err, out)
	}
	unit := readAll("../../examples/systemd/medctrl-supervisor.service")
	for _, line := range []string{"Type=notify", "KillMode=process", "Restart=always", "StartLimitIntervalSec=0", "ExecReload=/usr/local/bin/medctrl-supervisor -c /etc/medctrl/builds.toml reload", "FileDescriptorStoreMax=4096"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "medctrl-supervisor.service")
	unit = strings.ReplaceAll(unit, "/usr/local/bin/medctrl-supervisor", Binary(t)) // it must exist
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), path) {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}

// The functions of the OpenRC script, called as OpenRC does, do what they are described to do.
func TestCommandsOfTheOpenRCScriptReachTheSupervisor(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	w.Serve("one")
	script, err := filepath.Abs("../../examples/openrc/medctrl-supervisor")
	if err != nil {
		t.Fatal(err)
	}
	// As openrc-run: it says which command it was given, and a function that fails ends it.
	call := func(command string, functions ...string) (string, error) {
		cmd := exec.Command("sh", append([]string{"-uc", `ewarn() { echo "ewarn: $*"; }; . "$1"; command=$2; shift 2; for f; do "$f" || exit; done`, "sh", script, Binary(t)}, functions...)...)
		cmd.Env = append(os.Environ(), "MEDCTRL_CONFIG="+w.File, "RC_CMD="+command)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	commands := map[string][]string{
		"start": {"start_pre"}, "restart": {"stop_pre", "start_pre"}, "stop": {"stop_pre"},
		"checkconfig": {"checkconfig"}, "reload": {"reload"}, "upgrade": {"upgrade"},
	}
	for command, functions := range commands {
		if out, err := call(command, functions...); err != nil || strings.Contains(out, "ewarn") {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	w.SetBuilds(tiny(`no_such_key = 1`))
	for _, command := range []string{"restart", "checkconfig", "reload"} {
		if out, err := call(command, commands[command][0]); err == nil || !strings.Contains(out, "no_such_key") {
			t.Errorf("%s with a bad file: %v: %s", command, err, out)
		}
	}
	// There is a copy that was good.
	if out, err := call("start", "start_pre"); err != nil || !strings.Contains(out, "warning: "+w.File) {
		t.Errorf("start with a bad file: %v: %s", err, out)
	}
	if out, err := call("stop", "stop_pre"); err != nil || out != "" {
		t.Errorf("stop with a bad file: %v: %s", err, out)
	}
}
