package limits

import (
	"strings"
	"testing"
)

func TestLimitIsDeniedWhereItsControllerIsNotDelegated(t *testing.T) {
	t.Parallel()
	_, m := v2(t, "/own", "cpu pids")
	if err := m.Denied(Limits{CPU: 1, Tasks: 1}); err != nil {
		t.Error(err)
	}
	if err := m.Denied(Limits{Memory: 1}); err == nil || !strings.Contains(err.Error(), "the cgroup controller memory is not delegated to ") {
		t.Error(err)
	}
	_, m = v1(t, "/own")
	if err := m.Denied(all); err != nil {
		t.Error(err)
	}
	f, _ := v2(t, "/own", "")
	f.file("cgroup/cgroup.controllers", "cpu\n")
	if err := f.machine().Denied(Limits{Memory: 1}); err == nil || !strings.Contains(err.Error(), "memory") || strings.Contains(err.Error(), "delegated") {
		t.Error(err)
	}
	if err := m.Denied(Limits{}); err != nil {
		t.Error("no limit is denied:", err)
	}
}
