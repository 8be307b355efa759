package listener

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxAddress is how much of a path fits into sockaddr_un beside the final NUL (unix(7)).
const maxAddress = 107

// withAddress calls use with an address that leads to path: the path itself or, where that is too long, its last element below
// /proc/self/fd/N, with N a descriptor of its folder that is open during the call only.
func withAddress(path string, use func(addr string) error) error {
	if len(path) <= maxAddress {
		return use(path)
	}
	dir, name := filepath.Split(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	addr := procPath(fd) + "/" + name
	if len(addr) > maxAddress {
		return fmt.Errorf("%s is too long for the name of a socket: want at most %d bytes", name, maxAddress-len(procPath(fd))-1)
	}
	return use(addr)
}

func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
