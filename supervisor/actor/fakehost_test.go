package actor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// host is Host.
type host struct{ *world }

func (w host) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.off == 0 {
		return time.Now()
	}
	return time.Now().Round(0).Add(w.off)
}

func (w host) Environ(*config.Build) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["Environ"]; err != nil {
		return nil, err
	}
	return slices.Clone(w.environ), nil
}

func (w host) MakeData(*config.Build, layout.Build) error { return w.failing("MakeData") }

func (w host) Identity(*config.Build) (config.Identity, error) {
	return config.Identity{UID: -1, GID: -1}, w.failing("Identity")
}

func (w host) Probe(ctx context.Context, socket string, _ *config.Health, timeout time.Duration) error {
	l, server := w.folder.At(socket), (*tree)(nil)
	w.mu.Lock()
	w.spans = append(w.spans, timeout)
	for _, t := range w.trees {
		if t.sock == l && !t.dead && !t.conduct.hung {
			server = t
		}
	}
	turn, answer := timeout+1, (*ProbeError)(nil)
	if server != nil {
		turn, answer = server.conduct.turn, server.conduct.answer
	}
	w.mu.Unlock()
	select {
	case <-time.After(min(turn, timeout)):
	case <-ctx.Done():
		turn = timeout + 1
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case turn > timeout:
		return &ProbeError{Late: true, Err: errors.New("no answer in time")}
	case answer != nil:
		return answer
	}
	return nil
}

func (w host) OutputSize(string) int64 { return 0 }

func (w host) Output(_ string, _ int64, n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output[max(len(w.output)-n, 0):]
}

func (w host) DropFiles(_ layout.Build, keep ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep = keep
	return w.fails["DropFiles"]
}

// records is Records.
type records struct{ *world }

func (w records) Save(_ string, r *state.Record) {
	w.do(func() { w.record, w.saved = r, w.saved+1 })
}

// Flush takes a moment, as a disk does.
func (w records) Flush(time.Duration) bool {
	time.Sleep(10 * time.Millisecond)
	w.do(func() { w.written = w.record })
	return true
}

// reports is Reports.
type reports struct{ *world }

func (w reports) Event(e Event) { w.do(func() { w.events = append(w.events, e) }) }

func (w reports) Built(_, result string) { w.do(func() { w.built = append(w.built, result) }) }

func (w reports) OOMKilled(_, _ string, n int) { w.do(func() { w.oomKilled += n }) }

func (w reports) Ran(_, name, result string, _ time.Duration) {
	w.do(func() { w.ran = append(w.ran, name+" "+result) })
}

func (w reports) Step(string, string, time.Duration) {}

func (w reports) Probed(_ string, _ time.Duration, answered bool) {}
