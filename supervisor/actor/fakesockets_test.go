package actor

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// sockets is Sockets.
type sockets struct{ *world }

func (w sockets) Bind(path string, _ *config.Build) (public.Listener, error) {
	l, err := w.folder.Bind(path)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (w sockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	var lost error
	w.do(func() { lost = w.lost })
	if lost != nil {
		return nil, lost
	}
	if inode == 0 {
		if l := w.folder.At(path); l != nil {
			inode = l.Inode()
		}
	}
	if !w.HeldBy(inode, pids...) {
		return nil, fmt.Errorf("nobody holds it: %w", fs.ErrNotExist)
	}
	for _, l := range w.folder.Open() {
		if l.Inode() == inode {
			return l, nil
		}
	}
	return nil, fs.ErrNotExist
}

func (w sockets) HeldBy(inode uint64, pids ...int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.trees, func(t *tree) bool {
		holds := slices.Contains(pids, t.pid) && !t.dead || slices.Contains(pids, t.pid+500)
		return t.sock != nil && t.sock.Inode() == inode && holds && !t.gone
	})
}

func (w sockets) Remove(path string) error { return w.folder.Remove(path) }

func (w sockets) Guard(_ layout.Build, touched func()) { w.do(func() { w.guard = touched }) }
