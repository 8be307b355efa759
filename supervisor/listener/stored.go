package listener

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stored makes a Listener of a descriptor that somebody else, such as the service manager, kept
// open, and that is said to be the socket of path with that inode. That is a claim: it is used only
// if it is a listening unix socket with that inode that was bound by Bind, for one of those names in
// the folder of path. The file may have been removed since. The result and the error are as those of
// Inherited; after an error the descriptor is still the caller's.
func Stored(fd int, path string, inode uint64, names ...string) (*Listener, error) {
	unix.CloseOnExec(fd)
	if err := wasBound(fd, filepath.Dir(path), inode, names); err != nil {
		return nil, fmt.Errorf("use stored descriptor %d as the listener of %s: %w", fd, path, err)
	}
	return Inherited(fd, path)
}

// wasBound returns an error unless Bind made the socket for one of those names in dir.
func wasBound(fd int, dir string, inode uint64, names []string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || st.Ino != inode {
		return fmt.Errorf("it is not socket %d", inode)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	a, ok := address.(*unix.SockaddrUnix)
	if !ok {
		return errors.New("it is not a unix socket")
	}
	spare := func(name string) bool { return spareName(name, inode) == filepath.Base(a.Name) }
	// A path that was too long was bound below a descriptor of the folder (supervisor/sockaddr).
	short := strings.HasPrefix(a.Name, "/proc/self/fd/")
	if filepath.Dir(a.Name) != dir && !short || !slices.ContainsFunc(names, spare) {
		return fmt.Errorf("it was bound to %q", a.Name)
	}
	return nil
}

// Held returns the inodes of all sockets that a process holds. The error says why they cannot be
// seen; it wraps fs.ErrPermission where we may not look.
func Held(pid int) (map[uint64]bool, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	numbers, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("look for sockets that process %d holds: %w", pid, err)
	}
	held := map[uint64]bool{}
	for _, n := range numbers {
		link, err := os.Readlink(dir + "/" + n.Name())
		if err != nil {
			continue // closed meanwhile
		}
		if inode, ok := socketInode(link); ok {
			held[inode] = true
		}
	}
	return held, nil
}
