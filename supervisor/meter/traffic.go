package meter

import (
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Traffic measures what the front has passed to each build since it was called last, for what Of returns
// and the next sample.
func (m *Meters) Traffic(now time.Time) {
	if m.Requests == nil {
		return
	}
	counts := map[string]control.Requests{}
	for _, r := range m.Requests() {
		counts[r.Build] = r
	}
	for _, a := range m.Builds() {
		one := m.of(a.Name())
		if r, routed := counts[a.Name()]; routed {
			one.passed(r, now)
		} else {
			one.traffic.Store(nil)
		}
	}
}

// passed takes up the counts of a build's requests at a moment.
func (m *meter) passed(next control.Requests, now time.Time) {
	m.mu.Lock()
	before, since := m.requests, m.counted
	m.requests, m.counted = next, now
	m.mu.Unlock()
	if since.IsZero() || !now.After(since) {
		return // there is nothing to compare it with
	}
	m.traffic.Store(trafficOf(before, next, now.Sub(since)))
}

// trafficOf is how often requests came between two counts, and how fast they were answered.
func trafficOf(before, next control.Requests, took time.Duration) *control.Traffic {
	if next.Total() < before.Total() || len(before.Took) != len(next.Took) {
		before = control.Requests{Took: make([]uint64, len(next.Took))} // it was counted from the beginning again
	}
	t := &control.Traffic{
		Rate:   float64(next.Total()-before.Total()) / took.Seconds(),
		Errors: float64(next.Codes["5xx"]-min(next.Codes["5xx"], before.Codes["5xx"])) / took.Seconds(),
	}
	slow := make([]uint64, len(next.Took))
	for i := range slow {
		slow[i] = next.Took[i] - min(next.Took[i], before.Took[i])
	}
	if p95, ok := quantile(.95, slow, next.Waits); ok {
		t.P95 = &p95
	}
	return t
}

// quantile estimates a quantile in seconds, as Prometheus does: within a bucket evenly, and beyond the
// last bound that bound. It is false where nothing was counted.
func quantile(q float64, took []uint64, bounds []time.Duration) (float64, bool) {
	all := uint64(0)
	for _, n := range took {
		all += n
	}
	if all == 0 || len(bounds) == 0 || len(took) != len(bounds)+1 {
		return 0, false
	}
	rank, below := q*float64(all), 0.0
	for i, n := range took[:len(bounds)] {
		if below+float64(n) >= rank && n > 0 {
			from := 0.0
			if i > 0 {
				from = bounds[i-1].Seconds()
			}
			return from + (bounds[i].Seconds()-from)*(rank-below)/float64(n), true
		}
		below += float64(n)
	}
	return bounds[len(bounds)-1].Seconds(), true
}
