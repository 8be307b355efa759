package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ErrStranger says that a process is there but carries another mark.
var ErrStranger = errors.New("carries another mark")

// Adopt makes a Child of a process that is running already: started by a supervisor that was
// killed, or by this process before it executed another program in its own place. start is its
// start time, mark what it was started with and user the number of whom it was started as; the
// caller compares the BootID, which makes the first two an identity.
//
// The error wraps os.ErrProcessDone if that process has ended, also if another process has its pid
// by now or if it is a zombie: what it left behind is reached by Remains. It wraps ErrStranger if
// its environment can be read and holds another mark.
//
// For a child of our own (after an exec) the true exit is reported, even if it ended before: it
// stays a zombie until somebody waits for it. Call Adopt within 5 seconds after NewTable, or the
// child is treated as an orphan and reaped.
//
// The exit of any other process is reported as soon as it is dead. How it ended is known where its
// parent, which is often pid 1, has not waited for it yet and we may look (zombieExit), or from Linux
// 6.15 on; otherwise Exit.Unknown is set.
//
// The rest is as with Spawn.
func (t *Table) Adopt(pid int, start uint64, mark string, user int, exited func(Exit)) (*Child, error) {
	c, err := t.adopt(pid, start, mark, user, exited)
	if err != nil {
		return nil, fmt.Errorf("adopt process %d: %w", pid, err)
	}
	return c, nil
}

func (t *Table) adopt(pid int, start uint64, mark string, user int, exited func(Exit)) (*Child, error) {
	if pid <= 1 { // 0 and 1 would be everybody's group
		return nil, fmt.Errorf("not a child's pid: %w", os.ErrProcessDone)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil, os.ErrProcessDone
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	// What is read from here on is the process behind fd, or the process that had the pid is gone.
	ours, err := recognise(pid, start, mark)
	if err == nil {
		c := &Child{
			table: t, pid: pid, start: start, tag: mark, users: []int{user}, cgroup: t.cgroups.find(mark), exited: exited,
			adopted: !ours, pidfd: fd, done: make(chan struct{}),
		}
		c.findLimits()
		if err = t.add(&watch{pidfd: fd, child: c, done: c.done}); err == nil {
			return c, nil
		}
	}
	unix.Close(fd)
	return nil, err
}

// recognise is nil where the process with that pid is the one meant. ours says that we are its
// parent.
func recognise(pid int, start uint64, mark string) (ours bool, err error) {
	s, err := readStat(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, os.ErrProcessDone
	case err != nil:
		return false, err
	case s.start != start:
		return false, fmt.Errorf("another process has its pid now: %w", os.ErrProcessDone)
	case s.ppid == os.Getpid():
		return true, nil // also as a zombie, whose environment is gone
	case s.dead():
		return false, os.ErrProcessDone
	case s.pgrp != pid || s.session != pid: // a session's leader can leave neither (setsid(2), setpgid(2))
		return false, fmt.Errorf("does not lead a session as a child of ours does: %w", ErrStranger)
	}
	// An environment that cannot be read, or was written over (setproctitle), tells nothing: pid
	// and start time must do.
	one := procReader{buf: make([]byte, 4096)}
	environ, err := one.slurp(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/environ", nil) // bounded
	if err != nil {
		return false, nil
	}
	if got, found, _ := findTag(environ); found && !bytes.Equal(got, []byte(mark)) {
		return false, fmt.Errorf("%w: %q, want %q", ErrStranger, got, mark)
	}
	return false, nil
}

// Remains makes a Child for a process that ended while nobody watched, to reach what it left
// behind: Exited says that it ended, Tree finds its processes, SignalGroup, SignalTree and End
// reach them. pid and start are those of the process that is gone, or 0 where they are not known.
// mark must be known, and must belong to no other process.
//
// The number of a group proves nothing once its leader is gone: so the members of the group and
// session pid count where one of them carries the mark, and none does where the pid is another
// process's by now. Without a pid it is the processes that carry the mark, with their descendants.
// A mark counts where the process is run by that user: anybody can put one into an environment.
// Where there are cgroups (UseCgroups), all in the tree's are part of it, whatever else they are.
//
// A process that turns out to be there after all, for example because only its birth was not
// written down, is part of it and is ended as well.
func (t *Table) Remains(pid int, start uint64, mark string, user int) *Child {
	return t.remains(pid, start, mark, user)
}

func (t *Table) remains(pid int, start uint64, tag string, users ...int) *Child {
	c := &Child{
		table: t, pid: pid, start: start, tag: tag, users: users, cgroup: t.cgroups.find(tag), adopted: true, lost: true,
		pidfd: -1, reaped: true, done: make(chan struct{}),
		exit: Exit{Code: -1, Unknown: true, At: time.Now()},
	}
	c.findLimits()
	close(c.done)
	return c
}

// isGroupOf reports whether the group and session with the child's number are its tree's, where its
// leader may have ended.
func (s *snapshot) isGroupOf(c *Child) bool {
	if c.pid <= 1 || c.tag == "" || c.start != 0 && s.recycled(c.pid, c.start) {
		return false
	}
	for _, indexes := range [][]int{s.byGroup[c.pid], s.bySession[c.pid]} {
		for _, i := range indexes {
			if p := s.procs[i]; p.tag == c.tag && c.owns(p) {
				return true
			}
		}
	}
	return false
}
