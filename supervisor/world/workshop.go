package world

import (
	"errors"
	"io/fs"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/handover"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// Workshop makes releases in a root that has no supervisor, and keeps any out meanwhile.
type Workshop struct {
	*build.Maker
	table *process.Table
	lock  *state.Locked
}

// NewWorkshop locks a root, which it makes where it is missing. environ is our own environment. The
// caller closes it. An error means that nothing was begun, such as that a supervisor has the root.
func NewWorkshop(root layout.Root, environ []string, log hclog.Logger) (_ *Workshop, err error) {
	for _, folder := range []struct {
		path string
		mode fs.FileMode
	}{{string(root), 0o755}, {root.Own(), 0o700}} {
		if err := (files{}).MakeFolder(folder.path, folder.mode); err != nil {
			return nil, err
		}
	}
	w := &Workshop{}
	if w.lock, err = takeLock(root, &handover.Handover{}); err != nil {
		return nil, err
	}
	if err = process.Subreaper(); err == nil {
		w.table, err = process.NewTable("", log.Named("process"))
	}
	if err != nil {
		return nil, errors.Join(err, w.lock.Release())
	}
	w.Maker = build.New(build.Options{Log: log.Named("build"), Environ: environ, Parallel: 1, Runner: newRunner(w.table)})
	return w, nil
}

// Close lets supervisors have the root.
func (w *Workshop) Close() error { return errors.Join(w.table.Close(), w.lock.Release()) }
