package simulate

import (
	"context"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// blindHost finds everything healthy.
type blindHost struct{ actor.Host }

func (blindHost) Probe(context.Context, string, *config.Health, time.Duration) error { return nil }

// wallHost has a clock that measures nothing but what people have set.
type wallHost struct{ actor.Host }

func (h wallHost) Now() time.Time { return h.Host.Now().Round(0) }

// lazyOwn makes nothing again.
type lazyOwn struct{}

func (lazyOwn) Keep(ctx context.Context, _ func()) { <-ctx.Done() }

// patientEvents are in the file when Add returns.
type patientEvents struct {
	ports.EventFile
	inc *incarnation
}

func (e patientEvents) Add(line any) {
	e.inc.unblocked()
	e.EventFile.Add(line)
}

// deafWatcher tells of no edit of the inputs.
type deafWatcher struct{ ports.Watcher }

func (deafWatcher) C() <-chan []string { return nil }

// stuckUpgrader does not come back from an exec that failed.
type stuckUpgrader struct {
	ports.Upgrader
	inc *incarnation
}

func (u stuckUpgrader) Ask(ctx context.Context) (ports.Acceptance, error) {
	a, err := u.Upgrader.Ask(ctx)
	if err != nil {
		<-u.inc.gone
	}
	return a, err
}

// forgetfulUpgrader hands no socket over.
type forgetfulUpgrader struct{ ports.Upgrader }

func (u forgetfulUpgrader) Execute(s ports.Succession) error {
	s.Sockets = nil
	return u.Upgrader.Execute(s)
}
