package process

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// killPatience is how long Wait waits for a tree to be gone after SIGKILL. A process that hangs in
// the kernel is no reason to hang as well.
const killPatience = 5 * time.Second

// Wait waits until the child has ended, or until ctx ends, and then ends its whole tree as End
// does: after its own exit at once, because what a one-off command leaves behind is of no use,
// otherwise with grace. It returns when nothing of the tree is running.
//
// It returns how the child ended. The error is the cause of ctx where that ended first. A tree that
// does not end even by SIGKILL is left alone after 5 seconds, which is logged.
func (c *Child) Wait(ctx context.Context, grace time.Duration) (Exit, error) {
	var cause error
	select {
	case <-c.done:
	default:
		select {
		case <-c.done:
		case <-ctx.Done():
			cause = context.Cause(ctx)
		}
	}
	if cause == nil {
		grace = 0
	}
	if cause == nil && c.leftNothing() {
		c.release()
	} else {
		limited, cancel := context.WithTimeout(context.Background(), grace+killPatience)
		defer cancel()
		if err := c.End(limited, grace); err != nil {
			c.table.log.Warn("command left processes that cannot be ended", "pid", c.pid, "error", err)
		}
	}
	exit, ended := c.Exited()
	if !ended {
		exit = Exit{Code: -1, Unknown: true}
	}
	return exit, cause
}

// leftNothing reports whether it is certain, without a reading of the process table, that the child
// left no process behind: it has ended, its group is empty and so is the cgroup in which it began.
func (c *Child) leftNothing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inside && c.reaped && c.empty && isEmptyCgroup(c.cgroup)
}

// FindTasks returns each Task that begins with prefix and of which a process is running or a cgroup
// is left, sorted, also of those that an earlier supervisor started. Processes count that user runs, or
// we ourselves: what another says of itself is not believed. It reads the process table.
func (t *Table) FindTasks(prefix string, user int) ([]string, error) {
	snap, err := t.scans.fresh(context.Background())
	if err != nil {
		return nil, fmt.Errorf("find tasks: %w", err)
	}
	var tasks []string
	add := func(tag string) {
		if task, ok := strings.CutPrefix(tag, taskPrefix); ok && strings.HasPrefix(task, prefix) {
			tasks = append(tasks, task)
		}
	}
	for tag, indexes := range snap.byTag {
		if slices.ContainsFunc(indexes, func(i int) bool {
			p := snap.procs[i]
			return !p.dead() && (p.uid == user || p.uid == os.Geteuid())
		}) {
			add(tag)
		}
	}
	for tag := range t.cgroups.each() {
		add(tag)
	}
	slices.Sort(tasks)
	return slices.Compact(tasks), nil
}

// EndTask ends what is left of a task, whichever supervisor started it, and returns when nothing of it
// is running. It works as End does; user is as with FindTasks.
func (t *Table) EndTask(ctx context.Context, task string, user int, grace time.Duration) error {
	tag := taskTag(task)
	c := t.childOf(tag)
	if c == nil {
		c = t.remains(0, 0, tag, user, os.Geteuid())
	}
	if err := c.End(ctx, grace); err != nil {
		return fmt.Errorf("end what is left of %s: %w", task, err)
	}
	return nil
}

// childOf returns the running child with that tag, or nil. Through another Child its exit would be
// taken from the one that is to tell it.
func (t *Table) childOf(tag string) *Child {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.watches {
		if w.child != nil && w.child.tag == tag {
			return w.child
		}
	}
	return nil
}
