package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/listener"
	"github.com/medctrl/medctrl-supervisor/supervisor/state"
)

// handoverVersion is the newest version of a handover that is written and read;
// handoverOldest that which every successor must read, and handoverWatches the
// first whose readers close Watches.
const (
	handoverVersion = 2
	handoverWatches = 2
	handoverOldest  = 1
)

// handoverKey is in the environment of a program that is executed in our place:
// the descriptor from which it reads the handover.
const handoverKey = "MEDCTRL_HANDOVER"

// handover is what a supervisor tells the one that is executed in its place:
// descriptors, which are open in both, and what it would have to ask once more.
// Everything else is found as after a crash.
type handover struct {
	Version int
	From    string // the version of the one before
	Lock    int
	Control int // 0: none
	Front   struct {
		Address string
		FD      int
	}
	Sockets      []handedSocket
	Interpreters build.Interpreters // which take longer to ask than all the rest
	Cgroups      []string           // folders of the children's, which take long to find: process.Table.UseCgroups
	Watches      []int              // of inotify, only to be kept and then closed: see watches
}

// handedSocket is a build's socket, public or of a generation that ends.
type handedSocket struct {
	Build string
	Path  string
	FD    int
}

// keep writes the handover where the next program can read it, and has the
// descriptors in it survive the exec. undo takes that back.
func (h *handover) keep() (fd int, undo func(), err error) {
	text, err := json.Marshal(h)
	if err != nil {
		return -1, nil, fmt.Errorf("write handover: %w", err)
	}
	fd, err = unix.MemfdCreate("handover", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, nil, fmt.Errorf("write handover: %w", os.NewSyscallError("memfd_create", err))
	}
	f := os.NewFile(uintptr(fd), "handover")
	fds := []int{fd, h.Lock}
	for _, n := range []int{h.Control, h.Front.FD} {
		if n != 0 {
			fds = append(fds, n)
		}
	}
	for _, s := range h.Sockets {
		fds = append(fds, s.FD)
	}
	fds = append(fds, h.Watches...)
	undo = func() {
		for _, n := range fds {
			unix.CloseOnExec(n)
		}
		f.Close() // it is not needed any more
	}
	if _, err = f.WriteAt(text, 0); err == nil {
		for _, n := range fds {
			if _, err = unix.FcntlInt(uintptr(n), unix.F_SETFD, 0); err != nil {
				break
			}
		}
	}
	if err != nil {
		undo()
		return -1, nil, fmt.Errorf("write handover: %w", err)
	}
	return fd, undo, nil
}

// watches lists our descriptors of inotify. Closing one takes up to 30 ms, for the
// grace period after which the kernel frees its marks (Linux 6.18,
// fsnotify_destroy_group). An exec waits for that, and the front's clients with it;
// so the successor closes them, beside its work. It does so when its own are there:
// for the first watch of a folder the kernel goes through all names that it
// remembers of that, and whoever opens anything below waits, gunicorn too
// (fsnotify_recalc_mask; 8 ms for /tmp with 300,000 names). Where there is no room
// for its own meanwhile (inotify(7), max_user_instances) there are none to be kept.
//
// None of them may be closed between this and the exec: the successor would close
// what has its number by then. Those that we were given ourselves are closed before
// an upgrade begins (watchesClosed), our own only at our end.
func watches() []int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // the exec takes longer
	}
	var all []int
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && isWatch(fd) {
			all = append(all, fd)
		}
	}
	for range all {
		room, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return nil
		}
		defer unix.Close(room) // it watches nothing, and so takes no time
	}
	return all
}

func isWatch(fd int) bool {
	what, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	return err == nil && strings.HasSuffix(what, "inotify")
}

// takeWatches makes those of the supervisor before ours.
func (h *handed) takeWatches() {
	h.Watches = slices.DeleteFunc(h.Watches, func(fd int) bool { return !isWatch(fd) })
	for _, fd := range h.Watches {
		unix.CloseOnExec(fd)
	}
}

// closeWatches closes those of the supervisor before.
func (h *handed) closeWatches() {
	if h == nil {
		return
	}
	for _, fd := range h.Watches {
		unix.Close(fd) // nobody reads it any more
	}
	close(h.closed)
}

