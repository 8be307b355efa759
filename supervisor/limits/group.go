package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the limits of one tree of processes, or of a pool of them.
type Group struct {
	room *Room
	own  string              // its cgroup in v2, or ""
	v1   [controllers]string // its cgroups in v1, where they may be, or ""
	pool *Group              // in which it counts together with others, or nil
	all  bool                // it is a pool itself
	want Limits              // of a pool, also before it has a cgroup; Room.mu guards it

	mu     sync.Mutex
	set    Limits
	killed uint64 // what OOMKills counted last
	brake  brake
}

// Make makes the cgroups of a tree, with its limits, before its first process. own is its cgroup in v2,
// or "" where it has none; within is its pool (Room.Bound), or "". enter are the cgroups that the first
// process must enter, in addition to own.
func (r *Room) Make(l Limits, mark, own, within string) (g *Group, enter []string, err error) {
	made := &Group{room: r, own: own}
	if l == (Limits{}) {
		return made, nil, nil
	}
	name, err := nameOf(mark)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Remove())
		}
	}()
	for c := range controllers {
		if !c.of(l) {
			continue
		}
		w, err := r.prepare(c)
		if err != nil {
			return nil, nil, err
		}
		if !w.v1 {
			if own == "" {
				return nil, nil, fmt.Errorf("limits.%s cannot be applied: the tree has no cgroup of its own", c.key())
			}
			continue
		}
		dir, err := MakeFolder(w.dir, within, name)
		made.v1[c] = dir
		if err != nil {
			return nil, nil, fmt.Errorf("limits.%s cannot be applied: %w", c.key(), err)
		}
		enter = append(enter, dir)
	}
	if within != "" {
		made.pool = r.poolOf(within, made)
		if err := made.pool.ensure(l); err != nil {
			return nil, nil, err
		}
	}
	if err := made.Set(l); err != nil {
		return nil, nil, err
	}
	return made, enter, nil
}

// Of returns the limits of a tree that an earlier supervisor may have started, or this one before it
// executed another program in its place. pid is a process of it, or 0: an earlier supervisor may have
// been in another cgroup of v1.
func (r *Room) Of(mark, own string, pid int) *Group {
	g := &Group{room: r, own: own}
	name, err := nameOf(mark)
	if err != nil {
		return g
	}
	var places map[string]string
	if pid > 0 {
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(r.machine.procs), strconv.Itoa(pid), "cgroup")) // it may have ended
		places = parsePlaces(text)
	}
	for c, h := range r.machine.v1 {
		switch place := places[controller(c).String()]; {
		case h == nil:
		case filepath.Base(place) == name && r.isRoom(filepath.Dir(place)):
			g.v1[c] = h.of(place)
		case h.Own != "":
			g.v1[c] = FindFolder(filepath.Join(h.Own, r.name), mark, name)
			if g.v1[c] == "" {
				g.v1[c] = filepath.Join(h.Own, r.name, name)
			}
		}
	}
	for _, dir := range append(g.v1[:], own) {
		if within, ok := PoolOf(filepath.Dir(dir)); ok {
			g.pool = r.poolOf(within, g)
		}
	}
	return g
}

// dir is the cgroup in which the tree's limit of that controller is; "": it has none.
func (g *Group) dir(c controller) (dir string, v1 bool) {
	if g.own != "" && isThere(g.own, c.String()+".max") {
		return g.own, false
	}
	if dir := g.v1[c]; dir != "" && isThere(dir, "cgroup.procs") {
		return dir, true
	}
	return "", false
}

