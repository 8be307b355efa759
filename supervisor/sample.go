package supervisor

import (
	"context"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// The dashboard shows an hour.
const (
	sampleFirst = 5 * time.Second
	sampleEvery = 30 * time.Second
	samplesKept = int(time.Hour / sampleEvery)
)

// samples is how a build did lately. The zero samples is ready.
type samples struct {
	mu      sync.Mutex
	kept    []control.Sample
	probes  int // since the last sample
	latency time.Duration
}

// probed notes how long a probe took.
func (s *samples) probed(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes++
	s.latency += took
}

func (s *samples) add(next control.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probes > 0 {
		mean := s.latency.Seconds() / float64(s.probes)
		next.Latency = &mean
	}
	s.probes, s.latency = 0, 0
	if len(s.kept) == samplesKept {
		s.kept = s.kept[:copy(s.kept, s.kept[1:])]
	}
	s.kept = append(s.kept, next)
}

func (s *samples) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}

func (s *samples) all() []control.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]control.Sample{}, s.kept...)
}

// sampleBuilds looks at the builds from time to time while a dashboard is there to
// show it, until ctx ends.
func (s *Supervisor) sampleBuilds(ctx context.Context) {
	select { // what has just been started is no sample of anything
	case <-time.After(sampleFirst):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if s.current().Supervisor.Dashboard != "" {
			s.sampleOnce(time.Now())
		} else {
			for _, a := range s.all() {
				a.samples.drop()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Supervisor) sampleOnce(now time.Time) {
	s.lookAtUsage(s.hard)
	for _, a := range s.all() {
		next := control.Sample{Time: now, Queue: int(a.queue.Load())}
		if u := a.usage.Load(); u != nil && a.view.Load().child != nil {
			next.Memory, next.CPU = u.memory, u.cpu
		}
		a.samples.add(next)
	}
}

// Samples answers how the builds did in the last hour, where a dashboard is served.
func (s *Supervisor) Samples() control.Samples {
	all := control.Samples{Every: sampleEvery.Seconds(), Builds: map[string][]control.Sample{}}
	for _, a := range s.all() {
		all.Builds[a.name] = a.samples.all()
	}
	return all
}
