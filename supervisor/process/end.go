package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// End ends the child's whole tree and returns when nothing of it runs: SIGTERM to all, with SIGCONT so
// that what is stopped can finish what it holds (where it has a StopSignal, that to the child alone,
// and to the rest once it has ended, see Ask); after grace SIGKILL, again and again until no one is
// left. It also works after the child itself has ended, for what it left behind. With a grace of 0 it
// kills at once.
//
// When ctx ends first, End gives up, kills nothing more and returns an error that wraps ctx.Err;
// call it again to go on. A process that we have no right to signal, and that does not end, is an
// error.
func (c *Child) End(ctx context.Context, grace time.Duration) error {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return nil
	}
	if err := c.end(ctx, grace); err != nil {
		return fmt.Errorf("end the tree of process %d: %w", c.pid, err)
	}
	c.release()
	return nil
}

// release gives back what is kept to reach a tree that has ended.
func (c *Child) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.empty = true, true
	c.closePidfd()
	if c.cgroup != "" {
		if err := removeCgroup(c.cgroup); err != nil {
			c.table.log.Debug("cgroup of a tree cannot be removed", "pid", c.pid, "error", err)
		}
	}
	c.dropLimits()
}

// ending is one End.
type ending struct {
	*Child
	known   map[procID]bool // who was seen: found again when its parent is gone, or as a zombie that became ours
	told    map[procID]bool // who got SIGTERM
	killing bool
	unseen  time.Duration // how long to wait for those that cannot be watched
}

// procID is a process's identity within one boot.
type procID struct {
	pid   int
	start uint64
}

func (p proc) id() procID { return procID{p.pid, p.start} }