// watchesClosed waits until they are.
func (h *handed) watchesClosed() {
	if h != nil {
		<-h.closed
	}
}

// handed is a handover that was read, until all of it is taken. A nil one has
// nothing.
type handed struct {
	handover
	sockets map[string][]*listener.Listener
	closed  chan struct{} // closed when the Watches are
}

// takeHandover reads the handover that the environment names, if it does, and
// answers the environment without it.
func takeHandover(environ []string) (*handed, []string, error) {
	i := slices.IndexFunc(environ, func(e string) bool { return strings.HasPrefix(e, handoverKey+"=") })
	if i < 0 {
		return nil, environ, nil
	}
	fd, err := strconv.Atoi(strings.TrimPrefix(environ[i], handoverKey+"="))
	environ = slices.Delete(slices.Clone(environ), i, i+1)
	if err != nil || fd < 3 {
		return nil, environ, fmt.Errorf("%s names no descriptor", handoverKey)
	}
	h, err := readHandover(fd)
	if err != nil {
		err = fmt.Errorf("read handover: %w", err)
	}
	return h, environ, err
}

func readHandover(fd int) (*handed, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "handover")
	if f == nil {
		return nil, os.ErrInvalid
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<20))
	if err != nil {
		return nil, err
	}
	h := &handed{sockets: map[string][]*listener.Listener{}, closed: make(chan struct{})}
	if err := json.Unmarshal(text, &h.handover); err != nil {
		return nil, err
	}
	if h.Version > handoverVersion {
		return nil, fmt.Errorf("it has version %d, known are those up to %d", h.Version, handoverVersion)
	}
	h.takeWatches()
	var errs []error
	for _, s := range h.Sockets {
		l, err := listener.Inherited(s.FD, s.Path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		h.sockets[s.Build] = append(h.sockets[s.Build], l)
	}
	return h, errors.Join(errs...)
}

// known answers what the supervisor before knew of interpreters.
func (h *handed) known() build.Interpreters {
	if h == nil {
		return nil
	}
	return h.Interpreters
}

// cgroups answers where the supervisor before had cgroups for its children.
func (h *handed) cgroups() []string {
	if h == nil {
		return nil
	}
	return h.Cgroups
}

// take answers the sockets of a build, which are the caller's then.
func (h *handed) take(build string) []*listener.Listener {
	if h == nil {
		return nil
	}
	all := h.sockets[build]
	delete(h.sockets, build)
	return all
}

// drop closes what nobody took: of builds that left the file in that moment.
func (h *handed) drop() {
	if h == nil {
		return
	}
	for _, all := range h.sockets {
		for _, l := range all {
			l.Close() // there is nobody to tell
		}
	}
	h.sockets = nil
	if h.Front.FD != 0 {
		unix.Close(h.Front.FD)
		h.Front.FD = 0
	}
}

func (h *handed) takeLock(own string) (*state.Locked, error) {
	if h == nil {
		return nil, nil
	}
	unix.CloseOnExec(h.Lock)
	return state.Relock(own, os.NewFile(uintptr(h.Lock), "lock"))
}

// takeControl answers the control socket, or nil where a new one is to be made.
func (h *handed) takeControl(path string, log hclog.Logger) *control.Socket {
	if h == nil || h.Control == 0 {
		return nil
	}
	unix.CloseOnExec(h.Control)
	s, err := control.Inherited(os.NewFile(uintptr(h.Control), path), path)
	if err != nil {
		log.Warn("control socket is made anew", "error", err)
		return nil
	}
	return s
}

// takeFront answers the front's socket where it listens at addr, or nil.
func (h *handed) takeFront(addr string, log hclog.Logger) net.Listener {
	if h.Front.FD == 0 || h.Front.Address != addr {
		return nil
	}
	unix.CloseOnExec(h.Front.FD)
	f := os.NewFile(uintptr(h.Front.FD), "front")
	h.Front.FD = 0
	defer f.Close() // net.FileListener has its own
	ln, err := net.FileListener(f)
	if err != nil {
		log.Warn("socket of the front is made anew", "error", err)
		return nil
	}
	return ln
}
