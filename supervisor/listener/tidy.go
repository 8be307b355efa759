package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// asideSuffix marks a spare's second link on its way to being renamed.
const asideSuffix = ".new"

var spares = regexp.MustCompile(`^\..+\.[0-9]+(\` + asideSuffix + `)?$`)

// Tidy removes the spare names in dir, and those called names, whose sockets nobody holds any more:
// what a supervisor that was killed, or a power cut, left behind. Names of sockets that some process
// still holds, and everything else, stay. A missing dir is not an error.
func Tidy(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tidy %s: %w", dir, err)
	}
	var all error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		ours := spares.MatchString(e.Name()) || slices.Contains(names, e.Name())
		if e.Type() != fs.ModeSocket || !ours || !dead(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("tidy %s: %w", dir, err))
		}
	}
	return all
}

// dead reports whether path is a socket that no process holds. It asks with a datagram socket: the
// kernel looks the name up and then answers EPROTOTYPE for a live stream socket and ECONNREFUSED
// for a dead one (net/unix/af_unix.c, unix_find_bsd), so a live listener never sees a client. When
// in doubt it is alive.
func dead(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = sockaddr.With(path, func(addr string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: addr})
	})
	info, statErr := os.Lstat(path)
	return errors.Is(err, unix.ECONNREFUSED) && statErr == nil && info.Mode().Type() == fs.ModeSocket
}
