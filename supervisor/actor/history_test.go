package actor

import (
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

func TestHistorySaysWhyAReleaseCeasedToServe(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	of := func(n int, release string) machine.State {
		return machine.State{Serving: machine.Generation{Tree: machine.Tree{N: n, Version: machine.Version{Release: release}}}}
	}
	for want, after := range map[string]machine.State{
		"replaced by r3":         of(2, "r3"),
		"rolled back to r1":      of(2, "r1"),
		"gave way to r1: broken": {Serving: of(2, "r1").Serving, Bad: map[machine.Version]string{{Release: "r2"}: "broken"}},
		"stopped":                {Want: machine.WantStopped},
		"removed from the file":  {Want: machine.WantRemoved},
		"the supervisor stopped": {Want: machine.WantShutdown},
		"exit code 1":            {Want: machine.WantServe, LastExit: "exit code 1"},
	} {
		var h history
		before, nothing := of(1, "r2"), machine.State{}
		h.follow(&nothing, &before, at)
		h.follow(&before, &after, at.Add(time.Hour))
		if got := h.stays["r2"]; got != (state.Stay{Since: at, Until: at.Add(time.Hour), Ended: want}) {
			t.Errorf("%+v, want %q", got, want)
		}
		if came := after.Serving.Version.Release; came != "" && h.stays[came] != (state.Stay{Since: at.Add(time.Hour)}) {
			t.Errorf("%s: %+v", came, h.stays[came])
		}
	}
}

func TestStayGoesOnOverACrashAndARestart(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	var h history
	h.restored(map[string]state.Stay{"r1": {Since: at.Add(-time.Hour), Until: at}, "r2": {Since: at}})
	nothing, serving := machine.State{}, machine.State{Serving: machine.Generation{Tree: machine.Tree{N: 1, Version: machine.Version{Release: "r2"}}}}
	h.follow(&nothing, &serving, at.Add(time.Hour))
	if got := h.stays["r2"]; got != (state.Stay{Since: at}) {
		t.Errorf("%+v", got)
	}
	shown := h.stays
	h.prune([]string{"r3"})
	if len(h.stays) != 1 || h.stays["r2"].Since != at || len(shown) != 2 {
		t.Errorf("kept %v of %v", h.stays, shown)
	}
}
