package actor

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
)

// releases is Releases.
type releases struct{ *world }

func (w releases) Make(ctx context.Context, r build.Request) (build.Release, bool, error) {
	half := func(step string, n int) error {
		var takes time.Duration
		w.do(func() { takes = w.takes })
		r.Progress(build.Progress{Step: step, N: n, Of: 2})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takes):
		}
		r.Progress(build.Progress{Step: step, N: n, Of: 2, Done: true, Elapsed: takes})
		return nil
	}
	var inputs string
	w.do(func() { inputs = w.inputs })
	if !r.Force {
		r.Because([]string{inputs + " changed"})
	}
	if err := half("install", 1); err != nil {
		return build.Release{}, false, err
	}
	if r.Build.Migrate {
		r.Irreversible()
	}
	if err := half("migrate", 2); err != nil {
		return build.Release{}, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["Make"]; err != nil {
		return build.Release{}, false, err
	}
	if id, ok := w.made[inputs]; ok && !r.Force {
		for _, rel := range w.kept {
			if rel.ID == id {
				return rel, false, nil
			}
		}
	}
	rel := build.Release{ID: fmt.Sprintf("r%d", len(w.kept)+1), Dir: "/release", Venv: "/venv", Commit: w.commit, By: r.By}
	if !r.Force {
		rel.Because = []string{inputs + " changed"}
	}
	w.by = r.By
	w.kept, w.made[inputs] = append(w.kept, rel), rel.ID
	return rel, true, nil
}

func (w releases) Check(ctx context.Context, l build.Look) error {
	var takes time.Duration
	w.do(func() { w.looks, takes = append(w.looks, l), w.takes })
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takes):
	}
	return w.failing("Check")
}

func (w releases) Get(_, id string) (build.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rel := range w.kept {
		if rel.ID == id {
			return rel, w.fails["Get"]
		}
	}
	return build.Release{}, fs.ErrNotExist
}

func (w releases) List(string) ([]build.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.kept), w.fails["List"]
}

func (w releases) Own(context.Context, string, config.Identity, ...string) error {
	return w.failing("Own")
}

func (w releases) Prune(_ *config.Build, inUse ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inUse = inUse
	return w.fails["Prune"]
}

func (w releases) SetCurrent(_, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = id
	return w.fails["SetCurrent"]
}

func (w releases) StageStatics(ctx context.Context, _ *config.Build, id string) error {
	var takes time.Duration
	w.do(func() { takes = w.statics.takes })
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.statics.staged = append(w.statics.staged, id)
	return w.fails["StageStatics"]
}

func (w releases) PublishStatics(ctx context.Context, _ *config.Build, id string) error {
	var hangs time.Duration
	w.do(func() { hangs = w.statics.hangs })
	select {
	case <-time.After(hangs):
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.fails["PublishStatics"]; err != nil {
		return err
	}
	w.statics.published = append(w.statics.published, id)
	return nil
}
