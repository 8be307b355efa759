package listener

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// client is an accepted connection. It is an os.File below, since net.FileConn needs a second
// descriptor for a moment, and a client that was accepted must not be lost where there is none. The
// file is not embedded: its ReadFrom and WriteTo try calls that are not meant for sockets.
type client struct{ file *os.File }

// newClient takes over fd, which must be non-blocking.
func newClient(fd int) *client { return &client{os.NewFile(uintptr(fd), "client")} }

func (c *client) Read(b []byte) (int, error)        { return c.file.Read(b) }
func (c *client) Write(b []byte) (int, error)       { return c.file.Write(b) }
func (c *client) Close() error                      { return c.file.Close() }
func (c *client) SetDeadline(t time.Time) error     { return c.file.SetDeadline(t) }
func (c *client) SetReadDeadline(t time.Time) error { return c.file.SetReadDeadline(t) }

// CloseWrite tells the client that nothing more comes; what it sends can still be read.
func (c *client) CloseWrite() error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	if ctl := raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) }); ctl != nil {
		return ctl
	}
	return os.NewSyscallError("shutdown", err)
}
