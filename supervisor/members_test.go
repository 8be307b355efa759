package supervisor

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// work is a long-running process beside a server: it says that it is ready, as sd_notify(3) has it, and
// ends with exit code 0 once it gets SIGUSR1.
func work() error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("READY=1")); err != nil {
		return err
	}
	<-told
	fmt.Println("the work is done")
	return nil
}

func TestReplicasAndProcessesOfARealMachine(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	worker := fmt.Sprintf("replicas = 2\n[[build.process]]\nname = \"worker\"\ncommand = [%q, \"work\"]\ncount = 2\nready = \"notify\"\nstop_signal = \"USR1\"\n", self)
	s := newSite(t, "", entry("a", gunicorn, worker))
	first := s.startApart()
	complete := func(st control.BuildStatus) bool {
		if st.Replicas.Ready != 2 || len(st.Processes) != 2 {
			return false
		}
		for _, p := range st.Processes {
			if p.State != control.StateRunning || p.Release != st.Release {
				return false
			}
		}
		return true
	}
	before := s.becomes("a", complete)
	s.kill(before.Processes[1].Pid)
	after := s.becomes("a", func(st control.BuildStatus) bool {
		return complete(st) && st.Processes[1].Pid != before.Processes[1].Pid
	})
	if after.Processes[0].Pid != before.Processes[0].Pid || after.Processes[1].Restarts != 1 || !strings.Contains(after.Processes[1].LastExit, "SIGKILL") {
		t.Errorf("after the death of the second they are %+v", after.Processes)
	}
	first.die()
	s.startApart()
	adopted := s.becomes("a", complete)
	for i, p := range adopted.Processes {
		if p.Pid != after.Processes[i].Pid {
			t.Errorf("process %d is %d after another supervisor has started, and was %d", i, p.Pid, after.Processes[i].Pid)
		}
	}
	s.kill(adopted.Pid)
	s.becomes("a", func(st control.BuildStatus) bool { return complete(st) && st.Pid != adopted.Pid })
	s.settings("a", "version = 2")
	s.becomes("a", func(st control.BuildStatus) bool {
		return complete(st) && st.Release != adopted.Release && st.Processes[0].Pid != adopted.Processes[0].Pid && st.Processes[1].Pid != adopted.Processes[1].Pid
	})
	if n := strings.Count(s.read("root/.supervisor/logs/a.log"), "the work is done"); n != 2 {
		t.Errorf("%d of them were told to end by their signal, want 2", n)
	}
}
