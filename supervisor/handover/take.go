package handover

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// maxBytes is more than a Handover can have: some 200 bytes a socket.
const maxBytes = 64 << 20

// Take reads the Handover that environ, which has the form of os.Environ, names, and returns the
// environment without the entry. From then on none of its descriptors reaches a program that is
// executed. Where there is none, or it cannot be read, it is the zero one. The error says what
// cannot be taken over; what can be is in the Handover all the same.
func Take(environ []string) (h Handover, rest []string, err error) {
	i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, key+"=") })
	if i < 0 {
		return Handover{}, environ, nil
	}
	number := strings.TrimPrefix(environ[i], key+"=")
	rest = slices.Delete(slices.Clone(environ), i, i+1)
	fd, err := strconv.Atoi(number)
	if err != nil || fd < firstFD {
		return Handover{}, rest, fmt.Errorf("read handover: %s=%s names no descriptor", key, number)
	}
	if h, err = read(fd); err != nil {
		return Handover{}, rest, fmt.Errorf("read handover: %w", err)
	}
	if err = h.own(); err != nil {
		err = fmt.Errorf("take over: %w", err)
	}
	return h, rest, err
}

// read reads a Handover from the descriptor fd, and closes that.
func read(fd int) (Handover, error) {
	// What the variable names is a claim: only an exec of ours leaves such a file behind.
	what, err := os.Readlink(ownFDs + strconv.Itoa(fd))
	if err != nil {
		return Handover{}, err
	}
	if !strings.HasPrefix(what, "/memfd:"+fileName) {
		return Handover{}, fmt.Errorf("descriptor %d is %s, and not what a supervisor leaves to its successor", fd, what)
	}
	f := os.NewFile(uintptr(fd), fileName)
	defer f.Close() // it was only read
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxBytes))
	if err != nil {
		return Handover{}, err
	}
	var h Handover
	if err := json.Unmarshal(text, &h); err != nil {
		return Handover{}, err
	}
	if h.Version < Oldest || h.Version > Newest {
		return Handover{}, fmt.Errorf("it has version %d, known are %d to %d", h.Version, Oldest, Newest)
	}
	if bytes.Equal(h.Interpreters, []byte("null")) {
		h.Interpreters = nil
	}
	return h, nil
}

// firstFD is the first descriptor that is no standard one: the Go runtime opens those that were
// closed.
const firstFD = 3

// own makes the descriptors ours alone. One that is not open is named in the error and left out.
func (h *Handover) own() error {
	var errs []error
	own := func(fd *int, what string) {
		if *fd == 0 {
			return
		}
		err := error(unix.EBADF)
		if *fd >= firstFD {
			_, err = unix.FcntlInt(uintptr(*fd), unix.F_SETFD, unix.FD_CLOEXEC)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, descriptor %d: %w", what, *fd, err))
			*fd = 0
		}
	}
	own(&h.Lock, "lock")
	own(&h.Control, "control socket")
	own(&h.Front.FD, "socket of the front")
	own(&h.Dashboard.FD, "socket of the dashboard")
	own(&h.Metrics.FD, "socket of the metrics")
	for i := range h.Sockets {
		own(&h.Sockets[i].FD, "socket "+h.Sockets[i].Path)
	}
	h.ownWatches()
	return errors.Join(errs...)
}

// ownWatches has CloseWatches close the watches, and nothing else that has one of their numbers by
// now.
func (h *Handover) ownWatches() {
	h.Watches = slices.DeleteFunc(h.Watches, func(fd int) bool { return !isWatch(fd) })
	if len(h.Watches) == 0 {
		return
	}
	for _, fd := range h.Watches {
		unix.CloseOnExec(fd)
	}
	fds, closed := h.Watches, make(chan struct{})
	h.closed = closed
	h.closeWatches = sync.OnceFunc(func() {
		for _, fd := range fds {
			unix.Close(fd) // nobody reads it any more
		}
		close(closed)
	})
}

// TakeLock returns the file that holds the root's lock, which is the caller's then, or nil.
func (h *Handover) TakeLock() *os.File { return takeFile(&h.Lock, "lock") }

// TakeControl returns the control socket, which is the caller's then, or nil.
func (h *Handover) TakeControl() *os.File { return takeFile(&h.Control, "control socket") }

// TakeFront returns the front's socket, which is the caller's then, where it listens at address, or
// nil.
func (h *Handover) TakeFront(address string) *os.File {
	if h.Front.Address != address {
		return nil
	}
	return takeFile(&h.Front.FD, "front")
}

// TakeDashboard is TakeFront for the dashboard's socket.
func (h *Handover) TakeDashboard(address string) *os.File {
	if h.Dashboard.Address != address {
		return nil
	}
	return takeFile(&h.Dashboard.FD, "dashboard")
}

// TakeMetrics is TakeFront for the socket of the metrics.
func (h *Handover) TakeMetrics(address string) *os.File {
	if h.Metrics.Address != address {
		return nil
	}
	return takeFile(&h.Metrics.FD, "metrics")
}

func takeFile(fd *int, name string) *os.File {
	if *fd == 0 {
		return nil
	}
	f := os.NewFile(uintptr(*fd), name)
	*fd = 0
	return f
}

// TakeSockets returns the sockets of a build, whose descriptors are the caller's then.
func (h *Handover) TakeSockets(build string) []Socket {
	var taken []Socket
	for i := range h.Sockets { // in place: a thousand builds take theirs one after the other
		s := &h.Sockets[i]
		if s.Build == build && s.FD != 0 {
			taken = append(taken, *s)
			s.FD = 0
		}
	}
	return taken
}

// Drop closes the sockets that nobody took, of builds, of the front, of the dashboard and of the metrics:
// the configuration has changed in that very moment.
func (h *Handover) Drop() {
	fds := []*int{&h.Front.FD, &h.Dashboard.FD, &h.Metrics.FD}
	for i := range h.Sockets {
		fds = append(fds, &h.Sockets[i].FD)
	}
	for _, fd := range fds {
		if *fd != 0 {
			unix.Close(*fd) // there is nobody to tell
			*fd = 0
		}
	}
}

// CloseWatches closes the watches of the supervisor before. Only the first call does anything.
func (h *Handover) CloseWatches() {
	if h.closeWatches != nil {
		h.closeWatches()
	}
}

// WatchesClosed waits until CloseWatches was called and is done. Where there are no watches it
// returns at once.
func (h *Handover) WatchesClosed() {
	if h.closed != nil {
		<-h.closed
	}
}
