package listener

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Recover takes a listening socket back from the processes that hold it (pidfd_getfd(2)), which do
// not notice: after the supervisor that made it was killed, its children still serve on it. The
// result is as from Bind, with the same Inode, queue and names.
//
// inode is the socket's number as Inode gave it to the one who wrote it down, or 0: then it is the
// socket that path leads to. pids are looked through in their order, so the one that is likeliest
// to hold it comes first: a server's master, then its workers. A pid that is somebody else's by now
// does no harm, as only that very socket is taken.
//
// Path is path, if that leads to the socket, or another name of it in the same folder, for example
// that of a candidate which had not taken over; if there is none it is path, and Named returns false.
//
// The error says why it cannot be taken back. A child that serves on it may go on then, but nobody
// holds its queue when it dies. It wraps
//   - fs.ErrNotExist: none of the processes has it;
//   - fs.ErrPermission: one may have it, but we have no right to look or take (ptrace(2), "Ptrace
//     access mode checking": the same user, and no Yama above 0 as these are not our descendants,
//     or CAP_SYS_PTRACE; in a container a seccomp filter may refuse);
//   - errors.ErrUnsupported: the kernel is older than Linux 5.6.
func Recover(path string, inode uint64, pids ...int) (*Listener, error) {
	l, err := recoverBy(unix.PidfdGetfd, path, inode, pids)
	if err != nil {
		return nil, fmt.Errorf("recover the listener of %s: %w", path, err)
	}
	return l, nil
}

// Inherited makes a Listener of a descriptor that was kept over an exec (Inherit). path is the name
// it had. The descriptor then belongs to the Listener, which no exec after this one passes on;
// after an error it is still the caller's.
func Inherited(fd int, path string) (*Listener, error) {
	unix.CloseOnExec(fd)
	l, err := rebuild(fd, path)
	if err != nil {
		return nil, fmt.Errorf("take over descriptor %d as the listener of %s: %w", fd, path, err)
	}
	return l, nil
}

// Inherit says whether the socket stays open, under the descriptor number that it returns, in the
// program that this one executes in its own place: true just before, with no fork possible until
// then, and false again where the exec failed. Nothing else needs to be handed over but that number
// and Path.
func (l *Listener) Inherit(keep bool) (fd int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return -1, fmt.Errorf("hand over %s: %w", l.path, os.ErrClosed)
	}
	flags := unix.FD_CLOEXEC
	if keep {
		flags = 0
	}
	if _, err := unix.FcntlInt(uintptr(l.fd), unix.F_SETFD, flags); err != nil {
		return -1, fmt.Errorf("hand over %s: %w", l.path, os.NewSyscallError("fcntl", err))
	}
	return l.fd, nil
}

// HeldBy reports whether one of the processes holds the socket with that Inode. Those that we may
// not look at do not.
func HeldBy(inode uint64, pids ...int) bool {
	for _, pid := range pids {
		held := false
		err := eachSocket(pid, func(_ int, socket uint64) verdict {
			if held = socket == inode; held {
				return enough
			}
			return next
		})
		if err == nil && held { // else it is gone, or not ours to look at
			return true
		}
	}
	return false
}

// looks is how often the descriptors of a process are read that closes some meanwhile: a server that
// starts gives its listener another number, by a duplicate, and may have it twice or, as it seems to
// who reads them one after the other, not at all.
const looks = 20

// verdict is what eachSocket does after a socket.
type verdict int

const (
	next   verdict = iota
	moved          // the descriptor is not what it was any more: all of them are read again
	enough         // no other is wanted
)

// eachSocket calls found with the number and the inode of each socket that a process holds, more than
// once for some.
func eachSocket(pid int, found func(number int, socket uint64) verdict) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	for range looks {
		numbers, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		again := false
		for _, n := range numbers {
			link, err := os.Readlink(dir + "/" + n.Name())
			if errors.Is(err, fs.ErrPermission) {
				return err
			}
			again = again || err != nil
			number, err := strconv.Atoi(n.Name())
			socket, ok := socketInode(link)
			if !ok || err != nil {
				continue
			}
			switch found(number, socket) {
			case enough:
				return nil
			case moved:
				again = true
			}
		}
		if !again {
			break
		}
	}
	return nil
}

