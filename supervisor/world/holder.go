package world

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/public"
	"github.com/medctrl/medctrl-supervisor/supervisor/sdnotify"
)

// holder is the service manager with its store of descriptors (Holder). Every socket that a client
// may wait on is stored as soon as it is made, under a name of its own, and removed from the store
// when it is closed: the store is right whenever we are killed.
type holder struct {
	root  layout.Root
	store *sdnotify.Store
	log   hclog.Logger

	mu     sync.Mutex
	stored map[uint64]bool   // the inodes that the service manager was told to hold
	passed map[string][]held // what it held for us, by build
	places map[PlaceName]int // the same: the sockets of places
}

// held is a socket that the service manager held for us.
type held struct {
	fd    int
	inode uint64
	name  string
}

// buildPrefix is how the names of builds' sockets in the store begin. Those of places have their names.
const buildPrefix = "build"

func storeName(build string, inode uint64) string {
	return buildPrefix + "." + build + "." + strconv.FormatUint(inode, 10)
}

// newHolder takes what the service manager passed to us. What has no name of ours, such as the
// sockets of a socket unit, is closed.
func newHolder(root layout.Root, store *sdnotify.Store, passed []sdnotify.Stored, log hclog.Logger) *holder {
	h := &holder{root: root, store: store, log: log, stored: map[uint64]bool{}, passed: map[string][]held{}, places: map[PlaceName]int{}}
	for _, p := range passed {
		rest, ofBuild := strings.CutPrefix(p.Name, buildPrefix+".")
		build, number, _ := strings.Cut(rest, ".")
		inode, err := strconv.ParseUint(number, 10, 64)
		twice := slices.ContainsFunc(h.passed[build], func(s held) bool { return s.inode == inode })
		switch {
		case isPlace(p.Name) && h.places[PlaceName(p.Name)] == 0:
			h.places[PlaceName(p.Name)] = p.FD
		case ofBuild && err == nil && config.IsName(build) && !twice:
			h.passed[build] = append(h.passed[build], held{p.FD, inode, p.Name})
		default:
			h.refuse(p.FD, p.Name, fmt.Errorf("it is neither the front's nor the dashboard's nor the metrics' nor a build's"))
		}
	}
	return h
}

// refuse closes a descriptor that cannot be used.
func (h *holder) refuse(fd int, name string, why error) {
	h.log.Warn("descriptor that the service manager held is closed", "name", name, "error", why)
	unix.Close(fd) // there is nothing to lose
	if name != "" {
		h.store.Drop(name)
	}
}

// hold has the service manager hold a socket for as long as it is open.
func (h *holder) hold(l *listener.Listener) public.Listener {
	if !h.store.Wanted() {
		return socket{l, func() {}, h.log}
	}
	name := storeName(filepath.Base(filepath.Dir(l.Path())), l.Inode())
	if h.store.Keep(name, int(l.File().Fd())) {
		h.note(l.Inode(), true)
	}
	return h.holds(l, name)
}

// holds is l, which the service manager holds under a name.
func (h *holder) holds(l *listener.Listener, name string) public.Listener {
	return socket{l, func() {
		h.note(l.Inode(), false)
		h.store.Drop(name)
	}, h.log}
}

func (h *holder) note(inode uint64, stored bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if stored {
		h.stored[inode] = true
	} else {
		delete(h.stored, inode)
	}
}

// builds are those of which sockets were held for us.
func (h *holder) builds() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for name := range h.passed {
		names = append(names, name)
	}
	return names
}

