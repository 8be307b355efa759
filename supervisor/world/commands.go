package world

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// commands takes commands over the control socket (Control).
type commands struct {
	path  string
	log   hclog.Logger
	given *os.File // from before an upgrade, or nil
	said  string   // the trouble that was logged last; only for Serve

	mu      sync.Mutex
	socket  *control.Socket // nil: it could not be made
	readers int             // group whose members may read, or control.NoGroup
}

// socketRetry is how long a control socket that could not be made is not tried again.
const socketRetry = 2 * time.Second

// Serve passes commands on to b until ctx ends.
func (c *commands) Serve(ctx context.Context, b control.Backend, m *control.Metrics) {
	socket, err := c.open()
	for err != nil && ctx.Err() == nil {
		c.trouble(err)
		select {
		case <-time.After(socketRetry):
		case <-ctx.Done():
			return
		}
		socket, err = control.Listen(c.path, c.group())
	}
	if err == nil {
		c.mu.Lock()
		c.socket = socket
		socket.SetReaders(c.readers) // may have changed meanwhile
		c.mu.Unlock()
		err = control.Serve(ctx, socket, b, m, c.log)
	}
	if err != nil {
		c.trouble(err)
	}
}

// SetReaders lets the members of a group read, those of none for "".
func (c *commands) SetReaders(group string) error {
	readers := control.NoGroup
	if group != "" {
		id, err := config.GroupID(group)
		if err != nil {
			return fmt.Errorf("control_group: %w", err)
		}
		readers = id
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers = readers
	if c.socket != nil {
		c.socket.SetReaders(readers)
	}
	return nil
}

// group is the group whose members may read, or control.NoGroup.
func (c *commands) group() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.readers
}

// trouble logs why commands cannot reach us, each reason once.
func (c *commands) trouble(err error) {
	if c.said != err.Error() {
		c.log.Error("control socket cannot be served, commands cannot reach the supervisor until it can", "path", c.path, "error", err)
	}
	c.said = err.Error()
}

// open makes the socket, unless it was handed over.
func (c *commands) open() (*control.Socket, error) {
	if c.given != nil {
		s, err := control.Inherited(c.given, c.path, c.group())
		if err == nil {
			return s, nil
		}
		c.log.Warn("control socket is made again", "error", err)
	}
	return control.Listen(c.path, c.group())
}

// restore makes the socket again where somebody has removed or changed it.
func (c *commands) restore() error {
	c.mu.Lock()
	socket := c.socket
	c.mu.Unlock()
	if socket == nil {
		return nil // it is not there yet, which Serve sees to
	}
	return socket.Restore()
}

// file returns a descriptor of the socket for the program that is executed in our place; nil where
// there is none. The caller closes it.
func (c *commands) file() (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket == nil {
		return nil, nil
	}
	return c.socket.File()
}
