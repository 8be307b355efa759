package show

import (
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestResultOfAnActionIsALine(t *testing.T) {
	t.Parallel()
	back := func(from string, built time.Time) control.Outcome {
		return control.Outcome{RolledBack: &control.RolledBack{From: from, To: "r1", Built: built}}
	}
	for _, c := range []struct {
		action    string
		requested bool
		outcome   control.Outcome
		want      string
	}{
		{"restart", false, control.Outcome{}, "one: restart done"},
		{"restart", true, control.Outcome{}, "one: restart requested"},
		{"start", false, control.Outcome{Already: true}, "one: already running"},
		{"stop", true, control.Outcome{Already: true}, "one: already stopped"},
		{"rollback", false, back("r2", noon.Add(-26*time.Hour)), "one: rolled back from r2 to r1, made 1d2h ago; it is pinned until an input changes. " +
			"To go forward again: `medctrl-supervisor rollback one --to r2`, or build what is in the source now: `medctrl-supervisor rebuild one`"},
		{"rollback", true, back("", time.Time{}), "one: rollback requested to r1; it is pinned until an input changes. To go forward again: `medctrl-supervisor rebuild one`"},
	} {
		if got := Done("one", c.action, c.requested, c.outcome, noon); got != c.want {
			t.Errorf("%s: %q, want %q", c.action, got, c.want)
		}
	}
}