type pidfdGetfd func(pidfd, targetfd, flags int) (int, error)

func recoverBy(getfd pidfdGetfd, path string, inode uint64, pids []int) (*Listener, error) {
	wanted := []uint64{inode}
	if inode == 0 {
		var err error
		if wanted, err = socketsAt(path); err != nil {
			return nil, err
		}
	}
	var refused error
	for _, pid := range pids {
		fd, err := takeFrom(getfd, pid, wanted)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			refused = err
			continue
		}
		l, err := rebuild(fd, path)
		if err != nil {
			unix.Close(fd) // others hold it still
			return nil, err
		}
		if inode == 0 && l.ino != 0 && !l.is(path) { // a spare of an earlier boot led here
			l.Close() // its own error changes nothing
			return nil, fmt.Errorf("socket %d has another name: %w", l.inode, fs.ErrNotExist)
		}
		return l, nil
	}
	if refused != nil {
		return nil, refused
	}
	return nil, fmt.Errorf("socket %v is not with the processes %v: %w", wanted, pids, fs.ErrNotExist)
}

// takeFrom duplicates the first of a process's descriptors that is one of those sockets. The error
// wraps fs.ErrNotExist where it has none, or is gone.
func takeFrom(getfd pidfdGetfd, pid int, sockets []uint64) (int, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if err == unix.ESRCH {
			err = fs.ErrNotExist
		}
		return -1, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	taken, failed := -1, error(nil)
	err = eachSocket(pid, func(number int, socket uint64) verdict {
		if !slices.Contains(sockets, socket) {
			return next
		}
		fd, err := getfd(pidfd, number, 0)
		if err != nil {
			failed = gone(fmt.Errorf("from process %d: %w", pid, os.NewSyscallError("pidfd_getfd", err)))
			if errors.Is(failed, fs.ErrNotExist) {
				return moved // or the process has ended
			}
			return enough
		}
		// The process may have put something else there meanwhile, or be another by now.
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK && slices.Contains(sockets, st.Ino) {
			taken = fd
			return enough
		}
		unix.Close(fd) // others hold it still
		return moved
	})
	switch {
	case taken >= 0:
		return taken, nil
	case failed != nil:
		return -1, failed
	case err != nil:
		return -1, gone(err)
	}
	return -1, fmt.Errorf("process %d: %w", pid, fs.ErrNotExist)
}

// gone makes fs.ErrNotExist of what the kernel says of a process that has ended, or of a descriptor
// that was closed.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
	}
	return err
}

// socketInode reads a link of /proc/PID/fd (proc_pid_fd(5)).
func socketInode(link string) (inode uint64, ok bool) {
	n, ok := strings.CutPrefix(link, "socket:[")
	inode, err := strconv.ParseUint(strings.TrimSuffix(n, "]"), 10, 64)
	return inode, ok && err == nil
}

// rebuild makes of a listening socket what Bind would have made.
func rebuild(fd int, path string) (*Listener, error) {
	for option, want := range map[int]int{unix.SO_DOMAIN: unix.AF_UNIX, unix.SO_TYPE: unix.SOCK_STREAM, unix.SO_ACCEPTCONN: 1} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option)
		if err != nil {
			return nil, os.NewSyscallError("getsockopt", err)
		}
		if got != want {
			return nil, errors.New("it is not a listening unix stream socket")
		}
	}
	l := &Listener{fd: fd, path: path}
	if err := l.identify(); err != nil {
		return nil, err
	}
	// Whoever had it may have been killed while this was set (acceptSoon).
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{}); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := l.findNames(); err != nil {
		return nil, err
	}
	var err error
	l.file, err = l.asFile()
	return l, err
}

