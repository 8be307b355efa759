package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestProcessIsKnownByItsIdentityAsLongAsItRuns(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := StartTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	c := &Child{pid: cmd.Process.Pid, start: start}
	id, err := c.Identity()
	if err != nil || !Alive(id) {
		t.Errorf("%q is not alive: %v", id, err)
	}
	another := &Child{pid: cmd.Process.Pid, start: start + 1}
	if other, err := another.Identity(); err != nil || Alive(other) {
		t.Errorf("an earlier process of the same pid, %q, is alive: %v", other, err)
	}
	for _, wrong := range []string{"", "x", "-1 1 x", strings.TrimSuffix(id, id[len(id)-1:])} {
		if Alive(wrong) {
			t.Errorf("%q is alive", wrong)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if Alive(id) {
		t.Error("it is alive after its end")
	}
	if self, err := StartTime(os.Getpid()); err != nil || !Alive(identity(os.Getpid(), self, id[strings.LastIndex(id, " ")+1:])) {
		t.Error("we are not alive: ", err)
	}
}
