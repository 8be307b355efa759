package supervisor

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// guard watches the folders of the public sockets, so that a name that
// somebody removed is back within milliseconds. Where inotify cannot be had,
// the next health probe finds it missing.
type guard struct {
	log     hclog.Logger
	watcher *fsnotify.Watcher // nil: inotify cannot be had
	mu      sync.Mutex
	touched map[string]func() // by folder
}

func newGuard(log hclog.Logger) *guard {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("folders of sockets cannot be watched, a removed name is found by the next probe", "error", err)
		w = nil
	}
	return &guard{log: log, watcher: w, touched: map[string]func(){}}
}

// watch calls touched, which must not block, when a socket in dir may have
// lost its name.
func (g *guard) watch(dir string, touched func()) {
	if g.watcher == nil {
		return
	}
	g.mu.Lock()
	g.touched[dir] = touched
	g.mu.Unlock()
	if err := g.watcher.Add(dir); err != nil {
		g.log.Warn("folder of a socket cannot be watched, a removed name is found by the next probe", "path", dir, "error", err)
	}
}

// forget undoes watch.
func (g *guard) forget(dir string) {
	if g.watcher == nil {
		return
	}
	g.mu.Lock()
	delete(g.touched, dir)
	g.mu.Unlock()
	// It errs where the folder is gone or was never watched: nothing is left to undo.
	_ = g.watcher.Remove(dir)
}

// run passes on what the kernel reports until ctx ends.
func (g *guard) run(ctx context.Context) {
	if g.watcher == nil {
		return
	}
	defer g.watcher.Close() // closes inotify; there is nothing to lose
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-g.watcher.Events:
			if !ok {
				return
			}
			if e.Has(fsnotify.Write) || e.Has(fsnotify.Chmod) && !e.Has(fsnotify.Remove) {
				continue
			}
			g.mu.Lock()
			touched := g.touched[filepath.Dir(e.Name)]
			g.mu.Unlock()
			if touched != nil {
				touched()
			}
		case err, ok := <-g.watcher.Errors:
			if !ok {
				return
			}
			g.log.Warn("folders of sockets are not watched closely, a removed name is found by the next probe", "error", err)
		}
	}
}

// nameTouched tells an actor that its public socket may have lost its name.
type nameTouched struct{}

// keepName gives the public socket its name back, where somebody took it. A
// socket that cannot have it again is replaced by that of another generation.
func (a *actor) keepName() machine.Event {
	if a.public == nil {
		return nil
	}
	named := a.public.l.Named()
	err := a.public.l.Restore()
	switch {
	case err == nil && !named:
		a.log.Warn("public socket had lost its name and has it back", "path", a.socketPath)
	case err == nil:
	case named:
		a.log.Debug("spare name of the public socket cannot be made", "error", err)
	case errors.Is(err, listener.ErrNoSpare) && a.state.Candidate.N == 0:
		a.log.Error("public socket has lost its name for good, another takes its place", "error", err)
		return machine.RestartNow{}
	default:
		a.log.Error("public socket has lost its name", "error", err)
	}
	return nil
}
