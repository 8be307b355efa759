package doctor

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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
