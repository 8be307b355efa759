package front

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// The limits for bodies that are kept while one side is slower than the other. A body is kept in
// memory first, then in a file without a name.
const (
	MaxBody        = 512 << 20     // of one request
	MaxBodies      = 1 << 30       // in files, of all requests; never more than a quarter of what is free
	MaxClientShare = MaxBodies / 2 // of one client; for responses the same
	MaxAhead       = 128 << 20     // of one response, ahead of its client
	spoolMemory    = 64 << 10      // of one body
	allMemory      = 32 << 20      // of all bodies, each way
	pieceSize      = 32 << 10      // that is read at once
)

// errNoRoom says that too many bodies are kept already. It is nobody's fault and passes.
var errNoRoom = errors.New("no room for the body")

// store is where bodies are kept, in memory and in files of one folder, within limits.
type store struct {
	dir    string // of the files
	pieces sync.Pool

	mu       sync.Mutex
	maxFiles int
	files    int
	memory   int64
	disk     int64
	allowed  int64            // of disk, as much as was free when the first file was made
	shares   map[string]int64 // of disk, by client
}

func newStore(dir string) *store {
	return &store{
		dir: dir, maxFiles: 64, shares: map[string]int64{},
		pieces: sync.Pool{New: func() any { p := make([]byte, pieceSize); return &p }},
	}
}

func (s *store) piece() *[]byte      { return s.pieces.Get().(*[]byte) }
func (s *store) giveBack(p *[]byte)  { s.pieces.Put(p) }
func (s *store) limitFiles(most int) { s.mu.Lock(); defer s.mu.Unlock(); s.maxFiles = most }

// takeMemory reports whether n more bytes may be kept in memory; if so they are counted.
func (s *store) takeMemory(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory+int64(n) > allMemory {
		return false
	}
	s.memory += int64(n)
	return true
}

func (s *store) freeMemory(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory -= int64(n)
}

// takeDisk is takeMemory for files, of which no client may use more than its share.
func (s *store) takeDisk(client string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk+int64(n) > s.allowed || s.shares[client]+int64(n) > min(MaxClientShare, s.allowed/2) {
		return false
	}
	s.disk += int64(n)
	s.shares[client] += int64(n)
	return true
}

func (s *store) freeDisk(client string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk -= n
	if s.shares[client] -= n; s.shares[client] == 0 {
		delete(s.shares, client)
	}
}

// open makes a file without a name: nothing is left of it, however we end.
func (s *store) open() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files >= s.maxFiles {
		return nil, errNoRoom
	}
	dir := s.dir
	if dir == "" {
		dir = os.TempDir()
	}
	var room unix.Statfs_t
	if err := unix.Statfs(dir, &room); err != nil {
		return nil, fmt.Errorf("keep a body in %s: %w", dir, os.NewSyscallError("statfs", err))
	}
	f, err := unnamed(dir)
	if err != nil {
		return nil, fmt.Errorf("keep a body in %s: %w", dir, err)
	}
	s.files++
	s.allowed = s.disk + min(MaxBodies-s.disk, int64(room.Bavail)*room.Bsize/4)
	return f, nil
}

func (s *store) close(f *os.File) {
	f.Close() // nobody will read it
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files--
}

// unnamed makes a file in dir that has no name, or loses it at once where the file system cannot do
// the former (open(2), O_TMPFILE).
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), filepath.Join(dir, "(body)")), nil
	}
	if err != unix.EOPNOTSUPP && err != unix.EISDIR && err != unix.EINVAL {
		return nil, os.NewSyscallError("open", err)
	}
	f, err := os.CreateTemp(dir, ".body-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close() // it is not used
		return nil, err
	}
	return f, nil
}

// spool is a body between one that writes it and one that reads it, who do so at their own speed.
// What was read is forgotten.
type spool struct {
	store  *store
	client string // whose share of the files it uses
	wait   bool   // the writer waits for the reader where there is no room; else that is an error
	most   int64  // bytes in the file

	mu      sync.Mutex
	changed sync.Cond
	memory  []byte // what was written first
	from    int    // where in memory the rest begins
	file    *os.File
	in, out int64 // offsets in file: the next to write, and to read
	taken   int64 // of the store's disk
	ended   error // why nothing more is written; io.EOF: it is whole
	closed  bool
}

