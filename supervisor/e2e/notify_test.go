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

// What systemd is told by a service of Type=notify, with a watchdog, over a reload, an upgrade and a stop.
func TestServiceManagerIsToldOfEachTurn(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	path := filepath.Join(w.Dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hear := func(want string) {
		t.Helper()
		if err := manager.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for buffer := make([]byte, 4096); ; {
			n, err := manager.Read(buffer)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.Contains(string(buffer[:n]), want) {
				return
			}
		}
	}
	w.Env = []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=200000"}
	w.Start()
	hear("READY=1")
	hear("WATCHDOG=1")
	b := w.WaitState("one", "running")
	environ := readAll("/proc/" + strconv.Itoa(b.Pid) + "/environ")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "MEDCTRL_HANDOVER"} {
		if strings.Contains(environ, name) {
			t.Errorf("the build's server has %s in its environment", name)
		}
	}
	w.Signal(syscall.SIGHUP)
	hear("RELOADING=1\nMONOTONIC_USEC=")
	hear("READY=1")
	w.Upgrade()
	hear("READY=1")
	hear("WATCHDOG=1")
	w.Signal(syscall.SIGTERM)
	hear("STOPPING=1")
	if code := w.WaitEnd(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestFirstProcessOfAContainerReapsOrphans runs the supervisor as pid 1 of a pid namespace, as a container does.
func TestFirstProcessOfAContainerReapsOrphans(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("unshare"); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root and unshare")
	}
	w := tinyWorld(t)
	// unshare waits for pid 1 and passes nothing on, so that is told by itself.
	w.Wrap = []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	w.Start()
	w.WaitState("one", "running")
	init := Tree(w.Pid())
	if len(init) < 2 {
		t.Fatalf("the namespace holds %v", init)
	}
	pid := init[1].Pid
	// An orphan of nobody we started: its parent ends at once, and it soon after.
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
	for _, line := range []string{"Type=notify", "KillMode=process", "Restart=always", "ExecReload=/bin/kill -HUP $MAINPID"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit does not say %s", line)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "medctrl-supervisor.service")
	unit = strings.ReplaceAll(unit, "/usr/local/bin/medctrl-supervisor", Binary(t)) // it must be there
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); err != nil || strings.Contains(string(out), path) {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
}
