package watch

import (
	"os"
	"time"
)

const (
	quiet    = 200 * time.Millisecond // this long nothing more must happen before a change is told
	restless = time.Second            // after that changes of named files are told all the same

	// A program that writes a tree, a copy over a network say, pauses between two files. If it has
	// been writing for lasting, the pause that counts as its end grows, up to quietMost; after longest
	// the changes are told all the same.
	lasting   = 2 * time.Second
	quietMost = 2 * time.Second
	longest   = 30 * time.Second

	// staleLock is how old a lock must be, with nothing changing meanwhile, to count as left behind
	// by a program that died.
	staleLock = 10 * time.Minute
)

// changes is what happened under one ID.
type changes struct {
	first, last time.Time // touches that are to be told; zero: there is none
	tree        bool      // one of them was in a tree
	active      activity  // in the trees, told or not
	look        time.Time // when a lock that was there is looked at again; zero: there was none
	repeats     repeats
}

// touch records a touch; path is that of a file in a tree, or "".
func (c *changes) touch(now time.Time, path string) {
	if c.first.IsZero() {
		c.first = now
	}
	c.last = now
	if path != "" {
		c.tree = true
		c.active.touch(now, path)
	}
}

// activity is how long one file after the other has been changing.
type activity struct {
	since, last time.Time
	path        string // the last one
}

func (a *activity) touch(now time.Time, path string) {
	if now.Sub(a.last) > quietMost {
		a.since = now
	}
	if path != a.path {
		a.last, a.path = now, path
	}
}

// rest is how long it must be quiet until it counts as over.
func (a activity) rest() time.Duration {
	if been := a.last.Sub(a.since); been > lasting {
		return min(been/2, quietMost)
	}
	return quiet
}

// due returns when the changes are to be told, zero for never. gathered is when those of named files
// are, of all IDs together.
func (c *changes) due(gathered time.Time) time.Time {
	switch {
	case !c.look.IsZero():
		return c.look
	case c.first.IsZero():
		return c.repeats.due()
	case !c.tree:
		return earlier(gathered, c.repeats.due())
	}
	return earlier(earlier(c.last.Add(c.active.rest()), c.first.Add(longest)), c.repeats.due())
}

// gather is what happened under any ID.
type gather struct{ first, last time.Time }

func (g *gather) touch(now time.Time) {
	if g.first.IsZero() {
		g.first = now
	}
	g.last = now
}

// due returns when it is quiet, or has been restless for too long; zero for never.
func (g gather) due() time.Time {
	if g.first.IsZero() {
		return time.Time{}
	}
	return earlier(g.last.Add(quiet), g.first.Add(restless))
}

// hold reports whether changes that are due must wait, because one of the locks is there: whoever
// holds it has not finished writing. Once it is gone there must be quiet again.
func (c *changes) hold(now time.Time, locks []string) bool {
	was := !c.look.IsZero()
	c.look = time.Time{}
	stale := false
	for _, path := range locks {
		info, err := os.Lstat(path)
		if err != nil {
			continue // it is gone, or we cannot know
		}
		if now.Sub(info.ModTime()).Abs() < staleLock || now.Sub(c.last) < staleLock {
			c.look = now.Add(quiet)
			return true
		}
		stale = true
	}
	if !was || stale {
		return false
	}
	c.first, c.last, c.tree, c.active = now, now, true, activity{}
	return true
}

// told forgets the changes.
func (c *changes) told(now time.Time) {
	c.first, c.last, c.tree = time.Time{}, time.Time{}, false
	c.repeats.told(now)
}

// idle reports whether there is nothing to remember.
func (c *changes) idle() bool {
	return c.first.IsZero() && c.look.IsZero() && len(c.repeats.files) == 0 && len(c.repeats.since) == 0
}

// earlier returns the earlier of two times, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
