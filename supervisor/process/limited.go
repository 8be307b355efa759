package process

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// limit makes the cgroups for the limits of a child that is about to be started. The result is nil
// where there can be none, and none were asked for.
func (t *Table) limit(s Spec, img *image) (*limits.Group, error) {
	if t.room == nil {
		if s.Limits != (limits.Limits{}) {
			return nil, errors.New("its limits cannot be applied: no cgroups are used")
		}
		return nil, nil
	}
	own := img.cgroup
	if img.outside != nil {
		own = ""
	}
	group, enter, err := t.room.Make(s.Limits, s.tag(), own, s.pool())
	if err != nil {
		return nil, err
	}
	img.groups, img.limited = enter, s.Limits.Count() > len(enter)
	return group, nil
}

// forkFailure says why there is no new process.
func (img *image) forkFailure(errno syscall.Errno) error {
	if errno == unix.EAGAIN && img.spec.Limits.Tasks != 0 {
		return fmt.Errorf("start %s: there are as many processes and threads as limits.tasks allows: %w", img.path, errno)
	}
	return fmt.Errorf("start %s: fork: %w", img.path, errno)
}

// openGroups opens what the child enters its groups by.
func (img *image) openGroups() ([]int, error) {
	var all []int
	for _, dir := range img.groups {
		fd, err := openCgroup(dir, true)
		if err != nil {
			return nil, fmt.Errorf("start %s: its limits: %w", img.path, &fsError{filepath.Join(dir, "cgroup.procs"), err})
		}
		img.opened, all = append(img.opened, fd), append(all, fd)
	}
	return all, nil
}

// fsError is an error of a file that has no *os.File.
type fsError struct {
	path string
	err  error
}

func (e *fsError) Error() string { return "open " + e.path + ": " + e.err.Error() }
func (e *fsError) Unwrap() error { return e.err }

// mustEnter are the cgroups outside of which the child must not run.
func (img *image) mustEnter() []string {
	if img.limited {
		return append([]string{img.cgroup}, img.groups...)
	}
	return img.groups
}

// enterCgroup brings the calling process into a cgroup.
func enterCgroup(dir string) error {
	fd, err := openCgroup(dir, true)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte("0"))
	return errors.Join(err, unix.Close(fd))
}

// rlimitFailure names the first rlimit that is above what we have and may not raise.
func (img *image) rlimitFailure(errno syscall.Errno) error {
	for _, r := range img.spec.Rlimits {
		var ours unix.Rlimit
		if err := unix.Getrlimit(r.Resource, &ours); err == nil && r.Max > ours.Max {
			return fmt.Errorf("set limits.%s to %d: %w: the supervisor's own is %d and only root may raise it", rlimitName(r.Resource), r.Max, errno, ours.Max)
		}
	}
	return fmt.Errorf("set its limits: %w", errno)
}

func rlimitName(resource int) string {
	switch resource {
	case unix.RLIMIT_NOFILE:
		return "nofile"
	case unix.RLIMIT_CORE:
		return "core"
	}
	return fmt.Sprint("rlimit ", resource)
}

// Bound sets what all trees that are Within that pool may use together, in addition to the limits of
// each: from now on, or from when the first of them is started. In a table without cgroups there are
// no limits to set.
func (t *Table) Bound(pool string, l limits.Limits) error {
	if t.room == nil {
		return nil // what has limits is not started
	}
	return t.room.Bound(pool, l)
}

// findLimits finds the limits of a tree that was started before.
func (c *Child) findLimits() {
	if c.table.room != nil {
		c.group = c.table.room.Of(c.tag, c.cgroup, c.pid)
		c.kills = c.group.OOMKills() // those of then are not ours to tell
	}
}

// SetLimits changes the limits of the tree while it is running. A limit of a kind that it was started
// without is left out, because what it has used so far would not count.
func (c *Child) SetLimits(l limits.Limits) error {
	if c.group == nil {
		return nil // it was started without
	}
	return c.group.Set(l)
}

// OOMKills is how many processes of the tree the kernel has killed, since it came to us, because
// memory ran out. It is known only where the tree has a limit of memory, also after its end.
func (c *Child) OOMKills() int {
	if c.group == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = c.group.OOMKills()
	return int(c.told - min(c.told, c.kills))
}

// OutOfMemory says which limit the kills of OOMKills were for.
func (c *Child) OutOfMemory() OutOfMemory {
	if c.group == nil {
		return OutOfMemory{}
	}
	return OutOfMemory{c.group.Memory()}
}

// withOutOfMemory adds to an exit that the kernel killed the child because memory ran out: it was
// killed, or nobody knows how it ended, and there is a kill of that kind of which OOMKills has not told.
// It requires c.mu to be held.
func (c *Child) withOutOfMemory(e Exit) Exit {
	if c.group == nil || e.Signal != unix.SIGKILL && !e.Unknown || c.group.OOMKills() <= max(c.told, c.kills) {
		return e
	}
	e.Signal, e.Unknown, e.OOM = unix.SIGKILL, false, &OutOfMemory{c.group.Memory()}
	return e
}

// limitedPids are the live processes that are in the tree's cgroups of v1.
func (c *Child) limitedPids() []int {
	if c.group == nil || c.cgroup != "" { // then they are all in that
		return nil
	}
	return c.group.Pids()
}

// dropLimits removes the cgroups of a tree that has ended.
func (c *Child) dropLimits() {
	if c.group == nil {
		return
	}
	c.group.OOMKills() // it remembers them
	if err := c.group.Remove(); err != nil {
		c.table.log.Debug("cgroup of a tree's limits cannot be removed", "pid", c.pid, "error", err)
	}
}
