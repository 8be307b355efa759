// Package meter measures what builds use: memory, CPU, clients that wait, and how long probes take.
package meter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Options is what Meters is given.
type Options struct {
	// Trees finds out what processes use.
	Trees interface {
		Usage(ctx context.Context, trees []actor.Tree) ([]world.Usage, error)
	}
	Builds func() []*actor.Actor // those that there are now
	// Requests returns the counts of the builds to which the front passes requests; nil: there is no front.
	Requests func() []control.Requests
	Task     func(func())    // runs a function concurrently
	Hard     context.Context // ends looks that nobody waits for
	Log      hclog.Logger
}

// Meters is what is measured of each build. Any goroutine may use it.
type Meters struct {
	Options
	look look

	mu sync.Mutex
	by map[string]*meter
}

// New returns Meters that have measured nothing yet.
func New(o Options) *Meters { return &Meters{Options: o, by: map[string]*meter{}} }

// Reading is what a build used when it was last looked at; 0: that is not known.
type Reading struct {
	Memory uint64  // bytes
	CPU    float64 // cores, since the look before or else since it began to serve
	Queue  int     // clients waiting; -1: not known

	Traffic *control.Traffic // nil: the front passes it nothing, or that is not known yet
}

// Of returns what a build used when it was last looked at.
func (m *Meters) Of(name string) Reading {
	one := m.of(name)
	r := Reading{Queue: int(one.queue.Load()), Traffic: one.traffic.Load()}
	if u := one.usage.Load(); u != nil {
		r.Memory, r.CPU = u.memory, u.cpu
	}
	return r
}

// Probed records how long a probe of a build took.
func (m *Meters) Probed(name string, took time.Duration) { m.of(name).probed(took) }

// of returns the meter of a build, making it if there is none.
func (m *Meters) of(name string) *meter {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, ok := m.by[name]
	if !ok {
		one = &meter{}
		m.by[name] = one
	}
	return one
}

// Forget drops what is known of a removed build.
func (m *Meters) Forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.by, name)
}

// meter is what is measured of one build. The zero meter is ready.
type meter struct {
	usage atomic.Pointer[usage]
	queue atomic.Int32 // clients waiting at the last look; -1: not known

	traffic atomic.Pointer[control.Traffic]

	mu      sync.Mutex // guards what follows
	kept    []control.Sample
	probes  int // since the last sample
	latency time.Duration

	requests control.Requests // counts, and when they were taken
	counted  time.Time
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
