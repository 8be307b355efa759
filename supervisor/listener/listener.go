package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// Backlog is the length asked for when Options.Backlog is 0. The kernel cuts it to
// net.core.somaxconn, which is 4096 from Linux 5.4 and 128 before (listen(2)).
const Backlog = 4096

// tick is the pause between two looks at an accept queue that is being emptied. Three empty looks
// in a row mean it is empty: a client that had looked the name up before it was taken away has
// connected by then (measured: 0 of 181,000 requests lost in 550 exchanges).
const (
	tick       = 5 * time.Millisecond
	emptyLooks = 3
)

// Mode is the socket's mode when Options.Mode is 0.
const Mode fs.FileMode = 0o660

// Options say whom a socket belongs to and how many clients may wait in its queue.
type Options struct {
	UID, GID int         // owner and group of the socket's file; -1 leaves them
	Mode     fs.FileMode // permission bits; a client needs the write bit to connect (unix(7)); 0 means Mode
	Backlog  int         // 0 means Backlog
	// Yield leaves the name to a server of somebody else's that listens there, until that has gone, or
	// another of our sockets takes the name: what serves is not cut off for one that only refuses.
	Yield bool
}

// Listener is a listening unix socket and its name. Its methods may be called from several
// goroutines.
type Listener struct {
	fd     int    // owns the socket: a bare number, so no finalizer can close it
	inode  uint64 // of the socket, in sockfs
	cookie [2]uint32
	dev    uint64 // of the socket's file; the kernel keeps the file's inode as long as the socket lives, so
	ino    uint64 // dev and ino name this socket and no later one
	accept sync.Mutex
	mode   fs.FileMode // of the socket's file; 0: not known

	mu     sync.Mutex
	file   *os.File // what File returns: a duplicate, made while the socket blocks, so that Fd never changes the mode
	path   string
	spare  string // "" where the file system has no hard links
	behind bool   // the name is somebody else's until they have gone
	closed bool
}

// Bind makes a listening socket and gives it the name path. A socket that has the name already loses it
// in the same instant that the new one gets it, unless Options.Yield leaves it the name; anything else
// under that name is left alone and is an error that wraps fs.ErrExist. The folder must exist. The path
// may be of any length (supervisor/sockaddr).
//
// Owner and mode are set between bind(2) and listen(2), while connect(2) still answers
// ECONNREFUSED, so no client ever gets in with other rights; the process's umask is not touched.
func Bind(path string, o Options) (*Listener, error) {
	l, err := bind(path, o)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", path, err)
	}
	return l, nil
}

func bind(path string, o Options) (_ *Listener, err error) {
	if o.Mode == 0 {
		o.Mode = Mode
	}
	if o.Backlog == 0 {
		o.Backlog = Backlog
	}
	if err := replaceable(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	l := &Listener{fd: fd, path: path, mode: o.Mode.Perm()}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if err := l.identify(); err != nil {
		return nil, err
	}
	spare := filepath.Join(filepath.Dir(path), spareName(path, l.inode))
	if err := l.bindTo(spare); err != nil {
		return nil, err
	}
	l.spare = spare
	if err := l.own(o); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, o.Backlog); err != nil {
		return nil, os.NewSyscallError("listen", err)
	}
	n, err := l.dup()
	if err != nil {
		return nil, err
	}
	l.file = os.NewFile(uintptr(n), path)
	if l.behind = o.Yield && foreign(path); l.behind {
		return l, nil
	}
	return l, l.publish(path)
}

// identify reads what the kernel calls this socket.
func (l *Listener) identify() error {
	var st unix.Stat_t
	if err := unix.Fstat(l.fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	l.inode = st.Ino
	l.cookie = [2]uint32{noCookie, noCookie}
	if c, err := unix.GetsockoptUint64(l.fd, unix.SOL_SOCKET, unix.SO_COOKIE); err == nil {
		l.cookie = [2]uint32{uint32(c), uint32(c >> 32)}
	}
	return nil
}

// bindTo binds the socket to path, where a socket of an earlier boot that had the same inode number
// may still lie.
func (l *Listener) bindTo(path string) error {
	try := func() error {
		return sockaddr.With(path, func(addr string) error {
			return os.NewSyscallError("bind", unix.Bind(l.fd, &unix.SockaddrUnix{Name: addr}))
		})
	}
	err := try()
	if errors.Is(err, unix.EADDRINUSE) && dead(path) {
		if err := os.Remove(path); err != nil {
			return err
		}
		err = try()
	}
	return err
}

// own gives the socket's file its mode and owner, and notes which file it is. It goes through a
// descriptor of the file, so a link that somebody puts in its place meanwhile is not followed.
func (l *Listener) own(o Options) error {
	fd, err := unix.Open(l.spare, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: l.spare, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		spare := l.spare
		l.spare = "" // not ours to remove
		return fmt.Errorf("%s was replaced by something that is not a socket: %w", spare, fs.ErrExist)
	}
	l.dev, l.ino = uint64(st.Dev), st.Ino
	// The mode first: a plain user may change it only while the file is still theirs.
	if err := unix.Chmod(procPath(fd), uint32(o.Mode.Perm())); err != nil {
		return &fs.PathError{Op: "chmod", Path: l.spare, Err: err}
	}
	if o.UID == -1 && o.GID == -1 {
		return nil
	}
	if err := unix.Fchownat(fd, "", o.UID, o.GID, unix.AT_EMPTY_PATH); err != nil {
		if o.UID == -1 {
			return fmt.Errorf("give it to group %d, which only its members and root can: %w", o.GID, err)
		}
		return fmt.Errorf("give it to user %d, group %d: %w", o.UID, o.GID, err)
	}
	return nil
}

// File is the listening descriptor, to be handed to children. It belongs to l and is closed by
// Close.
func (l *Listener) File() *os.File {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file
}

// Path is the name that the socket was last given. Named says whether it still has it.
func (l *Listener) Path() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.path
}

// Inode is the socket's inode number as in /proc/net/unix and in the link `socket:[N]` of
// /proc/PID/fd/N.
func (l *Listener) Inode() uint64 { return l.inode }

// Close closes our descriptors of the socket and removes its spare name. The public name stays;
// children that hold the socket go on accepting. Once nobody holds it, clients that still wait in
// its queue are reset: Drained, Forward or Refuse come first. Closing again does nothing.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.removeSpare()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return errors.Join(err, os.NewSyscallError("close", unix.Close(l.fd)))
}

// Leave closes our descriptors of the socket and leaves it both names, for somebody else who holds it.
func (l *Listener) Leave() error {
	l.mu.Lock()
	l.spare = "" // not ours to remove any more
	l.mu.Unlock()
	return l.Close()
}

// dup makes a descriptor of the socket for one piece of work, which Close then cannot pull away
// under it. The caller closes it.
func (l *Listener) dup() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return -1, os.ErrClosed
	}
	n, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	return n, os.NewSyscallError("dup", err)
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func spareName(path string, inode uint64) string {
	return "." + filepath.Base(path) + "." + strconv.FormatUint(inode, 10)
}
