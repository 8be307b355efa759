package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ask asks the tree to end: its group by SIGTERM or, where a signal was set for the child, the child alone
// by that and once. It sees to its own: a pool whose workers each get a signal too loses what they are
// at. What is stopped goes on.
func (c *Child) Ask() error {
	if !c.isAskedAlone() {
		return c.SignalGroup(unix.SIGTERM)
	}
	c.mu.Lock()
	asked := c.asked
	c.asked = true
	c.mu.Unlock()
	if asked {
		return nil // some take a second one for an order to drop everything
	}
	err := c.signalAlone(c.StopSignal())
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask process %d to end: %w", c.pid, err)
	}
	return c.signalGroupOrLater(unix.SIGCONT)
}

// isAskedAlone says that the rest of the tree is asked once the child has ended.
func (c *Child) isAskedAlone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop != 0
}

func (c *Child) signalAlone(sig syscall.Signal) error {
	if !c.lost {
		return c.Signal(sig)
	}
	return c.table.signalMember(c.self(), nil, sig)
}

// self is the child as it would be found.
func (c *Child) self() proc { return proc{stat: stat{pid: c.pid, start: c.start}} }

// askAlone asks a child that is asked alone and waits for it, until it is time to kill or ctx ends.
func (e *ending) askAlone(ctx context.Context, kill <-chan time.Time) error {
	if !e.isAskedAlone() {
		return nil
	}
	if err := e.Ask(); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	w := &watch{done: e.done}
	if e.lost {
		var err error
		if w, err = e.table.watchMember(e.self()); err != nil || w == nil {
			return nil // it is gone, or the rest is waited for without it
		}
		defer e.table.forget(w)
	}
	e.wait(ctx, []*watch{w}, false, kill)
	return ctx.Err()
}
