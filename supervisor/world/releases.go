package world

import (
	"context"
	"io/fs"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// releases is this machine's disk as a World's Releases. Make, SetParallel and SetCollectors are
// the Maker's.
type releases struct {
	*build.Maker
	root layout.Root
}

// Get returns one release.
func (r releases) Get(name, id string) (build.Release, error) {
	return build.Get(string(r.root), name, id)
}

// List returns the releases of a build, oldest first.
func (r releases) List(name string) ([]build.Release, error) {
	return build.List(string(r.root), name)
}

// Own gives a build's files to whom it runs as.
func (r releases) Own(ctx context.Context, name string, as config.Identity, except ...string) error {
	return build.Own(ctx, string(r.root), name, as, except...)
}

// Prune removes those that are too old.
func (r releases) Prune(entry *config.Build, inUse ...string) error {
	return build.Prune(string(r.root), *entry, inUse...)
}

// SetCurrent makes the link `current` lead to a release.
func (r releases) SetCurrent(name, id string) error {
	if err := setAside(r.root.Build(name).Current(), fs.ModeSymlink, r.Log); err != nil {
		return err
	}
	return build.SetCurrent(string(r.root), name, id)
}

// StageStatics prepares the static files of a release.
func (r releases) StageStatics(ctx context.Context, entry *config.Build, id string) error {
	return r.Maker.StageStatics(ctx, string(r.root), *entry, id)
}

// PublishStatics makes the static files of a release live.
func (r releases) PublishStatics(ctx context.Context, entry *config.Build, id string) error {
	return r.Maker.PublishStatics(ctx, string(r.root), *entry, id)
}

// Why says whether an attempt would make a release, and why.
func (r releases) Why(ctx context.Context, entry *config.Build) (build.Difference, error) {
	return r.Maker.Why(ctx, build.Request{Root: string(r.root), Build: *entry})
}

// Tidy looks for half releases of an earlier run, which rest removes.
func (r releases) Tidy(name string) (rest func() error, err error) {
	return r.Maker.TidyLater(string(r.root), name)
}
