package show

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// What the README shows of a status is what a terminal of 80 columns shows.
func TestReadmeShowsWhatStatusPrints(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	at := func(ago time.Duration) time.Time { return noon.Add(-ago) }
	front := control.Part{Address: "127.0.0.1:8080"}
	one := control.BuildStatus{Name: "development", State: control.StateRunning, Healthy: true, Release: "20261127T193202-1a2b3c", Since: at(2 * time.Second),
		Memory: 109 << 20, CPU: .49, Location: "/api"}
	failing := one
	failing.Since, failing.Memory, failing.NextTry = at(130*time.Minute), 92<<20, at(-40*time.Second)
	failing.BuildError = "check: exit code 1; last output: Traceback | ModuleNotFoundError: No module named 'rest_framework'; tried again in 40 s"
	failing.Failed = &control.Failed{Step: "check", At: at(4 * time.Second), Tries: 3}
	dying := control.BuildStatus{Name: "testing", State: control.StateBackoff, Release: one.Release, Restarts: 7, Location: "/testapi",
		Reason: "killed by SIGKILL; tried again in 8 s", NextTry: at(-8 * time.Second)}
	production := one
	production.Name, production.Release, production.Since, production.Memory, production.Location = "production", "20261120T080000-9f3c2a", at(76*time.Hour), 96<<20, "/prod"
	for _, s := range []control.Status{
		{Version: "1.0.0", Started: at(5 * time.Second), Front: front, Builds: remedied(one)},
		{Version: "1.0.0", Started: at(76 * time.Hour), Front: front, Builds: remedied(production, failing, dying)},
	} {
		var b strings.Builder
		Table(&b, s, Look{Columns: 80}, noon)
		if !strings.Contains(string(readme), b.String()) {
			t.Errorf("README.md does not have\n%s", b.String())
		}
	}
}
