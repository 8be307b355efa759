package health

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// maxAddress is how much of a path fits into sockaddr_un beside the final NUL (unix(7)).
const maxAddress = 107

// dial connects to the socket at path; one whose path is too long for an address is reached through a descriptor of its folder. A unix
// socket answers at once, also when its queue is full (EAGAIN, connect(2)).
func dial(ctx context.Context, path string) (net.Conn, error) {
	addr := path
	if len(path) > maxAddress {
		dir, name := filepath.Split(path)
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
		}
		defer unix.Close(fd)
		addr = fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", addr)
}
