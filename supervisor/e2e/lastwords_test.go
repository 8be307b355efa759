package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lastWorded is a process beside a server, which prints to the same log. It fails where its release's data has
// a file of that name.
const lastWorded = `import os, sys, time
print("worker is ready", flush=True)
while not os.path.exists(os.environ["MEDCTRL_DATA"] + "/" + os.environ["FAIL_AT"]):
    time.sleep(0.02)
raise ConnectionError("no broker at " + os.environ["FAIL_AT"])`

func TestStatusSaysWhyAProcessEnds(t *testing.T) {
	t.Parallel()
	w := tinyWorld(t)
	entry := func(name, box string) string {
		return tinyEntry(name, box) + fmt.Sprintf("[[build.process]]\nname = \"worker\"\ncommand = [\"{python}\", \"-I\", \"-S\", \"-c\", %q]\nenv.FAIL_AT = \"first\"\n", lastWorded)
	}
	w.SetBuilds(entry("one", ""), entry("two", "sandbox.enabled = true"))
	names := []string{"one", "two"}
	w.Serve(names...)
	for _, name := range names {
		w.WaitStatus(name, "its process", func(s BuildStatus) bool { return len(s.Processes) == 1 && s.Processes[0].State == "running" })
	}
	// The next supervisor knows it too.
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	w.Start()
	for _, name := range names {
		w.WaitState(name, "running")
		if err := os.WriteFile(filepath.Join(w.Root, name, "data", "first"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		Eventually(t, patience, "the reason", func() (bool, string) {
			text := strings.Join(strings.Fields(w.MustCLI("status", name)), " ")
			return strings.Contains(text, "ConnectionError: no broker at first"), text
		})
	}
	if events := w.MustCLI("events"); !strings.Contains(events, "; last output: ConnectionError: no broker at first") {
		t.Errorf("the events do not say it: %s", events)
	}
}
