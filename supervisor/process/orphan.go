package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Subreaper makes us the parent of the orphans among our descendants (PR_SET_CHILD_SUBREAPER,
// prctl(2), Linux 3.4): then a Table can reap them, and a tree leaves no zombie. Pid 1 is that
// anyway.
func Subreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", os.NewSyscallError("prctl", err))
	}
	return nil
}

func isSubreaper() bool {
	if os.Getpid() == 1 {
		return true
	}
	var on int32
	err := prctlGet(unix.PR_GET_CHILD_SUBREAPER, &on)
	return err == nil && on != 0
}

// reapOrphan takes a zombie of a tree, where it has become our child.
func (t *Table) reapOrphan(p proc) {
	if p.ppid != os.Getpid() {
		return
	}
	t.moving.RLock()
	defer t.moving.RUnlock()
	fd, err := openMember(p)
	if fd < 0 || err != nil {
		return // gone, or found again by the next sweep
	}
	reap(fd)
	unix.Close(fd)
}

const (
	// sweepAfter is the pause between a death and the search for zombies that nobody waited for.
	sweepAfter = time.Second
	// orphanAge is how long a zombie must have been seen before it is taken for an orphan: children
	// of os/exec are waited for at once.
	orphanAge = 5 * time.Second
)

// sweep reaps orphans that die at other times than when their tree is ended: daemons that a child
// started, or anything, where we are pid 1 of a container.
func (t *Table) sweep(ctx context.Context, died <-chan os.Signal) {
	seen := make(map[procID]time.Time)
	timer := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-died:
			timer.Reset(sweepAfter)
			// Deaths meanwhile are part of the same sweep.
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Reset(0)
		case <-timer.C:
			if t.sweepOnce(ctx, seen, orphanAge) {
				timer.Reset(orphanAge)
			}
		}
	}
}

// sweepOnce reports whether there are zombies left that are too young. It costs one system call
// where there is no zombie at all.
func (t *Table) sweepOnce(ctx context.Context, seen map[procID]time.Time, age time.Duration) bool {
	var info siginfo
	if err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT); err != nil || info.pid == 0 || !isSubreaper() {
		clear(seen)
		return false
	}
	snap, err := t.scans.fresh(ctx)
	if err != nil {
		if !errors.Is(err, errClosed) && ctx.Err() == nil {
			t.log.Warn("orphans are not looked for", "error", err)
		}
		return false
	}
	ours := t.leaders()
	now := time.Now()
	zombies := make(map[procID]bool)
	for _, i := range snap.byParent[os.Getpid()] {
		p := snap.procs[i]
		if !p.dead() || ours[p.pid] {
			continue
		}
		if at, ok := seen[p.id()]; !ok {
			seen[p.id()] = now
		} else if now.Sub(at) >= age {
			t.log.Debug("orphan reaped", "pid", p.pid)
			t.reapOrphan(p)
			continue
		}
		zombies[p.id()] = true
	}
	for id := range seen {
		if !zombies[id] {
			delete(seen, id)
		}
	}
	return len(zombies) > 0
}

// leaders returns the pids of the children whose exit was not collected yet.
func (t *Table) leaders() map[int]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	pids := make(map[int]bool)
	for _, w := range t.watches {
		if w.child != nil {
			pids[w.child.pid] = true
		}
	}
	return pids
}
