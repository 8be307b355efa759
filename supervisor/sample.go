package supervisor

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

// sampleBuilds measures the builds periodically while there is a dashboard to show it, until ctx
// ends.
func (s *Supervisor) sampleBuilds(ctx context.Context) {
	select { // a build that has just been started gives no useful sample
	case <-time.After(sampleFirst):
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		f := s.fleet.Load()
		if f.cfg.Supervisor.Dashboard != "" {
			s.sampleOnce(time.Now())
		} else {
			for name := range f.actors {
				s.reports.meters.of(name).drop()
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
	s.lookAtUsage(s.shared.Hard)
	for name, a := range s.fleet.Load().actors {
		m := s.reports.meters.of(name)
		next := control.Sample{Time: now, Queue: int(m.queue.Load())}
		if u := m.usage.Load(); u != nil && a.View().Tree != nil {
			next.Memory, next.CPU = u.memory, u.cpu
		}
		m.add(next)
	}
}

// Samples returns how the builds did in the last hour, if a dashboard is served.
func (s *Supervisor) Samples() control.Samples {
	all := control.Samples{Every: sampleEvery.Seconds(), Builds: map[string][]control.Sample{}}
	for name := range s.fleet.Load().actors {
		all.Builds[name] = s.reports.meters.of(name).samples()
	}
	return all
}