// Set changes the limits of what is running. A limit for which the tree was given no cgroup when it was
// started is left out: what it has used so far would not count.
func (g *Group) Set(l Limits) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for c := range controllers {
		if c.of(l) && g.own != "" && has(g.room.machine.V2.Mount, "cgroup.controllers", c) {
			_, err := g.room.prepare(c) // whoever manages the cgroup may have reset it
			if err == nil && g.pool != nil {
				err = g.pool.enable(c)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		dir, v1 := g.dir(c)
		if dir == "" {
			continue
		}
		if err := apply(dir, g.files(c, l, v1)); err != nil {
			errs = append(errs, fmt.Errorf("limits.%s = %s cannot be applied: %w", c.key(), shown(c, l), err))
			continue
		}
		switch c {
		case memory:
			g.set.Memory, g.brake = l.Memory, brake{}
		case cpu:
			g.set.CPU = l.CPU
		case pids:
			g.set.Tasks = l.Tasks
		}
	}
	return errors.Join(errs...)
}

// apply writes the files of one limit. Where one is written twice, its first failure does not count.
func apply(dir string, files []file) error {
	last := map[string]error{}
	for _, f := range files {
		err := write(filepath.Join(dir, f.name), f.value)
		if f.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		last[f.name] = err
	}
	for _, f := range files {
		switch err := last[f.name]; {
		case errors.Is(err, unix.EBUSY):
			return errInUse
		case errors.Is(err, unix.EINVAL) && f.name == quotaV1:
			return errTooMuch
		case err != nil:
			return err
		}
	}
	return nil
}

// What is in a cgroup keeps v1 from limiting it.
var (
	errInUse   = errors.New("more than that is in use; it applies from the next start on")
	errTooMuch = errors.New("what is below may use more; it applies when that has ended")
)

func shown(c controller, l Limits) string {
	switch {
	case !c.of(l):
		return "none"
	case c == memory:
		return Size(l.Memory)
	case c == cpu:
		return strconv.FormatFloat(l.CPU, 'f', -1, 64)
	}
	return strconv.FormatUint(l.Tasks, 10)
}

// Memory is the limit of memory that was set last; 0: there is none, or another supervisor has set it.
func (g *Group) Memory() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.set.Memory
}

// OOMKills counts the processes of the tree that the kernel has killed because memory ran out. It is 0
// where that is not known, because the tree has no limit of memory. Whoever calls it now and then has
// the brake put on and off.
func (g *Group) OOMKills() uint64 {
	if g.pool != nil {
		g.pool.look()
	}
	dir, v1 := g.dir(memory)
	name := "memory.events"
	if v1 {
		name = "memory.oom_control"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if dir == "" {
		return g.killed // also when the cgroup has been removed
	}
	if !v1 && g.set.Memory != 0 {
		g.brake.look(dir, g.set.Memory, time.Now())
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return g.killed
	}
	if killed, ok := killsIn(string(text)); ok {
		g.killed = killed
	}
	return g.killed
}

// killsIn reads how many processes the kernel has killed from memory.events or memory.oom_control. Where
// it kills a whole tree it counts the process that it began with twice, so each tree takes one off
// (Linux 5.17 counts the trees).
func killsIn(text string) (killed uint64, ok bool) {
	var trees uint64
	for line := range strings.Lines(text) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(number, 10, 64)
		switch {
		case err != nil:
		case name == "oom_kill":
			killed, ok = n, true
		case name == "oom_group_kill":
			trees = n
		}
	}
	return max(killed-min(killed, trees), min(killed, trees)), ok
}

// Pids are the live processes in the tree's cgroups of v1.
func (g *Group) Pids() (all []int) {
	for c := range controllers {
		dir, v1 := g.dir(c)
		if !v1 {
			continue
		}
		procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // gone
		}
		for line := range strings.Lines(string(procs)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				all = append(all, pid)
			}
		}
	}
	return all
}

// Remove removes the tree's cgroups of v1, and its pool with the last tree in it. They must have no
// process any more. The tree's own of v2 is the caller's.
func (g *Group) Remove() error {
	var errs []error
	for c := range controllers {
		if dir, v1 := g.dir(c); v1 {
			errs = append(errs, remove(dir))
			parent := filepath.Dir(dir)
			if _, is := PoolOf(parent); is {
				unix.Rmdir(parent) // one in use stays
				parent = filepath.Dir(parent)
			}
			if g.room.machine.v1[c].Own != filepath.Dir(parent) {
				unix.Rmdir(parent) // of an earlier supervisor, whose last tree this may have been
			}
		}
	}
	return errors.Join(errs...)
}
