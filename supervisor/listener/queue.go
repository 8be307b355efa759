package listener

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix lacks of the kernel's sock_diag interface (sock_diag(7)).
const (
	sockDiagByFamily = 20        // SOCK_DIAG_BY_FAMILY, linux/sock_diag.h
	udiagShowRQLen   = 0x10      // UDIAG_SHOW_RQLEN, linux/unix_diag.h
	unixDiagRQLen    = 4         // UNIX_DIAG_RQLEN, linux/unix_diag.h: struct unix_diag_rqlen { u32 rqueue, wqueue }
	noCookie         = 1<<32 - 1 // INET_DIAG_NOCOOKIE, linux/inet_diag.h: do not compare

	diagRequestBytes = 24 // struct unix_diag_req
	diagAnswerBytes  = 16 // struct unix_diag_msg
	allStates        = 1<<32 - 1
)

// QueueLen is how many clients wait to be accepted. It asks the kernel for this one socket by inode
// and cookie (sock_diag(7), UDIAG_SHOW_RQLEN: for a listening socket the length of its accept
// queue); needs no rights. The error wraps errors.ErrUnsupported where the kernel has no unix_diag.
func (l *Listener) QueueLen() (int, error) {
	n, err := l.queueLen()
	if err != nil {
		return 0, fmt.Errorf("length of the queue of %s: %w", l.Path(), err)
	}
	return n, nil
}

func (l *Listener) queueLen() (int, error) {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return 0, os.ErrClosed
	}
	var n int
	err := askDiag(diagRequest(unix.NLM_F_REQUEST, uint32(l.inode), l.cookie, udiagShowRQLen), 1<<10, func(b []byte) (last bool, err error) {
		n, err = parseQueueLen(b, uint32(l.inode))
		return true, err
	})
	return n, err
}

// Lengthen lets as many clients wait as Bind did by default. A server sets a length of its own when it
// starts to listen, down to 50, and that is all there is room for then, also once it has died.
func (l *Listener) Lengthen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := os.ErrClosed
	if !l.closed {
		err = os.NewSyscallError("listen", unix.Listen(l.fd, Backlog))
	}
	if err != nil {
		return fmt.Errorf("lengthen the queue of %s: %w", l.path, err)
	}
	return nil
}

// askDiag sends a request and hands each datagram of the answer, of at most size bytes, to read,
// until that says that it was the last.
func askDiag(request []byte, size int, read func([]byte) (last bool, err error)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		if errors.Is(err, unix.EPROTONOSUPPORT) {
			err = errors.ErrUnsupported
		}
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// The kernel answers from within sendto(2), so there is nothing to wait for; the time is for a
	// kernel where that changes.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, request, 0, kernel); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, size)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if last, err := read(buf[:n]); last || err != nil {
			return err
		}
	}
}

func diagRequest(flags uint16, inode uint32, cookie [2]uint32, show uint32) []byte {
	e := binary.NativeEndian
	b := make([]byte, 0, unix.SizeofNlMsghdr+diagRequestBytes)
	b = e.AppendUint32(b, unix.SizeofNlMsghdr+diagRequestBytes)
	b = e.AppendUint16(b, sockDiagByFamily)
	b = e.AppendUint16(b, flags)
	b = e.AppendUint32(b, 1) // sequence number
	b = e.AppendUint32(b, 0) // port: the kernel fills it in

	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = e.AppendUint32(b, allStates)
	b = e.AppendUint32(b, inode)
	b = e.AppendUint32(b, show)
	b = e.AppendUint32(b, cookie[0])
	return e.AppendUint32(b, cookie[1])
}

// parseQueueLen reads the one message that answers diagRequest.
func parseQueueLen(b []byte, inode uint32) (int, error) {
	e := binary.NativeEndian
	if len(b) < unix.SizeofNlMsghdr {
		return 0, fmt.Errorf("sock_diag returned %d bytes, want a whole header", len(b))
	}
	size, kind := e.Uint32(b), e.Uint16(b[4:])
	if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) {
		return 0, fmt.Errorf("sock_diag returned a message of %d bytes in %d", size, len(b))
	}
	b = b[unix.SizeofNlMsghdr:size]
	switch kind {
	case sockDiagByFamily:
	case unix.NLMSG_ERROR:
		return 0, diagError(b)
	default:
		return 0, fmt.Errorf("sock_diag returned a message of type %d", kind)
	}
	if len(b) < diagAnswerBytes {
		return 0, fmt.Errorf("sock_diag returned %d bytes, want at least %d", len(b), diagAnswerBytes)
	}
	if got := e.Uint32(b[4:]); b[0] != unix.AF_UNIX || got != inode {
		return 0, fmt.Errorf("sock_diag returned for socket %d of family %d, want %d", got, b[0], inode)
	}
	for b = b[diagAnswerBytes:]; len(b) >= unix.SizeofRtAttr; {
		size, kind := int(e.Uint16(b)), e.Uint16(b[2:])
		if size < unix.SizeofRtAttr || size > len(b) {
			return 0, fmt.Errorf("sock_diag returned an attribute of %d bytes in %d", size, len(b))
		}
		if kind == unixDiagRQLen && size >= unix.SizeofRtAttr+8 {
			return int(e.Uint32(b[unix.SizeofRtAttr:])), nil
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return 0, errors.New("sock_diag returned without the length of the queue")
}

func diagError(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("sock_diag returned an error of %d bytes", len(b))
	}
	code := syscall.Errno(-int32(binary.NativeEndian.Uint32(b)))
	// ENOENT is both: no such socket, or no handler for the family, when the module unix_diag is
	// not there. We hold the socket, so it is the latter.
	if code == unix.ENOENT {
		return fmt.Errorf("the kernel module unix_diag: %w", errors.ErrUnsupported)
	}
	return os.NewSyscallError("sock_diag", code)
}
