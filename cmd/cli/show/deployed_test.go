package show

import (
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestDeployIsALine(t *testing.T) {
	t.Parallel()
	const before, now = "20261126T203933-aaaaaa", "20261126T204937-bbbbbb"
	for want, d := range map[string]control.Deployed{
		"a: up to date, serving " + now:                                                          {Release: now, From: now},
		"a: 20261126T203933 → 20261126T204937 in 4.1s, no request lost":                          {Release: now, From: before, Changed: true, Took: 4.1, NoneLost: true},
		"a: 20261126T203933 → 20261126T204937 in 4.1s, requests may have been lost: it hung; so": {Release: now, From: before, Changed: true, Took: 4.1, Doubts: []string{"it hung", "so"}},
		"a: 20261126T204937 with changed run settings in 0.5s, no request lost":                  {Release: now, From: now, Changed: true, Took: 0.5, NoneLost: true},
		"a: 20261126T204937 serves in 12.0s":                                                     {Release: now, Changed: true, Took: 12, Doubts: []string{"nothing served"}},
		"a: r1 → r2 in 1.0s, no request lost":                                                    {Release: "r2", From: "r1", Changed: true, Took: 1, NoneLost: true},
	} {
		if got := Deployed("a", d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
