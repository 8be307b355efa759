// Package prebuild works with releases without a supervisor, for images and CI: it makes them ([Build]),
// and starts commands in them ([Command]).
package prebuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// Options is what [Build] is given.
type Options struct {
	Root  string       // absolute: where the release is made, whatever the file's root is
	Entry config.Build // its migrate says whether databases are migrated
	Log   hclog.Logger
	Say   func(line string) // is told of each step as it begins, and of what people should know
}

// Built is a release that [Build] made, or found.
type Built struct {
	Release, Dir, Venv string
	Fresh              bool // false: one of the same inputs was there
	Took               time.Duration
}

// Build makes a release of one entry without serving it. A supervisor that has the same entry serves it
// as it is where it lies in that one's root, or with supervisor.Options.Prebuilt. It fails where a supervisor is
// running on the root.
func Build(ctx context.Context, o Options) (_ Built, err error) {
	begun := time.Now()
	w, err := world.NewWorkshop(layout.Root(o.Root), os.Environ(), o.Log)
	if err != nil {
		return Built{}, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := w.Tidy(o.Root, o.Entry.Name); err != nil {
		return Built{}, err
	}
	rel, fresh, err := w.Make(ctx, build.Request{
		Root: o.Root, Build: o.Entry,
		Progress: func(p build.Progress) {
			if !p.Done {
				o.Say(stepWords(p))
			}
		},
		Remark: o.Say,
	})
	if err != nil {
		return Built{}, err
	}
	if err := build.SetCurrent(o.Root, o.Entry.Name, rel.ID); err != nil {
		return Built{}, err
	}
	return Built{Release: rel.ID, Dir: rel.Dir, Venv: rel.Venv, Fresh: fresh, Took: time.Since(begun)}, nil
}

func stepWords(p build.Progress) string {
	if p.Of == 0 {
		return p.Step
	}
	return fmt.Sprintf("step %d of %d: %s", p.N, p.Of, p.Step)
}
