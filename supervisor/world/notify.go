package world

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/actor"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// notifyName is the name of the socket that a process writes to, in the folder of its temporary files,
// which only its user may enter.
const notifyName = "notify"

// hear makes the socket that a process gets as NOTIFY_SOCKET (sd_notify(3)). It is made beside temp, where
// only we may write, and gets its owner there: in temp its user could put another file in its place first.
func hear(temp string, as config.Identity) (server.Words, error) {
	made, path := temp+"."+notifyName, filepath.Join(temp, notifyName)
	for _, old := range []string{made, path} {
		if err := os.RemoveAll(old); err != nil { // which follows no link
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = os.NewSyscallError("fchmod", unix.Fchmod(fd, 0o600)) // bind(2) makes the file with that mode
	if err == nil {
		err = sockaddr.With(made, func(addr string) error {
			return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: addr}))
		})
	}
	if err == nil && !as.Own() {
		err = os.Lchown(made, as.UID, -1)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		unix.Close(fd)  // nothing came yet
		os.Remove(made) // the next attempt removes it else
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	return notes{os.NewFile(uintptr(fd), path)}, nil
}

// notes is our end of it.
type notes struct{ *os.File }

// mostNote is above what anybody says at once.
const mostNote = 4096

// Next returns the next message.
func (n notes) Next(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		// A deadline in the past makes Read return; the only possible error is that the file is closed,
		// which does the same.
		_ = n.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	text := make([]byte, mostNote)
	size, err := n.Read(text)
	return text[:size], err
}

// notifyEnv tells a process where to write, and how often it should say that it is alive.
func notifyEnv(temp string) []string {
	return []string{
		"NOTIFY_SOCKET=" + filepath.Join(temp, notifyName),
		"WATCHDOG_USEC=" + strconv.FormatInt(server.WatchdogTime.Microseconds(), 10),
	}
}

// Hear makes the socket again that a process writes to, which an earlier supervisor had made.
func (t trees) Hear(l actor.Leftover, as config.Identity) (server.Words, error) {
	return hear(tempOf(t.root, l.Mark), as)
}