// take returns the sockets of a build that were held for us.
func (h *holder) take(build string) []public.Listener {
	h.mu.Lock()
	passed := h.passed[build]
	delete(h.passed, build)
	h.mu.Unlock()
	paths := h.root.Build(build)
	var all []public.Listener
	for _, s := range passed {
		// The spare name, by which it was bound, shows for which of the two.
		l, err := listener.Stored(s.fd, paths.Socket(), s.inode, filepath.Base(paths.Socket()), filepath.Base(paths.Staging()))
		if err != nil {
			h.refuse(s.fd, s.name, err)
			continue
		}
		h.note(s.inode, true)
		h.log.Debug("socket that the service manager held is in use again", "build", build, "path", l.Path())
		all = append(all, h.holds(l, s.name))
	}
	return all
}

func isPlace(name string) bool {
	return name == string(FrontPlace) || name == string(DashboardPlace) || name == string(MetricsPlace)
}

// HoldPlace has the socket of a place held.
func (h *holder) HoldPlace(name PlaceName, socket *os.File) {
	if !h.store.Wanted() {
		return
	}
	h.store.Drop(string(name))
	if socket == nil {
		return
	}
	fd, err := descriptor(socket)
	var st unix.Stat_t
	if err == nil {
		err = os.NewSyscallError("fstat", unix.Fstat(fd, &st))
	}
	if err != nil {
		h.log.Warn("socket is not held over a restart", "of", name, "error", err)
		return
	}
	if h.store.Keep(string(name), fd) {
		h.note(st.Ino, true)
	}
}

// takePlace returns the listener of a place if one that listens at addr was held for us.
func (h *holder) takePlace(name PlaceName, addr string) net.Listener {
	fd := h.places[name]
	delete(h.places, name)
	if fd == 0 {
		return nil
	}
	f := os.NewFile(uintptr(fd), string(name))
	defer f.Close() // net.FileListener has its own
	ln, err := net.FileListener(f)
	if err == nil {
		if err = listensAt(ln, fd, addr); err != nil {
			ln.Close() // there is nothing to lose
		}
	}
	if err != nil {
		h.log.Info("socket that the service manager held is closed", "of", name, "address", addr, "reason", err)
		h.store.Drop(string(name))
		return nil
	}
	return ln
}

// listensAt returns an error unless ln, whose descriptor is fd, listens at addr.
func listensAt(ln net.Listener, fd int, addr string) error {
	got, ok := ln.Addr().(*net.TCPAddr)
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if !ok || err != nil || listens == 0 {
		return fmt.Errorf("it is not a listening TCP socket")
	}
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return err
	}
	anywhere := (want.IP == nil || want.IP.IsUnspecified()) && got.IP.IsUnspecified()
	if got.Port != want.Port || !anywhere && !got.IP.Equal(want.IP) {
		return fmt.Errorf("it listens at %s", got)
	}
	return nil
}

// drop closes what was held for us and nobody took.
func (h *holder) drop() {
	for _, build := range h.builds() {
		h.mu.Lock()
		passed := h.passed[build]
		delete(h.passed, build)
		h.mu.Unlock()
		for _, s := range passed {
			h.refuse(s.fd, s.name, fmt.Errorf("no build wants it"))
		}
	}
	for name, fd := range h.places {
		delete(h.places, name)
		h.refuse(fd, string(name), fmt.Errorf("there is no %s any more", name))
	}
}

// Held returns which sockets the service manager holds. It is asked what it really holds, as it drops
// what it has no room for and does not say so; the one that started us is our parent. Where we may
// not look, its word that it has a store must do.
func (h *holder) Held() func(inode uint64) bool {
	if !h.store.Wanted() {
		return func(uint64) bool { return false }
	}
	holds, err := listener.Held(os.Getppid())
	if err != nil && !h.store.Told() {
		h.log.Warn("it cannot be seen whether the service manager holds the sockets, so they are closed: clients are lost until the next start", "error", err)
	}
	if err != nil && h.store.Told() {
		h.mu.Lock()
		defer h.mu.Unlock()
		holds = make(map[uint64]bool, len(h.stored))
		for inode := range h.stored {
			holds[inode] = true
		}
	}
	return func(inode uint64) bool { return holds[inode] }
}
