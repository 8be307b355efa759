package listener

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptor takes clients off the queue, concurrently with children that may do the same, without
// ever holding a thread for longer than a tick of the kernel's clock and without touching the
// blocking mode that we share with them (doc.go).
type acceptor struct {
	listener *Listener
	fd       int             // our own descriptor of the socket
	epoll    *os.File        // an epoll instance that watches it, itself watched by Go's poller
	raw      syscall.RawConn // of epoll
	release  func()
}

// newAcceptor makes one for the time of ctx. Where the process is short of descriptors the error
// wraps errShort.
func (l *Listener) newAcceptor(ctx context.Context) (_ *acceptor, err error) {
	fd, err := l.dup()
	if err != nil {
		return nil, shortage(err)
	}
	a := &acceptor{listener: l, fd: fd, release: func() {}}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, shortage(os.NewSyscallError("epoll_create1", err))
	}
	ctl := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	// os.NewFile gives to Go's poller only what is non-blocking; this description is ours alone.
	nonblock := unix.SetNonblock(ep, true)
	a.epoll = os.NewFile(uintptr(ep), "epoll")
	if err := errors.Join(os.NewSyscallError("epoll_ctl", ctl), os.NewSyscallError("fcntl", nonblock)); err != nil {
		return nil, err
	}
	if a.raw, err = a.epoll.SyscallConn(); err != nil {
		return nil, err
	}
	a.release = atEnd(ctx, func() { a.epoll.SetReadDeadline(past) })
	return a, nil
}

func (a *acceptor) close() {
	a.release()
	if a.epoll != nil {
		a.epoll.Close()
	}
	unix.Close(a.fd)
}

// wait returns when a client may wait in the queue, or with an error when ctx has ended.
func (a *acceptor) wait() error {
	var failed error
	err := a.raw.Read(func(ep uintptr) bool {
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(int(ep), events[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			failed = os.NewSyscallError("epoll_wait", err)
		}
		return n > 0 || failed != nil
	})
	return errors.Join(err, failed)
}

// accept takes the client that waits longest, or returns nil when there is none. Where the process
// is short of descriptors or memory it returns errShort: the client keeps its place in the queue.
func (a *acceptor) accept() (*client, error) {
	waiting, err := queued(a.fd)
	if err != nil || !waiting {
		return nil, err
	}
	fd, err := a.acceptSoon()
	switch err {
	case nil:
		return newClient(fd), nil
	case unix.EAGAIN, unix.EINTR, unix.ECONNABORTED: // somebody else took the client, or it left
		return nil, nil
	}
	return nil, shortage(os.NewSyscallError("accept4", err))
}

// errShort marks what passes by itself: clients keep their places in the queue meanwhile.
var errShort = errors.New("short of descriptors or memory")

// shortPause is the time between two tries while short.
const shortPause = 50 * time.Millisecond

func shortage(err error) error {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", errShort, err)
		}
	}
	return err
}

// acceptSoon is accept4(2) that returns within a tick of the kernel's clock (1 to 10 ms), also
// where the socket blocks and another process was faster. accept(2) takes the time from SO_RCVTIMEO
// when it begins, so children that wait in it already notice nothing. The lock keeps another
// acceptor of ours from taking the limit away too soon.
func (a *acceptor) acceptSoon() (int, error) {
	a.listener.accept.Lock()
	defer a.listener.accept.Unlock()
	limit := unix.Timeval{Usec: 1} // rounded up to a tick; zero would be no limit
	if err := unix.SetsockoptTimeval(a.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return -1, err
	}
	client, _, err := unix.Accept4(a.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if unlimited := unix.SetsockoptTimeval(a.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{}); err == nil && unlimited != nil {
		unix.Close(client)
		err = unlimited
	}
	return client, err
}

// past is a deadline that has always gone by.
var past = time.Unix(1, 0)

// atEnd calls f when ctx ends. The function it returns undoes that; after it f neither runs nor
// will.
func atEnd(ctx context.Context, f func()) (release func()) {
	ran := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ran)
		f()
	})
	return func() {
		if !stop() {
			<-ran
		}
	}
}
