package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
)

// sockets is this machine as a World's Sockets.
type sockets struct {
	root   layout.Root
	log    hclog.Logger
	guard  *listener.Guard
	holder *holder
}

// socket is one of them (public.Listener).
type socket struct {
	*listener.Listener
	release func() // whoever else holds it lets go of it
	log     hclog.Logger
}

// Take gives the socket the public name.
func (s socket) Take(public string) error {
	if err := setAside(public, fs.ModeSocket, s.log); err != nil {
		return err
	}
	return s.Listener.Take(public)
}

// Close closes the socket, for us and for whoever held it for our successor.
func (s socket) Close() error {
	err := s.Listener.Close()
	s.release()
	return err
}

// Restore puts the path back.
func (s socket) Restore() error {
	if err := setAside(s.Path(), fs.ModeSocket, s.log); err != nil {
		return err
	}
	err := s.Listener.Restore()
	if errors.Is(err, listener.ErrNoSpare) {
		return fmt.Errorf("%w: %w", public.ErrLost, err)
	}
	return err
}

// Bind makes a listener with the build's owner and the socket's group and mode, and the build's
// folder. Others must be able to reach the socket through the folder, but nothing else in it. Until the build's first
// release serves, a server of somebody else's that has the public path keeps it.
func (s sockets) Bind(path string, entry *config.Build) (public.Listener, error) {
	if err := build.MakeFolder(filepath.Dir(path), build.FolderMode, os.Geteuid(), -1); err != nil {
		return nil, err
	}
	o, err := config.IdentityOf(*entry)
	if err != nil {
		return nil, err
	}
	group, err := config.SocketGroupOf(*entry)
	if err != nil {
		return nil, err
	}
	if err := setAside(path, fs.ModeSocket, s.log); err != nil {
		return nil, err
	}
	dir := s.root.Build(entry.Name)
	_, current := os.Lstat(dir.Current())
	l, err := listener.Bind(path, listener.Options{
		UID: o.UID, GID: group, Mode: entry.SocketMode, Yield: path == dir.Socket() && errors.Is(current, fs.ErrNotExist),
	})
	if err != nil {
		return nil, err
	}
	if l.Yields() {
		s.log.Warn("another server listens on the public socket's path and keeps it until the first release serves", "build", entry.Name, "path", path)
	}
	return s.holder.hold(l), nil
}

// Recover takes a listener back.
func (s sockets) Recover(path string, inode uint64, pids ...int) (public.Listener, error) {
	l, err := listener.Recover(path, inode, pids...)
	if err != nil {
		return nil, err
	}
	return s.holder.hold(l), nil
}

// HeldBy reports whether one of the processes has the socket open.
func (sockets) HeldBy(inode uint64, pids ...int) bool { return listener.HeldBy(inode, pids...) }

// Remove removes the path of a socket.
func (sockets) Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Tidy removes names that lead to nobody.
func (s sockets) Tidy(name string) error {
	b := s.root.Build(name)
	return listener.Tidy(b.Dir(), filepath.Base(b.Socket()), filepath.Base(b.Staging()))
}

// Guard calls touched when a socket in the build's folder may have lost its name.
func (s sockets) Guard(b layout.Build, touched func()) { s.guard.Watch(b.Dir(), touched) }

// Run reports lost names.
func (s sockets) Run(ctx context.Context) { s.guard.Run(ctx) }
