package listener

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

// Guard watches the folders of the public sockets, so that a name that somebody removed is back
// within milliseconds. Where inotify cannot be had, the next health probe finds it missing.
type Guard struct {
	log     hclog.Logger
	watcher *fsnotify.Watcher // nil: inotify cannot be had
	mu      sync.Mutex
	touched map[string]func() // by folder
}

// NewGuard returns a Guard that watches nothing yet.
func NewGuard(log hclog.Logger) *Guard {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("folders of sockets cannot be watched, a removed name is found by the next probe", "error", err)
		w = nil
	}
	return &Guard{log: log, watcher: w, touched: map[string]func(){}}
}

// Watch calls touched, which must not block, when a socket in dir may have lost its name; nil ends
// that.
func (g *Guard) Watch(dir string, touched func()) {
	if g.watcher == nil {
		return
	}
	g.mu.Lock()
	if touched == nil {
		delete(g.touched, dir)
	} else {
		g.touched[dir] = touched
	}
	g.mu.Unlock()
	if touched == nil {
		// It fails where the folder is gone or was never watched: nothing is left to undo.
		_ = g.watcher.Remove(dir)
		return
	}
	if err := g.watcher.Add(dir); err != nil {
		g.log.Warn("folder of a socket cannot be watched, a removed name is found by the next probe", "path", dir, "error", err)
	}
}

// Run passes on what the kernel reports until ctx ends.
func (g *Guard) Run(ctx context.Context) {
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
