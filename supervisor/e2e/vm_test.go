package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBootedServiceIsStartedAgainWhereItsBuildsHaveLimits needs a machine of its own, with systemd and
// cgroup v2: `make test-vm` boots one. The kernel takes no process into a cgroup whose children have
// limits, and systemd starts a service in the service's own.
func TestBootedServiceIsStartedAgainWhereItsBuildsHaveLimits(t *testing.T) {
	if os.Getenv("MEDCTRL_TEST_VM") == "" {
		t.Skip("needs a virtual machine: make test-vm")
	}
	w := hungryWorld(t, "memory = \"64M\"\ntasks = 20\ncpu = 0.8")
	systemctl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("systemctl", args...).CombinedOutput()
		if err != nil {
			log, _ := exec.Command("journalctl", "--no-pager", "-n", "50", "-u", "medctrl-supervisor").CombinedOutput()
			t.Fatalf("systemctl %v: %v: %s\n%s", args, err, out, log)
		}
		return strings.TrimSpace(string(out))
	}
	unit := strings.NewReplacer("/usr/local/bin/medctrl-supervisor", Binary(t), "/etc/medctrl/builds.toml", w.File).Replace(
		readAll("../../examples/systemd/medctrl-supervisor.service"))
	if err := os.WriteFile("/run/systemd/system/medctrl-supervisor.service", []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	systemctl("daemon-reload")
	systemctl("start", "medctrl-supervisor")
	t.Cleanup(func() { systemctl("stop", "medctrl-supervisor") })
	one := func(what string, holds func(BuildStatus) bool) (s BuildStatus) {
		t.Helper()
		Eventually(t, 4*time.Minute, what, func() (bool, string) {
			now, err := w.Status()
			s = now.Build("one")
			return err == nil && s.Name != "" && holds(s), fmt.Sprintf("%+v %v", s, err)
		})
		return s
	}
	first := one("running", func(s BuildStatus) bool { return s.State == "running" })
	memory := func() string { return limit(t, first.Pid, "memory", "memory.limit_in_bytes", "memory.max") }
	if got := memory(); got != "67108864" {
		t.Fatalf("memory is limited to %q", got)
	}
	tr := w.Load("one", 10)
	for range 2 {
		tr.WaitMore(t, 5)
		supervisor := systemctl("show", "-P", "MainPID", "medctrl-supervisor")
		pid, err := strconv.Atoi(supervisor)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			t.Fatal(err)
		}
		Eventually(t, 2*time.Minute, "another supervisor", func() (bool, string) {
			now := systemctl("show", "-P", "MainPID", "-P", "ActiveState", "medctrl-supervisor")
			log, _ := exec.Command("journalctl", "--no-pager", "-n", "20", "-u", "medctrl-supervisor").CombinedOutput()
			return strings.HasSuffix(now, "active") && !strings.HasPrefix(now, supervisor+"\n") && !strings.HasSuffix(now, "inactive"), now + string(log)
		})
		one("adopted", func(s BuildStatus) bool { return s.State == "running" && s.Pid == first.Pid })
		Eventually(t, time.Minute, "its limit again", func() (bool, string) { return memory() == "67108864", memory() })
	}
	tr.WaitMore(t, 5)
	tr.Stop().NoneLost(t)
	w.ask("/eat")
	one("killed", func(s BuildStatus) bool {
		return s.State == "running" && s.Pid != first.Pid && s.LastExit == "killed by the kernel: out of memory (limit 64M)"
	})
	systemctl("restart", "medctrl-supervisor")
	one("running", func(s BuildStatus) bool { return s.State == "running" })
	if syscall.Kill(first.Pid, 0) == nil {
		t.Error("the first server is left")
	}
}