func (c *Child) end(ctx context.Context, grace time.Duration) error {
	e := &ending{Child: c, known: make(map[procID]bool), told: make(map[procID]bool), killing: grace <= 0, unseen: 10 * time.Millisecond}
	kill := time.NewTimer(grace)
	defer kill.Stop()
	if !e.killing {
		if err := e.askAlone(ctx, kill.C); err != nil {
			return err
		}
	}
	if !e.killing {
		if err := c.signalGroupOrLater(c.StopSignal(), unix.SIGCONT); err != nil {
			return err
		}
	}
	for first := true; ; first = false {
		snap, err := c.table.scans.fresh(ctx)
		if err != nil {
			return err
		}
		members := c.members(snap, e.known)
		if e.killing {
			// Only now: a process that has left the group may be known by its parent alone.
			if err := c.signalGroupOrLater(unix.SIGKILL); err != nil {
				return err
			}
			if c.cgroup != "" && !c.table.noCgroupKill {
				killCgroup(c.cgroup)
			}
		}
		watched, blind, err := e.tell(members, first)
		if err == nil && len(watched) == 0 && !blind {
			if e.wait(ctx, []*watch{{done: c.done}}, false, kill.C) && len(cgroupPids(c.cgroup)) == 0 && len(c.limitedPids()) == 0 {
				return nil // the tree is empty, the child's exit is told
			}
		} else if err == nil {
			e.wait(ctx, watched, blind, kill.C)
		}
		for _, w := range watched {
			c.table.forget(w)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// signalGroupOrLater leaves a group whose number is not certain any more, or whose members we may
// not signal, to the reading of the process table.
func (c *Child) signalGroupOrLater(sigs ...syscall.Signal) error {
	for _, sig := range sigs {
		c.mu.Lock()
		err := c.signalGroup(sig)
		c.mu.Unlock()
		if err != nil && err != errGroupUnsure && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return nil
}

// tell signals the members that are alive and returns what to wait for; blind is true where someone
// is alive that cannot be watched.
func (e *ending) tell(members []proc, first bool) (watched []*watch, blind bool, err error) {
	for _, p := range members {
		if p.pid == e.pid && p.start == e.start && !e.lost {
			if !p.dead() { // its group's signal is its own
				watched = append(watched, &watch{done: e.done})
			}
			continue
		}
		e.known[p.id()] = true
		if p.dead() {
			e.table.reapOrphan(p)
			continue
		}
		w, werr := e.table.watchMember(p)
		if w == nil && werr == nil {
			continue // gone meanwhile
		}
		if w != nil {
			watched = append(watched, w)
		} else {
			e.table.log.Debug("process of a tree cannot be watched", "pid", p.pid, "error", werr)
			blind = true
		}
		if serr := e.tellOne(p, w, first); serr != nil && e.killing {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", p.pid, serr))
		}
	}
	return watched, blind, err
}

func (e *ending) tellOne(p proc, w *watch, first bool) error {
	if e.killing {
		return e.table.signalMember(p, w, unix.SIGKILL)
	}
	told := e.told[p.id()]
	e.told[p.id()] = true
	// The group's members were signalled together; a member that is new later was born meanwhile.
	if told || first && p.pgrp == e.pid && !e.unsure() {
		return nil
	}
	err := e.table.signalMember(p, w, e.StopSignal())
	return errors.Join(err, e.table.signalMember(p, w, unix.SIGCONT))
}

// unsure reports whether the group could not be signalled by its number.
func (e *ending) unsure() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.signalGroup(0) != nil
}

// wait waits for all of them, and returns early when it is time to kill or ctx ends. It reports
// whether all ended.
func (e *ending) wait(ctx context.Context, watched []*watch, blind bool, kill <-chan time.Time) bool {
	var again <-chan time.Time
	if blind {
		again = time.After(e.unseen)
		e.unseen = min(2*e.unseen, time.Second)
	}
	if e.killing {
		kill = nil
	}
	for _, w := range watched {
		select {
		case <-w.done:
		case <-again:
			return false
		case <-kill:
			e.kill()
			return false
		case <-ctx.Done():
			return false
		}
	}
	if !blind {
		return true
	}
	select {
	case <-again:
	case <-kill:
		e.kill()
	case <-ctx.Done():
	}
	return false
}

func (e *ending) kill() {
	e.killing = true
	e.table.log.Debug("tree did not end in time and is killed", "pid", e.pid)
}

// members finds the tree in the process table, with those of known that are still there, zombies
// included.
func (c *Child) members(snap *snapshot, known map[procID]bool) []proc {
	c.mu.Lock()
	err := c.signalGroup(0) // sees whether the group is empty
	// While a group or a session has a member, its number is given to no other (kernel/pid.c). The
	// session may live on when the group is empty.
	byNumber := !c.reaped || !c.ended && (!c.empty || time.Since(c.exit.At) < groupGrace)
	c.mu.Unlock()
	leader := 0
	switch {
	case c.lost:
		if snap.isGroupOf(c) {
			leader = c.pid
		}
	case byNumber && !(err == errGroupUnsure && snap.recycled(c.pid, c.start)):
		leader = c.pid
	}
	// Read after the table: a process that has the number of an earlier one now is recognised by
	// its start time.
	return snap.tree(c, leader, os.Getpid(), known, append(cgroupPids(c.cgroup), c.limitedPids()...)...)
}

// recycled reports whether the pid belongs to another process now.
func (s *snapshot) recycled(pid int, start uint64) bool {
	return slices.ContainsFunc(s.byPid[pid], func(i int) bool { return s.procs[i].start != start })
}

// Tree returns the pids of the live processes of the child's tree, sorted: its group and session,
// those that carry its mark or are in its cgroup, and their descendants. Zombies are dead. It reads
// the process table, together with all who ask at the same time.
func (c *Child) Tree() ([]int, error) {
	snap, err := c.table.scans.fresh(context.Background())
	if err != nil {
		return nil, fmt.Errorf("find the tree of process %d: %w", c.pid, err)
	}
	var pids []int
	for _, p := range c.members(snap, nil) {
		if !p.dead() {
			pids = append(pids, p.pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// SignalTree sends to the group at once, then to the members of the tree that left it, which takes
// a reading of the process table. A tree that is empty is no error.
func (c *Child) SignalTree(sig syscall.Signal) error {
	c.mu.Lock()
	err := c.signalGroup(sig)
	c.mu.Unlock()
	unsure := err == errGroupUnsure
	if unsure {
		err = nil
	}
	snap, serr := c.table.scans.fresh(context.Background())
	if serr != nil {
		return fmt.Errorf("signal the tree of process %d: %w", c.pid, errors.Join(err, serr))
	}
	errs := []error{err}
	for _, p := range c.members(snap, nil) {
		if p.dead() || p.pgrp == c.pid && !unsure {
			continue
		}
		errs = append(errs, c.table.signalMember(p, nil, sig))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("signal the tree of process %d: %w", c.pid, err)
	}
	return nil
}

// watchMember watches a process that was seen in the process table. Both results are nil where it
// is gone.
func (t *Table) watchMember(p proc) (*watch, error) {
	fd, err := openMember(p)
	if fd < 0 || err != nil {
		return nil, err
	}
	w := &watch{pidfd: fd, done: make(chan struct{})}
	if err := t.add(w); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return w, nil
}

// openMember opens a pidfd of that very process, or returns -1 where it is gone.
func openMember(p proc) (int, error) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err == unix.ESRCH {
		return -1, nil
	}
	if err != nil {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	// Only now can the start time be compared: the pid may have been given away between the reading
	// of the table and the opening.
	if start, err := StartTime(p.pid); err != nil || start != p.start {
		unix.Close(fd)
		return -1, nil
	}
	return fd, nil
}

// signalMember signals through w, or, where that is nil, through a pidfd of its own. A process that
// is gone is no error.
func (t *Table) signalMember(p proc, w *watch, sig syscall.Signal) error {
	var err error
	if w != nil {
		t.mu.Lock() // the pidfd is closed under it
		if t.watches[w.id] != nil {
			err = unix.PidfdSendSignal(w.pidfd, sig, nil, 0)
		}
		t.mu.Unlock()
	} else {
		fd, oerr := openMember(p)
		if fd < 0 || oerr != nil {
			return oerr
		}
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
		unix.Close(fd)
	}
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}
