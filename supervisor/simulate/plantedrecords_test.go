package simulate

import (
	"context"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
	ports "github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// staleSchedules writes of schedules what it wrote of them first.
type staleSchedules struct {
	ports.Store
	inc *incarnation
}

func (b *staleSchedules) Save(name string, r state.Record) error {
	b.inc.w.mu.Lock()
	old, ok := b.inc.w.disk.records[name]
	b.inc.w.mu.Unlock()
	if ok && len(old.Schedules) > 0 && len(r.Schedules) > 0 {
		r.Schedules = old.Schedules
	}
	return b.Store.Save(name, r)
}

// trustingStore does not look.
type trustingStore struct{ ports.Store }

func (trustingStore) Intact(string) bool { return true }

// badStore writes nothing, something else, or deletes nothing.
type badStore struct {
	ports.Store
	never, keeps bool
	last         map[string]state.Record
}

func (b *badStore) Save(name string, r state.Record) error {
	if b.never {
		return nil
	}
	if b.last != nil {
		before, ok := b.last[name]
		b.last[name] = r
		if !ok {
			return nil
		}
		r = before
	}
	return b.Store.Save(name, r)
}

func (b *badStore) Delete(name string) error {
	if b.never || b.keeps {
		return nil
	}
	return b.Store.Delete(name)
}

// badReleases goes on with attempts that are cancelled, or prunes what is in use.
type badReleases struct {
	ports.Releases
	inc    *incarnation
	prunes bool
}

func (b badReleases) Make(ctx context.Context, r build.Request) (build.Release, bool, error) {
	if !b.prunes {
		ctx = context.WithoutCancel(ctx)
	}
	return b.Releases.Make(ctx, r)
}

func (b badReleases) Prune(entry *config.Build, inUse ...string) error {
	if b.prunes {
		inUse = nil
	}
	return b.Releases.Prune(entry, inUse...)
}

// hastyStatics publishes what is only to be prepared.
type hastyStatics struct{ ports.Releases }

func (b hastyStatics) StageStatics(ctx context.Context, entry *config.Build, id string) error {
	return b.Releases.PublishStatics(ctx, entry, id)
}

// idleStatics publishes nothing.
type idleStatics struct{ ports.Releases }

func (idleStatics) PublishStatics(context.Context, *config.Build, string) error { return nil }
