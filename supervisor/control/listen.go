package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// Socket is the listening control socket and the name it was given. It is a net.Listener that
// survives the loss of its name (Restore).
type Socket struct {
	path    string
	readers atomic.Int64 // group whose members may connect and read, or NoGroup

	mu     sync.Mutex // guards what follows
	ln     net.Listener
	ino    uint64
	closed bool
}

// Listen makes the socket at path, in a folder that is made with mode 0700. Only our own user and
// root can connect to it (mode 0600), with readers, which is a group or NoGroup, its members too
// (0660). It replaces a socket that nobody listens on. A socket with a listener, and anything that
// is not a socket, is left alone, and Listen returns an error.
func Listen(path string, readers int) (*Socket, error) {
	ln, ino, err := listen(path, readers)
	if err != nil {
		return nil, err
	}
	s := &Socket{path: path, ln: ln, ino: ino}
	s.readers.Store(int64(readers))
	return s, nil
}

// SetReaders makes the members of another group those who may read. It holds at once for who has
// connected, and for who may connect after the next Restore.
func (s *Socket) SetReaders(group int) { s.readers.Store(int64(group)) }

// access says who may do what over the socket.
func (s *Socket) access() access { return access{own: os.Geteuid(), readers: &s.readers} }

func listen(path string, readers int) (net.Listener, uint64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, 0, fmt.Errorf("make folder of control socket: %w", err)
	}
	if err := makeRoom(path); err != nil {
		return nil, 0, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, fmt.Errorf("make control socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // net.FileListener has its own
	err = sockaddr.With(path, func(addr string) error {
		return unix.Bind(fd, &unix.SockaddrUnix{Name: addr})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("bind control socket %s: %w", path, err)
	}
	ln, ino, err := open(f, path, readers)
	if err != nil {
		os.Remove(path) // the error counts
		return nil, 0, fmt.Errorf("open control socket %s: %w", path, err)
	}
	return ln, ino, nil
}

// Inherited makes a Socket from a descriptor that was kept across an exec (File), and closes the
// descriptor. An error means that path leads elsewhere now, or that the descriptor is not such a
// socket.
func Inherited(f *os.File, path string, readers int) (*Socket, error) {
	defer f.Close() // net.FileListener has its own
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, fmt.Errorf("take over control socket %s: %w", path, err)
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take over control socket %s: %w", path, err)
	}
	s := &Socket{path: path, ln: ln, ino: st.Ino}
	s.readers.Store(int64(readers))
	return s, nil
}

// Restore makes the socket again where somebody has removed its name or given it to something else,
// and its mode where that was changed. Who is connected stays so.
func (s *Socket) Restore() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	var st unix.Stat_t
	if unix.Lstat(s.path, &st) == nil && st.Ino == s.ino && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		if err := admit(s.path, int(s.readers.Load())); err != nil {
			return fmt.Errorf("restore control socket: %w", err)
		}
		return nil
	}
	ln, ino, err := listen(s.path, int(s.readers.Load()))
	if err != nil {
		return err
	}
	before := s.ln
	s.ln, s.ino = ln, ino
	if err := before.Close(); err != nil {
		return fmt.Errorf("close control socket that has lost its name: %w", err)
	}
	return nil
}

// Accept waits for the next client, also across a Restore.
func (s *Socket) Accept() (net.Conn, error) {
	for {
		ln := s.listener()
		conn, err := ln.Accept()
		if err != nil && s.replaced(ln) {
			continue
		}
		if err == nil && isBoxed(conn) {
			refuseBoxed(conn)
			continue
		}
		if err == nil {
			conn = mayHand(conn, s.access())
		}
		return conn, err
	}
}

func (s *Socket) listener() net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln
}

// replaced says that another listener has taken the place of ln.
func (s *Socket) replaced(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ln != ln && !s.closed
}

// Addr is the name of the socket.
func (s *Socket) Addr() net.Addr { return s.listener().Addr() }

// File is a duplicate of the socket, for a program that is executed in our place. The caller closes
// it.
func (s *Socket) File() (*os.File, error) {
	ln, ok := s.listener().(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("hand over control socket %s: it is a %T", s.path, s.listener())
	}
	f, err := ln.File()
	if err != nil {
		return nil, fmt.Errorf("hand over control socket %s: %w", s.path, err)
	}
	return f, nil
}

// admit gives the socket at path the owner and mode with which those may connect who may read.
func admit(path string, readers int) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	mode := st.Mode & 0o7777
	switch {
	case readers == NoGroup && mode != 0o600:
		return os.Chmod(path, 0o600)
	case readers == NoGroup || int(st.Gid) == readers && mode == 0o660:
		return nil
	}
	// In this order the group from before gains nothing.
	return errors.Join(os.Chmod(path, 0o600), os.Lchown(path, -1, readers), os.Chmod(path, 0o660))
}

// open sets owner and mode of the bound socket f, named path, and only then lets clients in.
func open(f *os.File, path string, readers int) (net.Listener, uint64, error) {
	if err := admit(path, readers); err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, 0, err
	}
	if err := unix.Listen(int(f.Fd()), unix.SOMAXCONN); err != nil {
		return nil, 0, err
	}
	ln, err := net.FileListener(f)
	return ln, st.Ino, err
}

// makeRoom removes a socket at path that nobody listens on, as a killed supervisor leaves it.
func makeRoom(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at control socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("control socket %s: something that is not a socket is there; move it away", path)
	}
	conn, err := connect(path)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("control socket %s: another supervisor is listening on it", path)
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("control socket %s: find out who listens on it: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove left-over control socket: %w", err)
	}
	return nil
}

// Close closes the socket and removes its path, if that still leads to it.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	err := s.ln.Close()
	var st unix.Stat_t
	if unix.Lstat(s.path, &st) == nil && st.Ino == s.ino {
		os.Remove(s.path) // a leftover is replaced by the next start
	}
	return err
}

// connect connects to the control socket at path.
func connect(path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	return sockaddr.Dial(ctx, path)
}
