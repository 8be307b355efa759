package limits

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A pool holds the cgroups of trees that count together: each tree has its limits, and all of them
// have those of the pool. Where memory runs out in the pool the kernel kills one of its trees (v1: one
// process), and the others go on.
const poolPrefix = "pool:"

// PoolOf returns the name of the pool whose folder dir is; ok is false where it is none.
func PoolOf(dir string) (name string, ok bool) {
	return strings.CutPrefix(filepath.Base(dir), poolPrefix)
}

// MakeFolder makes the folder called name of a tree, in that of its pool; within is "" where it has
// none. It is no error where it is there.
func MakeFolder(parent, within, name string) (dir string, err error) {
	dir = parent
	if within != "" {
		dir = filepath.Join(parent, poolPrefix+within)
	}
	dir = filepath.Join(dir, name)
	for range 100 { // a pool goes with its last tree, which may be now
		err = nil
		if within != "" {
			err = makePool(filepath.Dir(dir))
		}
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if merr := os.Mkdir(parent, 0o755); merr != nil && !errors.Is(merr, fs.ErrExist) { // whoever cleans up removes an empty folder of ours
			return dir, merr
		}
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	return dir, err
}

func makePool(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// In v1 memory counts in the cgroups above only where that is asked for (before Linux 5.11). It is
	// refused where there is one below already, so whoever makes one asks first.
	err := write(filepath.Join(dir, "memory.use_hierarchy"), "1")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// FindFolder returns the folder called name, of the tree with that mark, in parent or in the pool that
// it is in. "" is that there is none.
func FindFolder(parent, mark, name string) string {
	if dir := filepath.Join(parent, name); isFolder(dir) {
		return dir
	}
	for within := range strings.SplitSeq(mark, "/") {
		if dir := filepath.Join(parent, poolPrefix+within, name); within != "" && isFolder(dir) {
			return dir
		}
	}
	return ""
}

// MayBeWithin reports whether FindFolder would find a tree with that mark in that pool: its name is a
// part of the mark.
func MayBeWithin(mark, pool string) bool {
	return pool == filepath.Base(pool) && slices.Contains(strings.Split(mark, "/"), pool)
}

func isFolder(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir()
}

// isRoom reports whether dir is a folder of the room's name, or a pool in one.
func (r *Room) isRoom(dir string) bool {
	if _, is := PoolOf(dir); is {
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir) == r.name
}

// Bound sets what the trees in a pool may use together. It holds from when the first of them is
// started, or from now on.
func (r *Room) Bound(name string, l Limits) error {
	r.poolOf(name, nil)
	r.mu.Lock()
	pools := slices.Clone(r.pools[name])
	for _, p := range pools {
		p.want = l
	}
	if l == (Limits{}) && !slices.ContainsFunc(pools, (*Group).isMade) {
		delete(r.pools, name)
	}
	r.mu.Unlock()
	var errs []error
	for _, p := range pools {
		if p.isMade() {
			errs = append(errs, p.Set(l))
		}
	}
	return errors.Join(errs...)
}

// isMade reports whether a pool has a cgroup yet.
func (p *Group) isMade() bool {
	return isFolder(p.own) || slices.ContainsFunc(p.v1[:], isFolder)
}

// poolOf returns the pool of that name in which the tree g is. nil is one that is started now: an
// earlier supervisor may have been in another cgroup, and have its pool there.
func (r *Room) poolOf(name string, g *Group) *Group {
	p := &Group{room: r, all: true}
	if r.v2 != "" {
		p.own = filepath.Join(r.v2, poolPrefix+name)
	}
	for c, h := range r.machine.v1 {
		if h != nil && h.Own != "" {
			p.v1[c] = filepath.Join(h.Own, r.name, poolPrefix+name)
		}
	}
	if g != nil {
		above := func(dir string, pool *string) {
			if _, is := PoolOf(filepath.Dir(dir)); is {
				*pool = filepath.Dir(dir)
			}
		}
		above(g.own, &p.own)
		for c := range controllers {
			above(g.v1[c], &p.v1[c])
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pools == nil {
		r.pools = map[string][]*Group{}
	}
	for _, q := range r.pools[name] {
		if q.own == p.own && q.v1 == p.v1 {
			return q
		}
	}
	if known := r.pools[name]; len(known) > 0 {
		p.want = known[0].want
	}
	r.pools[name] = append(r.pools[name], p)
	return p
}

// ensure makes a pool ready for a tree with limits l: its folder may have been made just now.
func (p *Group) ensure(l Limits) error {
	for c := range controllers {
		if c.of(l) {
			if err := p.enable(c); err != nil {
				return err
			}
		}
	}
	p.room.mu.Lock()
	want := p.want
	p.room.mu.Unlock()
	for c := range controllers {
		dir, v1 := p.dir(c)
		if dir == "" || !c.of(want) {
			continue
		}
		files := p.files(c, want, v1)
		main := files[len(files)-1]
		if text, err := os.ReadFile(filepath.Join(dir, main.name)); err != nil || strings.TrimSpace(string(text)) != main.value {
			err := p.Set(want)
			if errors.Is(err, errInUse) || errors.Is(err, errTooMuch) {
				return nil // there were others before, and there is a limit; Bound has said so
			}
			return err
		}
	}
	return nil
}

// enable enables a controller of v2 for the trees in a pool.
func (p *Group) enable(c controller) error {
	dir, v1 := p.dir(c)
	if dir == "" || v1 {
		return nil
	}
	if err := enable(dir, c); err != nil {
		return fmt.Errorf("limits.%s cannot be applied: %w", c.key(), err)
	}
	return nil
}

// look puts the brake of a pool on or off.
func (p *Group) look() {
	dir, v1 := p.dir(memory)
	p.mu.Lock()
	defer p.mu.Unlock()
	if dir != "" && !v1 && p.set.Memory != 0 {
		p.brake.look(dir, p.set.Memory, time.Now())
	}
}

// files are what is written to set a limit.
func (g *Group) files(c controller, l Limits, v1 bool) []file {
	switch {
	case v1:
		return c.filesV1(l)
	case g.all:
		return c.files(l, "0")
	}
	return c.files(l, "1")
}

// DropPool removes the folder of the pool that dir is in, if that was its last.
func DropPool(dir string) {
	if pool := filepath.Dir(dir); strings.HasPrefix(filepath.Base(pool), poolPrefix) {
		unix.Rmdir(pool) // one in use stays
	}
}
