package listener

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNoSpare says that a lost name cannot be put back, because no other name of the socket is left.
// Only a new socket helps.
var ErrNoSpare = errors.New("no other name of this socket is left")

// errShut says that a socket takes no client any more. It is an ErrNoSpare: only a new socket helps.
type errShut struct{}

func (errShut) Error() string {
	return "a server that was given this socket has shut it down, for all who hold it (shutdown(2))"
}

func (errShut) Is(target error) bool { return target == ErrNoSpare }

// Named reports whether the name at Path still leads to this very socket, which takes clients, or to the
// server that it was left to.
func (l *Listener) Named() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.is(l.path) && !l.shut() || l.yields()
}

// shut reports whether somebody who holds the socket has shut it down. daphne does so at its end with each
// socket that it listens on (twisted, tcp.py: _closeSocket). From then on connect(2) says ECONNREFUSED.
func (l *Listener) shut() bool {
	return !l.closed && isShut(l.fd)
}

// Yields reports whether the name at Path was left to another server, which has it still.
func (l *Listener) Yields() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.yields()
}

func (l *Listener) yields() bool {
	l.behind = l.behind && foreign(l.path)
	return l.behind
}

// foreign reports whether path leads to a listening socket that is not one of ours. Each of ours has
// a spare name, and so two links.
func foreign(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK && st.Nlink == 1 && !dead(path)
}

// Take gives the socket the name public in place of its own, atomically: there is no instant at
// which public leads nowhere. The socket that had the name keeps its queue and its spare, and is
// reached by no new client. What is not a socket is not replaced. After an error the names are as
// before.
func (l *Listener) Take(public string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.take(public); err != nil {
		return fmt.Errorf("name %s %s: %w", l.path, public, err)
	}
	l.path = public
	return nil
}

func (l *Listener) take(public string) error {
	if l.closed {
		return os.ErrClosed
	}
	l.behind = false
	if err := l.remode(); err != nil {
		return err
	}
	if public == l.path {
		return l.restore()
	}
	if err := replaceable(public); err != nil {
		return err
	}
	if !l.is(l.path) {
		return l.publish(public)
	}
	if l.is(public) { // rename(2) does nothing where both names lead to one file
		return os.Remove(l.path)
	}
	return os.Rename(l.path, public)
}

// Restore puts the name at Path back, where somebody removed it or put another socket there, by a
// hard link of the spare: the socket and its queue are the same as before. A lost spare is made
// again from the name, and so is the mode. It does nothing while both are right. Call it only for the socket that is
// meant to have the name: one whose name was taken would take it back. A name that was left to
// another server is put back once that has gone. The error wraps ErrNoSpare
// where only a new socket can help (the whole folder was removed, the file system has no hard
// links, or the socket was shut down).
func (l *Listener) Restore() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("restore %s: %w", l.path, os.ErrClosed)
	}
	err := error(errShut{})
	if !l.shut() {
		err = l.restore()
	}
	if err == nil {
		err = errors.Join(l.respare(), l.remode())
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", l.path, err)
	}
	return nil
}

func (l *Listener) restore() error {
	if l.is(l.path) {
		return nil
	}
	if l.yields() {
		if l.spare == "" || !l.is(l.spare) {
			return ErrNoSpare
		}
		return nil
	}
	if err := replaceable(l.path); err != nil {
		return err
	}
	return l.publish(l.path)
}

// respare puts the spare back where somebody removed it while the name is still there.
func (l *Listener) respare() error {
	if l.spare == "" || l.is(l.spare) || l.behind {
		return nil
	}
	return os.Link(l.path, l.spare)
}

// Unlink removes the name, if it still leads to this socket, and the spare. The socket stays open
// for those who hold it.
func (l *Listener) Unlink() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.removeSpare()
	if l.is(l.path) {
		err = errors.Join(err, os.Remove(l.path))
	}
	return err
}

// publish makes name lead to the socket, replacing a socket that has it.
func (l *Listener) publish(name string) error {
	if l.spare == "" || !l.is(l.spare) {
		return ErrNoSpare
	}
	err := l.linkOver(name)
	// EPERM: no hard links here (link(2)), or the socket was given away and protected_hardlinks
	// wants its owner (proc(5)).
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EMLINK) {
		if err := os.Rename(l.spare, name); err != nil {
			return err
		}
		l.spare = ""
		return nil
	}
	return err
}

// linkOver makes name a further hard link of the socket in one step, whatever it led to.
func (l *Listener) linkOver(name string) error {
	aside := l.spare + asideSuffix
	if err := os.Link(l.spare, aside); err != nil {
		if !errors.Is(err, fs.ErrExist) || !l.is(aside) {
			return err
		}
	}
	if err := os.Rename(aside, name); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	if l.is(aside) { // name led to us already, so rename(2) did nothing
		return os.Remove(aside)
	}
	return nil
}

func (l *Listener) removeSpare() error {
	spare := l.spare
	l.spare = ""
	if spare == "" || !l.is(spare) && l.ino != 0 {
		return nil
	}
	return os.Remove(spare)
}

// is reports whether path leads to this socket's file.
func (l *Listener) is(path string) bool {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return err == nil && uint64(st.Dev) == l.dev && st.Ino == l.ino
}

// replaceable is nil where path is free or leads to a socket.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket, so it was left alone; move it away: %w", path, fs.ErrExist)
	}
	return nil
}
