package doctor

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// TestLimitThatOurRightsDoNotAllowIsAMistake runs itself as a user who may write to no cgroup.
func TestLimitThatOurRightsDoNotAllowIsAMistake(t *testing.T) {
	if os.Getenv("MEDCTRL_TEST_AS_NOBODY") == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to be somebody else")
		}
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestLimitThatOurRightsDoNotAllowIsAMistake$", "-test.v")
		cmd.Env = append(os.Environ(), "MEDCTRL_TEST_AS_NOBODY=1", "TMPDIR=/tmp")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	wrong, _ := looked(t, 0o755, "gunicorn\n", "", "[build.limits]\nmemory = \"512M\"\n")
	if len(wrong) != 1 || wrong[0].Line != 9 || !strings.Contains(wrong[0].Msg, "limits.memory: the cgroup controller memory") {
		t.Errorf("wrong is %v", wrong)
	}
	wrong, _ = looked(t, 0o755, "gunicorn\n", "", "[build.limits]\nnofile = 512\n")
	if len(wrong) != 0 {
		t.Errorf("what needs no cgroup is refused: %v", wrong)
	}
}

func TestLimitsAreComparedWithWhatTheKernelHas(t *testing.T) {
	t.Parallel()
	machine, err := limits.Here()
	if err != nil {
		t.Fatal(err)
	}
	b := config.Build{Name: "one", Limits: config.Limits{Memory: 512 << 20, CPU: 1, Tasks: 100}}
	c := &config.Config{Root: t.TempDir(), Builds: []config.Build{b, {Name: "two"}}}
	lacks := machine.Lacks(limits.Limits{Memory: 1, CPU: 1, Tasks: 1})
	want := OK
	if lacks != nil || os.Geteuid() != 0 && machine.Denied(limits.Limits{Memory: 1, CPU: 1, Tasks: 1}) != nil {
		want = Fail
	}
	p := &patient{o: &Options{Config: c}, b: b}
	if f := p.limits(); f.Level != want {
		t.Errorf("%+v, want %v: %v", f, want, lacks)
	}
	wrong, warnings := lookAtLimits(c)
	if (len(wrong) == 0) != (want == OK) || len(warnings) > 0 {
		t.Errorf("wrong is %v, warnings are %v", wrong, warnings)
	}
	p.b = config.Build{Name: "two"}
	if f := p.limits(); f != (Finding{}) {
		t.Errorf("a build without limits: %+v", f)
	}
	if !isOurs(c.Root) || !isOurs(c.Root+"/missing") || isOurs("/proc/1") != (os.Geteuid() == 0) {
		t.Error("whose a root is")
	}
}
