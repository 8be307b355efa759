package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// booted is a Debian with systemd, booted in a container, in which the supervisor is the service of
// the example unit. The folder of its World is /etc/medctrl there.
type booted struct {
	*World
	init int // the pid of its systemd, here
}

// boot boots it with the unit of the examples.
func boot(t *testing.T) booted {
	t.Helper()
	needBoot(t, "test-systemd")
	w := NewWorld(t, One(stableSoon))
	unit, err := filepath.Abs("../../examples/systemd/medctrl-supervisor.service")
	if err != nil {
		t.Fatal(err)
	}
	dropIn := filepath.Join(w.Dir, "root.conf")
	if err := os.WriteFile(dropIn, []byte("[Service]\nReadWritePaths=/etc/medctrl\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return bootWith(t, w, "--bind-ro="+Binary(t)+":/usr/local/bin/medctrl-supervisor",
		"--bind-ro="+unit+":/etc/systemd/system/medctrl-supervisor.service",
		"--bind-ro="+dropIn+":/etc/systemd/system/medctrl-supervisor.service.d/root.conf",
		"--bind="+w.Dir+":/etc/medctrl")
}

// needBoot returns the folder of the Debian to boot, which a target of the Makefile knows.
func needBoot(t *testing.T, target string) string {
	t.Helper()
	root := os.Getenv("MEDCTRL_TEST_SYSTEMD")
	if root == "" {
		t.Skip("needs a Debian to boot: make " + target)
	}
	return root
}

// bootWith boots it with more arguments for its container. The systemd is a real one, but the
// container's seccomp filter refuses pidfd_getfd, as those of most containers do.
func bootWith(t *testing.T, w *World, args ...string) booted {
	t.Helper()
	root := needBoot(t, "test-systemd")
	cmd := exec.Command("systemd-nspawn", append([]string{"--quiet", "--register=no", "--keep-unit", "--directory=" + root, "--volatile=overlay", "--boot",
		"--console=pipe", "--machine=medctrl-" + strconv.Itoa(os.Getpid())}, args...)...)
	log, err := os.Create(w.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the child has its own copy
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := StartBound(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait() // it is killed
	}()
	b := booted{World: w}
	t.Cleanup(func() {
		if t.Failed() && b.init != 0 {
			t.Logf("journal:\n%s", lastLines(b.try("journalctl", "--no-pager", "-u", "medctrl-supervisor"), 100))
		}
		if b.init != 0 {
			syscall.Kill(b.init, syscall.SIGKILL) // it may have ended; whatever it has started ends with it, and a kill of nspawn would leave it
		}
		cmd.Process.Kill() // it may have ended
		<-ended
	})
	Eventually(t, 2*time.Minute, "the boot", func() (bool, string) {
		for _, p := range Tree(cmd.Process.Pid) {
			if strings.HasPrefix(p.Command, "/usr/lib/systemd/systemd") || strings.HasPrefix(p.Command, "/lib/systemd/systemd") {
				b.init = p.Pid
				break
			}
		}
		if b.init == 0 {
			return false, w.Log()
		}
		state := strings.TrimSpace(b.try("systemctl", "is-system-running"))
		return state == "running" || state == "degraded", state + w.Log() // something of a real machine may be missing
	})
	return b
}

// in is b for a part of the test.
func (b booted) in(t *testing.T) booted {
	w := *b.World
	w.t = t
	return booted{&w, b.init}
}

// command is a command there.
func (b booted) command(argv ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(b.init), "--all"}, argv...)...)
}

// try returns what a command there prints, whatever its exit code.
func (b booted) try(argv ...string) string {
	out, _ := b.command(argv...).CombinedOutput()
	return string(out)
}

