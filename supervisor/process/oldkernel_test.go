package process

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/oldkernel"
)

// onOldKernel is set in the environment of tests that run on one.
const onOldKernel = "TEST_ON_OLD_KERNEL"

// What children need holds on a kernel that has nothing of what came after 5.4.
func TestPromisesHoldOnAnOldKernel(t *testing.T) {
	t.Parallel()
	if os.Getenv(onOldKernel) != "" {
		t.Skip("is on one")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^Test(Adopt|Remains|EndTakes|Exec|Freeze|Orphans|ExitIsTold|Listener|Recycled|Cgroup)")
	cmd.Env = append(os.Environ(), onOldKernel+"=1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := oldkernel.Start(cmd, oldkernel.All()...); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
}
