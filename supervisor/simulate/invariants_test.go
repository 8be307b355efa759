package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

func TestStepsThatBreakAnInvariantAreFound(t *testing.T) {
	t.Parallel()
	v := machine.Version{Release: "r1", RunKey: "k1"}
	serving := machine.State{
		Want: machine.WantServe, Open: true, Spawned: 2, Release: "r1", Proven: v,
		Serving: machine.Generation{Tree: machine.Tree{N: 2, Version: v, Ready: true}},
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	save := machine.Save{}
	for want, c := range map[string]struct {
		change  func(*machine.State)
		effects []machine.Effect
	}{
		"":                              {func(*machine.State) {}, []machine.Effect{machine.Watch{N: 2}, save}},
		"has not passed its check":      {func(s *machine.State) { s.Proven.Release = "r0" }, nil},
		"would give way to itself":      {func(s *machine.State) { s.Fallback = v }, nil},
		"clients hang":                  {func(s *machine.State) { s.Serving = machine.Generation{} }, nil},
		"serves while":                  {func(s *machine.State) { s.Want = machine.WantStopped }, nil},
		"is not saved":                  {func(*machine.State) {}, []machine.Effect{machine.Watch{N: 2}}},
		"was never started":             {func(*machine.State) {}, []machine.Effect{machine.End{N: 3}, save}},
		"is told to end twice":          {func(*machine.State) {}, []machine.Effect{machine.End{N: 1}, machine.Retire{N: 1}, save}},
		"gets the name without a check": {func(*machine.State) {}, []machine.Effect{machine.Swap{N: 2}, save}},
		"which is gone": {func(s *machine.State) { s.Gone, s.Spawned = "r1", 3 },
			[]machine.Effect{machine.Spawn{N: 3, Version: v}, save}},
		"before its time": {func(s *machine.State) { s.CandidateAt, s.Spawned = at, 3 },
			[]machine.Effect{machine.Spawn{N: 3, Version: v}, save}},
		"a timer in the past": {func(*machine.State) {}, []machine.Effect{machine.SetTimer{At: at.Add(-1)}, save}},
	} {
		after := serving
		c.change(&after)
		var found []string
		one := checked{
			Step: actor.Step{Before: &serving, After: &after, Event: machine.InputsChanged{}, Effects: c.effects, At: at},
			name: "alpha", leaving: map[leaver]bool{}, breaks: func(what string) { found = append(found, what) },
		}
		one.state()
		for i, f := range c.effects {
			one.effect(i, f)
		}
		if all := strings.Join(found, "; "); (want == "") != (all == "") || !strings.Contains(all, want) {
			t.Errorf("want %q, found %q", want, all)
		}
	}
}
