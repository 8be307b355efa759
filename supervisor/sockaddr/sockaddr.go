package sockaddr

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Max is how many bytes of a path fit into sockaddr_un before the final NUL (unix(7)).
const Max = 107

// With calls use with an address that leads to path, and returns what use returns. The address is
// path itself or, where that is too long, its last element below /proc/self/fd/N, where N is a
// descriptor of its folder. That descriptor is open only during the call, so the address must not
// be kept. An error that use did not return says that the folder cannot be opened, or that the last
// element alone is too long.
func With(path string, use func(addr string) error) error {
	if len(path) <= Max {
		return use(path)
	}
	dir, name := filepath.Dir(path), filepath.Base(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	below := "/proc/self/fd/" + strconv.Itoa(fd) + "/"
	if len(below)+len(name) > Max {
		return fmt.Errorf("%s is too long for the name of a socket: want at most %d bytes", name, Max-len(below))
	}
	return use(below + name)
}

// Dial connects to the stream socket at path. It does not wait for room in the socket's queue: a
// full one is EAGAIN at once (connect(2)).
func Dial(ctx context.Context, path string) (conn net.Conn, err error) {
	err = With(path, func(addr string) error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "unix", addr)
		return err
	})
	return conn, err
}