// must returns what a command there prints.
func (b booted) must(argv ...string) string {
	b.t.Helper()
	out, err := b.command(argv...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// show is a property of the service.
func (b booted) show(property string) string {
	b.t.Helper()
	return strings.TrimSpace(b.must("systemctl", "show", "-P", property, "medctrl-supervisor"))
}

// slow is how long a request may take: a start of gunicorn, and what has queued up by then, on a busy
// machine.
const slow = time.Minute

// load is a load on the public socket of build "one".
func (b booted) load() *Traffic {
	b.t.Helper()
	return StartLoad(b.t, Load{Network: "unix", Addr: b.Socket("one"), Rate: 100, Timeout: slow})
}

// serves waits until another generation than that of pid before serves build "one", and returns its pid.
func (b booted) serves(before int) int {
	b.t.Helper()
	return b.WaitStatus("one", "running anew", func(s BuildStatus) bool { return s.State == "running" && s.Pid != before }).Pid
}

func TestBootedSystemdKeepsTheServiceServing(t *testing.T) {
	b := boot(t)
	b.must("systemctl", "start", "medctrl-supervisor")
	pid := b.serves(0)

	// One after the other: each goes on with what the one before left.
	t.Run("the service is shut off from what no build needs", func(t *testing.T) {
		b := b.in(t)
		said := b.must("systemd-analyze", "security", "--no-pager", "medctrl-supervisor")
		found := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d+)`).FindStringSubmatch(said)
		if found == nil {
			t.Fatalf("no exposure in: %s", said)
		}
		if exposure, err := strconv.ParseFloat(found[1], 64); err != nil || exposure > 4.5 {
			t.Errorf("the exposure is %s, want at most 4.5:\n%s", found[1], said)
		}
		// Nobody but the supervisor itself speaks for the service, or gives it descriptors to keep.
		if said := b.must("systemctl", "show", "--value", "--property=NotifyAccess", "medctrl-supervisor"); strings.TrimSpace(said) != "main" {
			t.Errorf("the manager listens to %q", said)
		}
		// What runs there is what the unit says.
		status := b.must("cat", "/proc/"+strconv.Itoa(pid)+"/status")
		if !regexp.MustCompile(`NoNewPrivs:\s1`).MatchString(status) || !regexp.MustCompile(`Seccomp:\s2`).MatchString(status) {
			t.Errorf("gunicorn runs with: %s", status)
		}
	})

	t.Run("a restart loses no request", func(t *testing.T) {
		b := b.in(t)
		tr, front := b.load(), StartLoad(t, Load{Network: "tcp", Addr: b.Front, Path: "/one", Rate: 10, Timeout: slow})
		tr.GoOn(t, calm)
		for range 2 {
			supervisor := b.show("MainPID")
			b.must("systemctl", "restart", "medctrl-supervisor")
			if b.show("MainPID") == supervisor {
				t.Error("the supervisor was not restarted")
			}
			pid = b.serves(pid)
			tr.GoOn(t, calm)
			// The one in its place has the sockets by another way, and leaves them as well.
			b.must("medctrl-supervisor", "-c", "/etc/medctrl/builds.toml", "upgrade")
		}
		front.GoOn(t, calm)
		r := tr.Stop()
		r.NoneLost(t)
		front.Stop().NoneLost(t)
		t.Logf("two restarts: %v", r)
	})

	t.Run("a kill of the supervisor loses no request", func(t *testing.T) {
		b := b.in(t)
		tr := b.load()
		tr.GoOn(t, calm)
		supervisor := b.show("MainPID")
		b.must("sh", "-c", `kill -KILL "$0"`, supervisor)
		Eventually(t, patience, "another supervisor", func() (bool, string) {
			now := b.show("MainPID")
			return now != supervisor && now != "0" && b.show("ActiveState") == "active", now
		})
		if now := b.WaitState("one", "running").Pid; now != pid {
			t.Errorf("gunicorn %d was replaced by %d", pid, now)
		}
		tr.GoOn(t, calm)
		tr.Stop().NoneLost(t)
		// pidfd_getfd is refused here: the socket came back from systemd, or gunicorn's end would cost
		// whoever waits.
		tr = b.load()
		tr.GoOn(t, calm)
		b.must("sh", "-c", `kill -KILL $(cat /proc/$1/task/$1/children) $1`, "sh", strconv.Itoa(pid))
		pid = b.serves(pid)
		tr.GoOn(t, calm)
		tr.Stop().NoneLostBut(t, workers)
		if log := b.try("journalctl", "-u", "medctrl-supervisor"); strings.Contains(log, "cannot be taken back") {
			t.Errorf("the socket was not taken back: %s", log)
		}
	})

	t.Run("a reload of a bad file fails and changes nothing", func(t *testing.T) {
		b := b.in(t)
		tr := b.load()
		tr.GoOn(t, calm)
		b.SetBuilds(One(stableSoon, "no_such_key = 1"))
		if out, err := b.command("systemctl", "reload", "medctrl-supervisor").CombinedOutput(); err == nil {
			t.Errorf("the reload of a bad file succeeds: %s", out)
		}
		Eventually(t, patience, "what systemctl status says of it", func() (bool, string) {
			status := b.try("systemctl", "status", "--no-pager", "--full", "medctrl-supervisor")
			return strings.Contains(status, "Active: active") && strings.Contains(status, "the file has a mistake and is not applied") && strings.Contains(status, "no_such_key"), status
		})
		b.SetBuilds(One(stableSoon))
		b.must("systemctl", "reload", "medctrl-supervisor")
		tr.GoOn(t, calm)
		tr.Stop().NoneLost(t)
		if now := b.WaitState("one", "running").Pid; now != pid {
			t.Errorf("gunicorn %d was replaced by %d", pid, now)
		}
	})

	t.Run("the journal has priorities and one time stamp", func(t *testing.T) {
		b := b.in(t)
		seen := map[string]string{}
		stamp := regexp.MustCompile(`^(<|\d{4}-\d\d-\d\d)`)
		for line := range bytes.Lines([]byte(b.must("journalctl", "--no-pager", "-o", "json", "SYSLOG_IDENTIFIER=medctrl-supervisor"))) {
			var entry struct{ Message, Priority string }
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if stamp.MatchString(entry.Message) {
				t.Errorf("the line begins with what the journal knows: %s", entry.Message)
			}
			seen[entry.Priority] += entry.Message + "\n"
		}
		for priority, says := range map[string]string{"6": "[INFO]  medctrl-supervisor: generation took over", "3": "no_such_key"} {
			if !strings.Contains(seen[priority], says) {
				t.Errorf("priority %s does not say %q: %v", priority, says, seen)
			}
		}
	})

	t.Run("a stop leaves nothing", func(t *testing.T) {
		b := b.in(t)
		b.must("systemctl", "stop", "medctrl-supervisor")
		Eventually(t, patience, "the end of all sockets and processes", func() (bool, string) {
			conn, err := net.Dial("unix", b.Socket("one"))
			if err == nil {
				conn.Close() // systemd has not let go of it yet
			}
			held, left := b.show("NFileDescriptorStore"), b.try("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
			return outcomeOf(err) == Refused && held == "0" && !strings.Contains(left, "-m gunicorn"), fmt.Sprintf("%v; %s held; %s", err, held, left)
		})
	})
}
