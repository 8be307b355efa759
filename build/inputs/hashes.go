package inputs

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Hashes remembers what files read as, so that a source of thousands of files is looked at, not
// read, when one of them has changed.
type Hashes struct {
	mu    sync.Mutex
	said  map[string]hashed // by absolute path
	reads chan struct{}     // has an entry for each that is looking through a source
}

// readsAtOnce is how many sources are looked through at the same time: a thousand builds that start
// would otherwise leave nobody else a processor, and have a thread each in the file system.
const readsAtOnce = 4

// NewHashes returns hashes of nothing yet.
func NewHashes() *Hashes { return &Hashes{reads: make(chan struct{}, readsAtOnce)} }

type hashed struct {
	is   state
	hash string
}

// state is what the kernel changes whenever a file's contents or mode do: the time of change cannot
// be set back by a program, as that of modification can.
type state struct {
	dev, ino uint64
	size     int64
	changed  syscall.Timespec
}

// settledFor is how old a change must be before it can be told from another right after it: clocks
// of file systems are coarse, up to 2 s (FAT, NFSv3).
const settledFor = 2 * time.Second

// mayRead waits for the place of a reader, which is given back when the returned function is called or
// ctx ends: whoever hangs in a file system then keeps nobody else from reading.
func (c *Hashes) mayRead(ctx context.Context) (done func(), err error) {
	select {
	case c.reads <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	give := sync.OnceFunc(func() { <-c.reads })
	stop := context.AfterFunc(ctx, give)
	return func() {
		stop()
		give()
	}, nil
}

// entry is entryHash, from memory where the file has not changed.
func (c *Hashes) entry(ctx context.Context, app *os.Root, rel string, d fs.DirEntry) (string, error) {
	path := filepath.Join(app.Name(), rel)
	if d.Type() == fs.ModeSymlink {
		return entryHash(ctx, app, rel, d)
	}
	info, err := d.Info()
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return entryHash(ctx, app, rel, d)
	}
	now := state{dev: uint64(stat.Dev), ino: stat.Ino, size: stat.Size, changed: stat.Ctim}
	c.mu.Lock()
	known, ok := c.said[path]
	c.mu.Unlock()
	if ok && known.is == now {
		return known.hash, nil
	}
	hash, err := entryHash(ctx, app, rel, d)
	if err == nil && time.Since(time.Unix(stat.Ctim.Unix())) > settledFor {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.said == nil {
			c.said = map[string]hashed{}
		}
		c.said[path] = hashed{now, hash}
	}
	return hash, err
}

// keep forgets the files of app that are no longer in t.
func (c *Hashes) keep(app string, t Tree) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path := range c.said {
		rel, ok := strings.CutPrefix(path, app+string(filepath.Separator))
		if _, still := t[rel]; ok && !still {
			delete(c.said, path)
		}
	}
}
