package supervisor

import (
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/meter"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// reports records what happens to builds (actor.Reports): for the followers of events, in the file
// of events, in metrics and in the dashboard's samples.
type reports struct {
	feed    *control.Feed
	file    world.EventFile
	metrics *control.Metrics
	meters  *meter.Meters

	restless restless
}

func newReports(file world.EventFile, past []byte, metrics *control.Metrics, meters *meter.Meters) *reports {
	return &reports{feed: control.NewFeed(past), file: file, metrics: metrics, meters: meters}
}

// Event tells the followers, and writes it down for the next run.
func (r *reports) Event(e actor.Event) {
	event := control.Event{Time: e.Time.UTC(), Build: e.Build, Event: e.Event, Release: e.Release, Pid: e.Pid, Reason: e.Reason, By: e.By}
	r.feed.Add(event)
	r.file.Add(event)
}

// Built counts an attempt.
func (r *reports) Built(name, result string) { r.metrics.Built(name, result) }

// Step measures a step of an attempt.
func (r *reports) Step(name, step string, took time.Duration) { r.metrics.Step(name, step, took) }

// Probed measures a health probe.
func (r *reports) Probed(name string, took time.Duration, ok bool) {
	r.metrics.Probed(name, took, ok)
	r.meters.Probed(name, took)
}

// OOMKilled counts processes that the kernel killed because memory ran out.
func (r *reports) OOMKilled(name, process string, processes int) {
	r.metrics.OOMKilled(name, process, processes)
}

// Ran counts a run of a schedule.
func (r *reports) Ran(name, schedule, result string, took time.Duration) {
	r.metrics.Ran(name, schedule, result, took)
}

// forget drops what is kept of a removed build.
func (r *reports) forget(name string) {
	r.metrics.Forget(name)
	r.meters.Forget(name)
	r.restless.set(name, "")
}

// Events returns past events, those of earlier runs included, and the ones to come.
func (s *Supervisor) Events() *control.Feed { return s.reports.feed }