func (s *store) spool(client string, wait bool, most int64) *spool {
	p := &spool{store: s, client: client, wait: wait, most: most}
	p.changed.L = &p.mu
	return p
}

// errClosed says that nobody reads the spool any more.
var errClosed = errors.New("nobody reads the body any more")

// Write keeps a piece.
func (p *spool) Write(piece []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.changed.Broadcast()
	for {
		switch {
		case p.closed:
			return 0, errClosed
		case p.out == p.in && p.toMemory(piece):
			return len(piece), nil
		}
		err := p.toFile(piece)
		switch {
		case err == nil:
			return len(piece), nil
		case !p.wait:
			return 0, err
		case len(p.memory) == p.from && p.out == p.in:
			// Nothing is kept, so nobody will make room: it is passed on as without a spool.
			p.memory, p.from = append(p.memory[:0], piece...), 0
			p.store.addMemory(len(piece))
			return len(piece), nil
		}
		p.changed.Wait() // until the reader has made room
	}
}

func (s *store) addMemory(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory += int64(n)
}

// toMemory keeps a piece in memory, if there is room. The caller holds mu, and nothing is in the
// file.
func (p *spool) toMemory(piece []byte) bool {
	if len(p.memory)-p.from+len(piece) > spoolMemory || !p.store.takeMemory(len(piece)) {
		return false
	}
	if p.from > 0 {
		p.memory, p.from = append(p.memory[:0], p.memory[p.from:]...), 0
	}
	p.memory = append(p.memory, piece...)
	return true
}

// toFile keeps a piece in the file. The caller holds mu.
func (p *spool) toFile(piece []byte) error {
	if p.in+int64(len(piece)) > p.most {
		return errNoRoom
	}
	if p.file == nil {
		var err error
		if p.file, err = p.store.open(); err != nil {
			return err
		}
	}
	if !p.store.takeDisk(p.client, len(piece)) {
		return errNoRoom
	}
	p.taken += int64(len(piece))
	n, err := p.file.WriteAt(piece, p.in)
	if err != nil {
		p.taken -= int64(len(piece))
		p.store.freeDisk(p.client, int64(len(piece)))
		return fmt.Errorf("keep a body in %s: %w", p.store.dir, err)
	}
	p.in += int64(n)
	return nil
}

// end says that nothing more is written, and why: io.EOF where it is whole.
func (p *spool) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = why
	p.changed.Broadcast()
}

// Read returns what was written, and waits for it.
func (p *spool) Read(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, errClosed
		case len(b) == 0:
			return 0, nil
		case p.from < len(p.memory):
			n = copy(b, p.memory[p.from:])
			p.from += n
			p.store.freeMemory(n)
			p.changed.Broadcast()
			return n, nil
		case p.out < p.in:
			n, err = p.file.ReadAt(b[:min(int64(len(b)), p.in-p.out)], p.out)
			if n == 0 {
				return 0, fmt.Errorf("read a body that was kept: %w", err)
			}
			if p.out += int64(n); p.out == p.in {
				p.rewind()
			}
			p.changed.Broadcast()
			return n, nil
		case p.ended != nil:
			return 0, p.ended
		}
		p.changed.Wait()
	}
}

// rewind gives back the file's room once all of it was read. The caller holds mu.
func (p *spool) rewind() {
	if err := p.file.Truncate(0); err != nil {
		return // its room is given back when it is closed
	}
	p.in, p.out = 0, 0
	p.store.freeDisk(p.client, p.taken)
	p.taken = 0
}

// Close gives back all that the spool uses. Who writes to it is told.
func (p *spool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	p.store.freeMemory(len(p.memory) - p.from)
	p.memory = nil
	if p.file != nil {
		p.store.close(p.file)
		p.store.freeDisk(p.client, p.taken)
	}
	p.changed.Broadcast()
	return nil
}
