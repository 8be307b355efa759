package statics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// Request says whose static files are meant.
type Request struct {
	Build   layout.Build
	Release string          // of the build
	Root    string          // its STATIC_ROOT, absolute
	As      config.Identity // the build's user
}

// Publisher publishes the static files of builds. Its methods may be called from many goroutines;
// those of one build wait for each other.
type Publisher struct {
	log hclog.Logger

	mu     sync.Mutex // guards builds
	builds map[layout.Build]*work
}

// work is what a Publisher does for one build.
type work struct {
	turn   chan struct{} // holds a value while it is being worked on
	staged *plan         // what is ready to go live; nil: nothing
}

// New makes a Publisher.
func New(log hclog.Logger) *Publisher {
	return &Publisher{log: log, builds: map[layout.Build]*work{}}
}

// begin waits for the turn of a build. end gives it to the next.
func (p *Publisher) begin(ctx context.Context, b layout.Build) (w *work, end func(), err error) {
	p.mu.Lock()
	w = p.builds[b]
	if w == nil {
		w = &work{turn: make(chan struct{}, 1)}
		p.builds[b] = w
	}
	p.mu.Unlock()
	select {
	case w.turn <- struct{}{}:
		return w, func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
}

// Stage prepares all that Publish needs for a release, without changing a file that is served.
func (p *Publisher) Stage(ctx context.Context, r Request) error {
	w, end, err := p.begin(ctx, r.Build)
	if err != nil {
		return explain(r, err)
	}
	defer end()
	w.staged, err = stage(ctx, r, true)
	return explain(r, err)
}

// Publish makes STATIC_ROOT hold the files of a release. Where Stage prepared that, it takes one
// system call until they are live.
func (p *Publisher) Publish(ctx context.Context, r Request) error {
	w, end, err := p.begin(ctx, r.Build)
	if err != nil {
		return explain(r, err)
	}
	defer end()
	ready := w.staged
	w.staged = nil
	if ready == nil || ready.Release != r.Release || ready.Root != r.Root {
		if ready, err = stage(ctx, r, true); err != nil {
			return explain(r, err)
		}
	}
	err = ready.publish(ctx)
	if errors.Is(err, fs.ErrNotExist) { // somebody removed or replaced what was looked at
		if ready, err = stage(ctx, r, true); err == nil {
			err = ready.publish(ctx)
		}
	}
	if errors.Is(err, errNoExchange) {
		p.log.Debug("folders of static files cannot exchange their names", "path", r.Root, "error", err)
		if ready, err = stage(ctx, r, false); err == nil {
			err = ready.publish(ctx)
		}
	}
	return explain(r, err)
}

func explain(r Request, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("publish the static files of release %s to STATIC_ROOT %s: %w", r.Release, r.Root, err)
}

// publish makes a plan come true. The record names the files of before and after until all is done,
// so that whoever finds it half done knows what may be removed.
func (p *plan) publish(ctx context.Context) error {
	if !p.changes() {
		if p.now.Release == p.Release {
			return nil
		}
		return p.after().write(p.Build)
	}
	if err := p.between().write(p.Build); err != nil {
		return err
	}
	err := with(p.As, func() error {
		if p.whole {
			return p.exchange()
		}
		return p.replace(ctx)
	})
	if err != nil {
		return err
	}
	return p.after().write(p.Build)
}

// Usable makes a folder that is to be a STATIC_ROOT where it is missing. It fails where the build's
// user may not write there.
func Usable(dir string, as config.Identity) error {
	return with(as, func() error {
		if err := makeFolder(dir); err != nil {
			return err
		}
		return writable(dir)
	})
}
