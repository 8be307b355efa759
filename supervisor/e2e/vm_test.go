package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
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
	needVM(t)
	units := map[string]func(string) string{"as shipped": func(unit string) string { return unit }}
	version := regexp.MustCompile(`^systemd (\d+)`).FindStringSubmatch(outputOf(t, "systemctl", "--version"))
	if version == nil {
		t.Fatal("systemctl does not say its version")
	}
	if n, err := strconv.Atoi(version[1]); err == nil && n >= 254 {
		calls := regexp.MustCompile(`(?m)^Exec(StartPre|StopPost)=.*cgroup-step$`)
		units["DelegateSubgroup"] = func(unit string) string {
			return calls.ReplaceAllString(unit, "") + "\n[Service]\nDelegateSubgroup=medctrl-supervisor\n"
		}
	}
	for name, edit := range units {
		t.Run(name, func(t *testing.T) { startsAgainWithLimits(t, edit) })
	}
}

// startsAgainWithLimits tries it with the unit that edit makes of the shipped one.
func startsAgainWithLimits(t *testing.T, edit func(unit string) string) {
	vm := bootedInVM(t, hungryWorld(t, "memory = \"64M\"\ntasks = 20\ncpu = 0.8"), edit)
	first := vm.one("running", func(s BuildStatus) bool { return s.State == "running" })
	hold := func(pid int) (bool, string) {
		got := []string{limit(t, pid, "memory", "memory.limit_in_bytes", "memory.max"), limit(t, pid, "pids", "pids.max", "pids.max"), limit(t, pid, "cpu", "cpu.cfs_quota_us", "cpu.max")}
		return slices.Equal(got, []string{"67108864", "20", "80000 100000"}), fmt.Sprintf("%q", got)
	}
	if ok, got := hold(first.Pid); !ok {
		t.Fatalf("the limits are %s", got)
	}
	tr := vm.Load("one", 10)
	for range 2 {
		tr.WaitMore(t, 5)
		vm.kill()
		vm.one("adopted", func(s BuildStatus) bool { return s.State == "running" && s.Pid == first.Pid })
		Eventually(t, time.Minute, "its limits again", func() (bool, string) { return hold(first.Pid) })
	}
	vm.systemctl("daemon-reload")
	if ok, got := hold(first.Pid); !ok {
		t.Errorf("after a reload of systemd the limits are %s", got)
	}
	tr.WaitMore(t, 5)
	tr.Stop().NoneLost(t)

	vm.ask("/eat")
	vm.one("killed", func(s BuildStatus) bool {
		return s.State == "running" && s.Pid != first.Pid && s.LastExit == "killed by the kernel: out of memory (limit 64M)"
	})
	before := vm.show("MainPID")
	vm.systemctl("restart", "medctrl-supervisor")
	if vm.show("MainPID") == before {
		t.Error("the supervisor was not restarted")
	}
	last := vm.one("running", func(s BuildStatus) bool { return s.State == "running" })
	if ok, got := hold(last.Pid); !ok {
		t.Errorf("after a restart the limits are %s", got)
	}
	if a := MustAsk(t, "unix", vm.Socket("one"), "/"); a.Body != "ok" {
		t.Errorf("after a restart it serves %q", a.Body)
	}
	if syscall.Kill(first.Pid, 0) == nil {
		t.Error("the first server is left")
	}
}

// What limits need of a service must never hurt whoever has none.
func TestBootedServiceWithoutLimitsStaysInItsCgroup(t *testing.T) {
	needVM(t)
	vm := bootedInVM(t, tinyWorld(t), func(unit string) string { return unit })
	first := vm.one("running", func(s BuildStatus) bool { return s.State == "running" })
	tr := vm.Load("one", 10)
	for range 2 {
		if got := placeOf(vm.show("MainPID")); got != serviceCgroup {
			t.Errorf("the supervisor is in %s, want %s", got, serviceCgroup)
		}
		if enabled := readAll("/sys/fs/cgroup" + serviceCgroup + "/cgroup.subtree_control"); strings.TrimSpace(enabled) != "" {
			t.Errorf("it has enabled %s", enabled)
		}
		tr.WaitMore(t, 5)
		vm.kill()
		vm.one("adopted", func(s BuildStatus) bool { return s.State == "running" && s.Pid == first.Pid })
	}
	tr.WaitMore(t, 5)
	tr.Stop().NoneLost(t)
}

const serviceCgroup = "/system.slice/medctrl-supervisor.service"

// placeOf is the cgroup of a process.
func placeOf(pid string) string {
	return strings.TrimSpace(strings.TrimPrefix(readAll("/proc/"+pid+"/cgroup"), "0::"))
}

// inVM is a World whose supervisor is the service of the example unit, on the machine itself.
type inVM struct{ *World }

func needVM(t *testing.T) {
	t.Helper()
	if os.Getenv("MEDCTRL_TEST_VM") == "" {
		t.Skip("needs a virtual machine: make test-vm")
	}
}

// bootedInVM starts it, with what edit makes of the unit and a drop-in that says where it writes.
func bootedInVM(t *testing.T, w *World, edit func(unit string) string) inVM {
	t.Helper()
	vm := inVM{w}
	w.prepare()
	unit := edit(strings.NewReplacer("/usr/local/bin/medctrl-supervisor", Binary(t), "/etc/medctrl/builds.toml", w.File).Replace(
		readAll("../../examples/systemd/medctrl-supervisor.service")))
	const path = "/run/systemd/system/medctrl-supervisor.service"
	err := os.MkdirAll(path+".d", 0o755)
	for name, text := range map[string]string{path: unit, path + ".d/root.conf": "[Service]\nReadWritePaths=" + w.Dir + "\n"} {
		if err == nil {
			err = os.WriteFile(name, []byte(text), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("systemctl", "stop", "medctrl-supervisor").Run() // it may not have started
		if t.Failed() {
			t.Logf("journal:\n%s", vm.journal())
		}
	})
	vm.systemctl("daemon-reload")
	vm.systemctl("start", "medctrl-supervisor")
	return vm
}

func (vm inVM) journal() string {
	log, _ := exec.Command("journalctl", "--no-pager", "-n", "50", "-u", "medctrl-supervisor").CombinedOutput() // told in a failure alone
	return string(log)
}

func (vm inVM) systemctl(args ...string) string {
	vm.t.Helper()
	return outputOf(vm.t, "systemctl", args...)
}

// outputOf is what a command prints.
func outputOf(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// show is a property of the service.
func (vm inVM) show(property string) string {
	vm.t.Helper()
	return vm.systemctl("show", "-P", property, "medctrl-supervisor")
}

// one waits for what holds of build "one".
func (vm inVM) one(what string, holds func(BuildStatus) bool) (s BuildStatus) {
	vm.t.Helper()
	Eventually(vm.t, 4*time.Minute, what, func() (bool, string) {
		now, err := vm.Status()
		s = now.Build("one")
		return err == nil && s.Name != "" && holds(s), fmt.Sprintf("%+v %v", s, err)
	})
	return s
}

// kill kills the supervisor, and waits until systemd has started another.
func (vm inVM) kill() {
	vm.t.Helper()
	before := vm.show("MainPID")
	pid, err := strconv.Atoi(before)
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		vm.t.Fatal(err)
	}
	Eventually(vm.t, 2*time.Minute, "another supervisor", func() (bool, string) {
		now, state := vm.show("MainPID"), vm.show("ActiveState")
		return state == "active" && now != before && now != "0", now + " " + state + "\n" + vm.journal()
	})
}
