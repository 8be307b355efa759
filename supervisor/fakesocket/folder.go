package fakesocket

import (
	"errors"
	"io/fs"
	"sync"
)

// Folder is a folder of sockets. The zero Folder is empty.
type Folder struct {
	mu    sync.Mutex
	paths map[string]*Listener
	all   []*Listener
	fails map[Op]error
}

// Op is what may be made to fail.
type Op string

// The values of Op.
const (
	Bind    Op = "bind"
	Take    Op = "take"
	Restore Op = "restore"
	Unlink  Op = "unlink"
	Close   Op = "close"
	Queue   Op = "queue" // QueueLen
	Drain   Op = "drain"
	Idle    Op = "idle"
	Forward Op = "forward"
)

// Fail has every op return err from now on; nil ends that.
func (f *Folder) Fail(op Op, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails == nil {
		f.fails = map[Op]error{}
	}
	f.fails[op] = err
}

// Bind makes a listener at path, in place of a socket that is there.
func (f *Folder) Bind(path string) (*Listener, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails[Bind]; err != nil {
		return nil, err
	}
	l := &Listener{folder: f, path: path, inode: uint64(len(f.all) + 1), changed: make(chan struct{})}
	f.name(path, l)
	f.all = append(f.all, l)
	return l, nil
}

// name gives path to l. f.mu is held.
func (f *Folder) name(path string, l *Listener) {
	if f.paths == nil {
		f.paths = map[string]*Listener{}
	}
	f.paths[path] = l
}

// At returns the listener that path leads to, or nil.
func (f *Folder) At(path string) *Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[path]
}

// Remove removes a path. A missing one is no error.
func (f *Folder) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fails[Unlink]; err != nil {
		return err
	}
	delete(f.paths, path)
	return nil
}

// Open returns the listeners that are neither closed nor left, in the order in which they were made.
func (f *Folder) Open() []*Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	var open []*Listener
	for _, l := range f.all {
		if !l.closed && !l.left {
			open = append(open, l)
		}
	}
	return open
}

// ErrRefused is what connect(2) returns for a socket that nobody listens on.
var ErrRefused = errors.New("connection refused")

// Connect makes a client that waits in the queue of the socket at path.
func (f *Folder) Connect(path string) (*Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l, ok := f.paths[path]
	if !ok {
		return nil, &fs.PathError{Op: "connect", Path: path, Err: fs.ErrNotExist}
	}
	if l.closed {
		return nil, &fs.PathError{Op: "connect", Path: path, Err: ErrRefused}
	}
	c := &Client{folder: f, fate: Waiting}
	l.queue = append(l.queue, c)
	l.wake()
	return c, nil
}

// Client is somebody who has connected.
type Client struct {
	folder *Folder
	fate   Fate
	passed bool
}

// Fate is what became of a client.
type Fate string

// The values of Fate.
const (
	Waiting Fate = "waiting" // in a queue
	Served  Fate = "served"  // accepted by a server
	Refused Fate = "refused" // answered 503 with Retry-After
	Reset   Fate = "reset"   // its socket was closed, with it in the queue
)

// Fate returns what became of c so far.
func (c *Client) Fate() Fate {
	c.folder.mu.Lock()
	defer c.folder.mu.Unlock()
	return c.fate
}

// Passed reports whether c was passed on from one socket to another.
func (c *Client) Passed() bool {
	c.folder.mu.Lock()
	defer c.folder.mu.Unlock()
	return c.passed
}
