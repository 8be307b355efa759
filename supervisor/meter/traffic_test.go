package meter

import (
	"math"
	"testing"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestTrafficIsWhatCameSinceTheLastLook(t *testing.T) {
	t.Parallel()
	waits := []time.Duration{10 * time.Millisecond, 100 * time.Millisecond}
	counts := func(good, bad uint64, took ...uint64) control.Requests {
		return control.Requests{Build: "a", Codes: map[string]uint64{"2xx": good, "5xx": bad}, Waits: waits, Took: took}
	}
	begin := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		before, next  control.Requests
		rate, errors_ float64
		p95           float64 // NaN: not known
	}{
		"steady":            {counts(100, 10, 0, 110, 0), counts(190, 20, 100, 110, 0), 10, 1, .0095},
		"half are slow":     {counts(0, 0, 0, 0, 0), counts(100, 0, 50, 50, 0), 10, 0, .091},
		"beyond all bounds": {counts(0, 0, 0, 0, 0), counts(0, 10, 0, 0, 10), 1, 1, .1},
		"nothing came":      {counts(5, 5, 5, 5, 0), counts(5, 5, 5, 5, 0), 0, 0, math.NaN()},
		"counted anew":      {counts(500, 5, 505, 0, 0), counts(20, 0, 20, 0, 0), 2, 0, .0095},
	} {
		var m meter
		m.passed(c.before, begin)
		if m.traffic.Load() != nil {
			t.Errorf("%s: one look tells %+v", name, m.traffic.Load())
		}
		m.passed(c.next, begin.Add(10*time.Second))
		got := m.traffic.Load()
		if got == nil || got.Rate != c.rate || got.Errors != c.errors_ || (got.P95 == nil) != math.IsNaN(c.p95) {
			t.Errorf("%s: %+v, want %+v", name, got, c)
		} else if got.P95 != nil && math.Abs(*got.P95-c.p95) > 1e-9 {
			t.Errorf("%s: p95 %v, want %v", name, *got.P95, c.p95)
		}
	}
}
