package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/limits"
)

// Table watches all children of this program that were started or adopted through it.
type Table struct {
	kernel
	self   string
	log    hclog.Logger
	nofile *syscall.Rlimit // what children get, or nil for what we have
	null   int             // /dev/null
	oom    int             // our own oom_score_adj

	poll *os.File // the epoll, itself in Go's poller
	raw  syscall.RawConn
	ep   int // its number, valid until poll is closed

	cgroups cgroups
	room    *limits.Room // nil: nothing can have limits (UseCgroups)
	scans   *scanner

	// moving is held for reading while a process is started or reaped, and by Freeze.
	moving sync.RWMutex

	mu      sync.Mutex
	watches map[uint64]*watch
	lastID  uint64
	closed  bool
	inSpawn sync.WaitGroup

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// kernel is what the kernel, or a filter before it, does not let us do.
type kernel struct {
	stepOnly     bool        // start by the exec step, also where clone can
	noCgroupKill bool        // as before Linux 5.14
	noExitInfo   bool        // as before Linux 6.15: nobody says how another's child ended
	noCloneInto  atomic.Bool // CLONE_INTO_CGROUP is refused: children enter their cgroup themselves
	noGroupFlag  atomic.Bool // PIDFD_SIGNAL_PROCESS_GROUP is not known
}

// watch is a pidfd in the epoll.
type watch struct {
	id    uint64 // never used again, as descriptors are
	pidfd int
	child *Child        // nil for other members of a tree
	done  chan struct{} // closed when the process is dead
}

// NewTable makes an empty table. self is the path of this program for the exec step, /proc/self/exe
// where it is empty: that one stays right when the file is replaced. Only one table may be in use
// at a time where the program is a subreaper or pid 1: it reaps orphans.
func NewTable(self string, log hclog.Logger) (*Table, error) {
	if self == "" {
		self = "/proc/self/exe"
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	null, err := openAbove("/dev/null", unix.O_RDWR)
	if err != nil {
		return nil, err
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(ep, true) // so that os.NewFile hands it to Go's poller
	}
	if err != nil {
		unix.Close(null)
		return nil, fmt.Errorf("watch children: %w", os.NewSyscallError("epoll_create", err))
	}
	t := &Table{
		self: self, log: log, null: null, oom: ownOOM(), kernel: kernel{stepOnly: !canClone},
		poll: os.NewFile(uintptr(ep), "children"), ep: ep,
		scans: newScanner(), watches: make(map[uint64]*watch),
	}
	if t.raw, err = t.poll.SyscallConn(); err != nil {
		t.poll.Close()
		unix.Close(null)
		return nil, fmt.Errorf("watch children: %w", err)
	}
	if t.nofile, err = inheritedNofile(); err != nil {
		log.Debug("limit of open files before ours is unknown, children get ours", "error", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	t.wg.Add(2)
	go t.run()
	go func() {
		defer t.wg.Done()
		defer signal.Stop(died)
		t.sweep(ctx, died)
	}()
	return t, nil
}

func openAbove(path string, flags int) (int, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	up, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, childFDs)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", path, err)
	}
	return up, nil
}

// Close stops watching and waits for what runs in the background. The children are left as they
// are; no exit is reported any more. It must not be called from an exit callback.
func (t *Table) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	t.stop()
	t.scans.close()
	err := t.poll.Close() // ends run
	t.wg.Wait()
	t.inSpawn.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, w := range t.watches {
		delete(t.watches, id)
		if w.child != nil {
			w.child.dropPidfd()
		} else {
			unix.Close(w.pidfd)
		}
	}
	unix.Close(t.null)
	if t.cgroups.own != "" {
		unix.Rmdir(t.cgroups.own) // which fails where a child is left, or one of another table
	}
	if t.room != nil {
		t.room.Close()
	}
	return err
}

// add puts a pidfd into the epoll. On error the pidfd is still the caller's.
func (t *Table) add(w *watch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.lastID++
	w.id = t.lastID
	t.watches[w.id] = w
	if err := t.arm(w); err != nil {
		delete(t.watches, w.id)
		return err
	}
	return nil
}

func (t *Table) arm(w *watch) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(uint32(w.id)), Pad: int32(uint32(w.id >> 32))}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(t.ep, unix.EPOLL_CTL_ADD, w.pidfd, &ev))
}

// disarm must come before a pidfd is closed: a child in the middle of its start still holds a copy,
// which would keep it in the epoll.
func (t *Table) disarm(w *watch) {
	if err := unix.EpollCtl(t.ep, unix.EPOLL_CTL_DEL, w.pidfd, nil); err != nil {
		t.log.Error("pidfd does not leave the epoll", "error", err)
	}
}

// forget takes back a watch that did not fire.
func (t *Table) forget(w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.watches[w.id] == nil {
		return
	}
	delete(t.watches, w.id)
	t.disarm(w)
	unix.Close(w.pidfd)
}

// run is the one goroutine that sees processes die.
func (t *Table) run() {
	defer t.wg.Done()
	var events [128]unix.EpollEvent
	var held []*watch // dead, but to be looked at again
	var due time.Time // when
	for {
		var n int
		var werr error
		err := t.raw.Read(func(fd uintptr) bool {
			n, werr = unix.EpollWait(int(fd), events[:], 0)
			if werr == unix.EINTR {
				n, werr = 0, nil
			}
			return n > 0 || werr != nil
		})
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.poll.SetReadDeadline(time.Time{}) // fails only where it is closed; Read says so next
			for _, w := range held {
				t.rearm(w)
			}
			held = held[:0]
			continue
		case err != nil: // closed
			return
		case werr != nil:
			t.log.Error("children are not watched any more", "error", werr)
			return
		}
		for _, ev := range events[:n] {
			id := uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
			if w := t.died(id); w != nil {
				if at := time.Now().Add(w.child.again()); len(held) == 0 || at.Before(due) {
					due = at
					t.poll.SetReadDeadline(due) // fails only where it is closed
				}
				held = append(held, w)
			}
		}
	}
}

func (t *Table) rearm(w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.watches[w.id] == nil {
		return
	}
	if err := t.arm(w); err != nil {
		t.log.Error("child is not watched any more", "error", err)
	}
}

// died handles one event. It returns the watch where it must be looked at again.
func (t *Table) died(id uint64) (again *watch) {
	t.moving.RLock()
	defer t.moving.RUnlock()
	t.mu.Lock()
	w := t.watches[id]
	if w == nil || t.closed {
		t.mu.Unlock()
		return nil
	}
	t.disarm(w)
	if w.child == nil {
		// An orphan of a tree is our zombie where we are the subreaper; else this gives ECHILD and
		// its parent has it.
		reap(w.pidfd)
		unix.Close(w.pidfd)
		delete(t.watches, id)
		t.mu.Unlock()
		close(w.done)
		return nil
	}
	t.mu.Unlock()
	exit, ok := w.child.reap()
	if !ok {
		return w
	}
	t.mu.Lock()
	delete(t.watches, id)
	t.mu.Unlock()
	if w.child.exited != nil {
		w.child.exited(exit)
	}
	close(w.done)
	return nil
}