// asFile is a duplicate as Bind makes it. The children may have made the socket non-blocking, and
// such a one os.NewFile would hand to Go's poller, which then wakes for each client. So it is given
// a file that blocks, which is then replaced.
func (l *Listener) asFile() (*os.File, error) {
	n, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/dev/null", Err: err}
	}
	f := os.NewFile(uintptr(n), l.path)
	for {
		err = unix.Dup3(l.fd, n, unix.O_CLOEXEC)
		if err != unix.EBUSY && err != unix.EINTR { // EBUSY: a race with open(2), dup(2)
			break
		}
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("dup3", err), f.Close())
	}
	return f, nil
}

// findNames finds the file that the socket was bound to, by its spare or by path, and which names
// it has.
func (l *Listener) findNames() error {
	dir := filepath.Dir(l.path)
	var bound string
	if address, err := unix.Getsockname(l.fd); err == nil {
		if a, ok := address.(*unix.SockaddrUnix); ok {
			bound = filepath.Base(a.Name) // below /proc/self/fd where the path was too long
		}
	}
	file, err := l.fileInode()
	if err != nil { // no unix_diag, or a filter that knows no netlink: the spare's name must do
		file = 0
	}
	spare := filepath.Join(dir, spareName(l.path, l.inode))
	if spares.MatchString(bound) && strings.HasSuffix(bound, "."+strconv.FormatUint(l.inode, 10)) {
		spare = filepath.Join(dir, bound)
		if l.isFile(spare, file) || file == 0 && !dead(spare) && l.isFile(spare, 0) {
			l.spare = spare
		}
	}
	if l.spare == "" && file != 0 && l.isFile(l.path, file) && os.Link(l.path, spare) == nil {
		l.spare = spare // lost while nobody watched
	}
	if l.is(l.path) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Type() == fs.ModeSocket && !spares.MatchString(e.Name()) && l.is(filepath.Join(dir, e.Name())) {
			l.path = filepath.Join(dir, e.Name())
			return nil
		}
	}
	return nil
}

// isFile reports whether path is the socket's file, whose number ends in those bits where they are
// not 0, and notes which one that is.
func (l *Listener) isFile(path string, low uint32) bool {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK || low != 0 && low != uint32(st.Ino) {
		return false
	}
	l.dev, l.ino, l.mode = uint64(st.Dev), st.Ino, fs.FileMode(st.Mode).Perm()
	return true
}

// socketsAt are the inodes of the sockets that path may lead to: one, where it was made by Bind or
// the kernel has unix_diag.
func socketsAt(path string) ([]uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	file := Listener{dev: uint64(st.Dev), ino: st.Ino}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Type() != fs.ModeSocket || !spares.MatchString(e.Name()) || !file.is(filepath.Join(filepath.Dir(path), e.Name())) {
			continue
		}
		number := strings.TrimSuffix(e.Name(), asideSuffix)
		inode, err := strconv.ParseUint(number[strings.LastIndexByte(number, '.')+1:], 10, 64)
		if err == nil {
			return []uint64{inode}, nil
		}
	}
	sockets, err := socketsOf(st.Ino)
	if err != nil {
		sockets, err = boundTo(path)
	}
	if err == nil && len(sockets) == 0 {
		err = fmt.Errorf("no socket listens there: %w", fs.ErrNotExist)
	}
	return sockets, err
}

// boundTo reads from /proc/net/unix (proc_net(5)) which listening sockets were bound to path,
// whatever it leads to now.
func boundTo(path string) (sockets []uint64, err error) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		// Num RefCount Protocol Flags Type St Inode Path
		const accepts = "00010000" // __SO_ACCEPTCON, linux/net.h
		line, bound := strings.CutSuffix(in.Text(), " "+path)
		fields := strings.Fields(line)
		if !bound || len(fields) != 7 || fields[3] != accepts {
			continue
		}
		if inode, err := strconv.ParseUint(fields[6], 10, 64); err == nil {
			sockets = append(sockets, inode)
		}
	}
	return sockets, in.Err()
}
