package control

import (
	"slices"
	"testing"
)

func TestUnwellIsWhatAPersonShouldKnowOf(t *testing.T) {
	t.Parallel()
	good := func() Status {
		return Status{Builds: []BuildStatus{{Name: "a", State: StateRunning, Healthy: true, Replicas: Replicas{Want: 2, Ready: 2},
			Processes: []ProcessStatus{{Name: "worker", State: StateRunning}}, Schedules: []ScheduleStatus{{Name: "nightly", Last: &RunStatus{Result: ResultGood}}}}}}
	}
	for name, c := range map[string]struct {
		change func(s *Status, b *BuildStatus)
		want   []string
	}{
		"all well":             {func(*Status, *BuildStatus) {}, nil},
		"a rebuild":            {func(_ *Status, b *BuildStatus) { b.Building, b.Proving = true, "r2" }, nil},
		"a process at its end": {func(_ *Status, b *BuildStatus) { b.Processes[0].State = StateStopping }, nil},
		"a run never made":     {func(_ *Status, b *BuildStatus) { b.Schedules[0].Last = nil }, nil},
		"a run that was ended": {func(_ *Status, b *BuildStatus) { b.Schedules[0].Last.Result = ResultStopped }, nil},
		"stopped":              {func(_ *Status, b *BuildStatus) { b.State, b.Processes = StateStopped, nil }, []string{"a: stopped"}},
		"backoff":              {func(_ *Status, b *BuildStatus) { b.State, b.Reason = StateBackoff, "exit code 1" }, []string{"a: backoff: exit code 1"}},
		"a reason":             {func(_ *Status, b *BuildStatus) { b.Reason = "release r2 is not served" }, []string{"a: release r2 is not served"}},
		"a missed probe":       {func(_ *Status, b *BuildStatus) { b.Healthy = false }, []string{"a: the last probe failed"}},
		"degraded":             {func(_ *Status, b *BuildStatus) { b.Replicas.Ready = 1 }, []string{"a: 1 of 2 server trees serve"}},
		"a failed build":       {func(_ *Status, b *BuildStatus) { b.BuildError = "step check\nmore" }, []string{"a: the last build failed: step check"}},
		"a process": {func(_ *Status, b *BuildStatus) {
			b.Processes[0] = ProcessStatus{Name: "worker", State: StateBackoff, LastExit: "exit code 2"}
		}, []string{"a: process worker.1 is backoff: exit code 2"}},
		"a schedule": {func(_ *Status, b *BuildStatus) {
			b.Schedules[0].Last = &RunStatus{Result: ResultLate, Exit: "ended after 1h"}
		}, []string{"a: the last run of schedule nightly failed: ended after 1h"}},
		"one that cannot run": {func(_ *Status, b *BuildStatus) { b.Schedules[0].Trouble = "no such zone" }, []string{"a: schedule nightly cannot run: no such zone"}},
		"the file":            {func(s *Status, _ *BuildStatus) { s.Config.Error = "x.toml:1:1: bad\nmore" }, []string{"builds.toml is not applied: x.toml:1:1: bad"}},
		"an address":          {func(s *Status, _ *BuildStatus) { s.Front.Trouble, s.Metrics.Trouble = "taken", "taken" }, []string{"front: taken", "metrics: taken"}},
		"said once": {func(_ *Status, b *BuildStatus) {
			b.Reason, b.Processes[0].State = "process worker.1 does not run: x", StateBackoff
		}, []string{"a: process worker.1 does not run: x"}},
		"the same twice": {func(_ *Status, b *BuildStatus) { b.State, b.Reason, b.BuildError = StateFailed, "no pip", "no pip" }, []string{"a: failed: no pip"}},
	} {
		s := good()
		c.change(&s, &s.Builds[0])
		if got := s.Unwell(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		// Clients are kept away from what does not serve, and from nothing that merely is not well.
		var away []string
		if slices.Contains([]string{"stopped", "backoff", "a missed probe", "the same twice"}, name) {
			away = c.want
		}
		if got := s.NotServing(); !slices.Equal(got, away) {
			t.Errorf("%s: not serving are %q, want %q", name, got, away)
		}
	}
}
