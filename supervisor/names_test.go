package supervisor

import (
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// The names that the contract fixes stand in control, those that the machine decides by in machine.
func TestMachineAndContractUseTheSameNames(t *testing.T) {
	t.Parallel()
	for _, name := range []struct{ ours, contract string }{
		{string(machine.PhaseStopped), control.StateStopped},
		{string(machine.PhaseBuilding), control.StateBuilding},
		{string(machine.PhaseStarting), control.StateStarting},
		{string(machine.PhaseRunning), control.StateRunning},
		{string(machine.PhaseUnhealthy), control.StateUnhealthy},
		{string(machine.PhaseBackoff), control.StateBackoff},
		{string(machine.PhaseStopping), control.StateStopping},
		{string(machine.PhaseFailed), control.StateFailed},
		{machine.EventAdopted, control.EventAdopted},
		{machine.EventProved, control.EventProved},
		{machine.EventTookOver, control.EventTookOver},
		{machine.EventCandidateFailed, control.EventCandidateFailed},
		{machine.EventExited, control.EventExited},
		{machine.EventRecovered, control.EventRecovered},
		{machine.EventGaveWay, control.EventGaveWay},
		{machine.EventUnhealthy, control.EventUnhealthy},
		{machine.EventHealthy, control.EventHealthy},
		{machine.EventStable, control.EventStable},
		{machine.EventStopping, control.EventStopping},
		{machine.EventBuilt, control.EventBuilt},
		{machine.EventBuildFailed, control.EventBuildFailed},
		{machine.EventStopped, control.EventStopped},
	} {
		if name.ours != name.contract {
			t.Errorf("the machine says %q, the contract %q", name.ours, name.contract)
		}
	}
}
