package meter

import (
	"context"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// The dashboard shows an hour.
const (
	sampleFirst = 5 * time.Second
	sampleEvery = 30 * time.Second
	samplesKept = int(time.Hour / sampleEvery)
)

// Sample measures the builds periodically while there is a dashboard to show it, until ctx ends.
func (m *Meters) Sample(ctx context.Context, shown func() bool) {
	select { // a build that has just been started gives no useful sample
	case <-time.After(sampleFirst):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		m.Traffic(time.Now())
		if shown() {
			m.SampleOnce(time.Now())
		} else {
			for _, a := range m.Builds() {
				m.of(a.Name()).drop()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// SampleOnce adds a sample of every build.
func (m *Meters) SampleOnce(now time.Time) {
	m.Usage(m.Hard)
	for _, a := range m.Builds() {
		used := m.Of(a.Name())
		next := control.Sample{Time: now, Queue: used.Queue, Requests: used.Traffic}
		if a.View().Tree != nil {
			next.Memory, next.CPU = used.Memory, used.CPU
		}
		m.of(a.Name()).add(next)
	}
}

// Samples returns how the builds did in the last hour, if a dashboard is served.
func (m *Meters) Samples() control.Samples {
	all := control.Samples{Every: sampleEvery.Seconds(), Builds: map[string][]control.Sample{}}
	for _, a := range m.Builds() {
		all.Builds[a.Name()] = m.of(a.Name()).samples()
	}
	return all
}
