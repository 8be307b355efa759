package world

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// own keeps the supervisor's own folder as the supervisor made it, whatever somebody removes or
// changes there (Own).
type own struct {
	root     layout.Root
	id       string
	lock     *state.Locked
	commands *commands
	watcher  *watch.Watcher
	log      hclog.Logger
	trouble  string // that was logged last
}

// ownEvery is how often the folder is looked at without being told of a change: not everything is
// told (the mode of a record), and not everywhere.
const ownEvery = 30 * time.Second

// Keep restores what is lost, until ctx ends.
func (o *own) Keep(ctx context.Context, lost func()) {
	o.watcher.Set([]watch.Target{{
		ID:    o.root.Own(),
		Files: append(state.Files(o.root.Own()), o.root.Control(), o.root.LastGood()),
		Trees: []string{o.root.State()},
	}})
	defer func() {
		if err := o.watcher.Close(); err != nil {
			o.log.Debug("watch ends badly", "error", err)
		}
	}()
	tick := time.NewTicker(ownEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		o.restore()
		lost()
		select {
		case <-o.watcher.C():
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// restore makes again what is not as it should be, all that can be.
func (o *own) restore() {
	errs := []error{
		reclaim(o.log, string(o.root), o.root.Own(), o.root.State(), o.root.Logs()),
		files{}.MakeFolder(string(o.root), 0o755),
		setOwnAside(o.root, o.log),
		state.Passage(o.root.Own(), o.commands.group()),
		state.Private(o.root.State()),
		dropForeign(state.IDFile(o.root.Own()), o.root.LastGood()),
		closeForeign(o.root.Events(), state.LockFile(o.root.Own())),
		o.lock.Restore(),
		state.RestoreRootID(o.root.Own(), o.id),
		o.commands.restore(),
	}
	// After an upgrade a child that is about to execute its program may hold the lock from before.
	if holder, err := o.lock.LockRoot(); holder != os.Getpid() {
		errs = append(errs, err)
	}
	trouble := ""
	if err := errors.Join(errs...); err != nil {
		trouble = err.Error()
	}
	if trouble != "" && trouble != o.trouble {
		o.log.Error("the supervisor's own folder is not as it should be, it is tried again", "path", o.root.Own(), "error", trouble)
	}
	o.trouble = trouble
}
