package supervisor

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// meters is what is measured of each build. The zero meters is ready.
type meters struct {
	mu sync.Mutex
	by map[string]*meter
}

// of returns the meter of a build, making it if there is none.
func (m *meters) of(name string) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.by[name]
	if !ok {
		if m.by == nil {
			m.by = map[string]*meter{}
		}
		one = &meter{}
		m.by[name] = one
	}
	return one
}

func (m *meters) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, name)
}

// meter is what is measured of one build. The zero meter is ready.
type meter struct {
	usage atomic.Pointer[usage]
	queue atomic.Int32 // clients waiting at the last look; -1: not known

	mu      sync.Mutex // guards what follows
	kept    []control.Sample
	probes  int // since the last sample
	latency time.Duration
}

// usage is what the serving tree of a build used when it was looked at.
type usage struct {
	at     time.Time
	memory uint64
	totals map[int]time.Duration // of each tree, by its main process
	cpu    float64               // cores, since the previous look or else since it began to serve
}

// probed records how long a probe took.
func (m *meter) probed(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.probes++
	m.latency += took
}

func (m *meter) add(next control.Sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.probes > 0 {
		mean := m.latency.Seconds() / float64(m.probes)
		next.Latency = &mean
	}
	m.probes, m.latency = 0, 0
	if len(m.kept) == samplesKept {
		m.kept = m.kept[:copy(m.kept, m.kept[1:])]
	}
	m.kept = append(m.kept, next)
}

func (m *meter) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = nil
}

func (m *meter) samples() []control.Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]control.Sample{}, m.kept...)
}
