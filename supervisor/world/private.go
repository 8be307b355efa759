package world

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// privateQueue is how many probes of one server may wait: there is at most one at a time, and one that
// nobody waits for any more.
const privateQueue = 4

// listenPrivately makes a listening socket at path, in the folder run of a build, to which nobody but
// us and the build's user connects. What is in its place is removed. It is the user's, as the public one
// is: daphne changes the mode of what it listens on, or ends (twisted, unix.py: startListening).
func listenPrivately(path string, as config.Identity) (*os.File, error) {
	if err := build.MakeRun(filepath.Dir(path), as.GID); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("fchmod", unix.Fchmod(fd, 0o600)) // bind(2) makes the file with that mode
	if err == nil {
		err = sockaddr.With(path, func(addr string) error {
			return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: addr}))
		})
	}
	if err == nil && as.UID >= 0 && as.UID != os.Geteuid() {
		err = os.Lchown(path, as.UID, -1)
	}
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, privateQueue))
	}
	if err != nil {
		unix.Close(fd) // nothing was written to it
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}
