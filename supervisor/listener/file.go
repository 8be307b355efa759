package listener

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix lacks of linux/unix_diag.h.
const (
	udiagShowVFS = 0x2      // UDIAG_SHOW_VFS
	tcpListen    = 10       // TCP_LISTEN, net/tcp_states.h: the state of a listening socket of any family
	dumpBytes    = 32 << 10 // the most that the kernel puts into one datagram of a dump (netlink_dump)
	unixDiagVFS  = 1        // UNIX_DIAG_VFS: struct unix_diag_vfs { u32 ino, dev }, of the file that the socket was bound to
)

// fileInode is the inode number of the socket's file, as far as the kernel tells: its low 32 bits.
func (l *Listener) fileInode() (file uint32, err error) {
	err = askDiag(diagRequest(unix.NLM_F_REQUEST, uint32(l.inode), l.cookie, udiagShowVFS), 1<<10, func(b []byte) (bool, error) {
		return true, eachFile(b, func(_, ino uint32) { file = ino })
	})
	if err == nil && file == 0 {
		err = errors.New("sock_diag returned without the socket's file")
	}
	return file, err
}

// socketsOf are the inodes of the listening sockets that are bound to a file with that number;
// rarely of one on another device.
func socketsOf(file uint64) (sockets []uint64, err error) {
	request := diagRequest(unix.NLM_F_REQUEST|unix.NLM_F_DUMP, 0, [2]uint32{noCookie, noCookie}, udiagShowVFS)
	err = askDiag(request, dumpBytes, func(b []byte) (bool, error) {
		err := eachFile(b, func(socket, ino uint32) {
			if ino == uint32(file) {
				sockets = append(sockets, uint64(socket))
			}
		})
		if err == errLast {
			return true, nil
		}
		return false, err
	})
	return sockets, err
}

// errLast says that a dump is complete.
var errLast = errors.New("no more messages")

// eachFile reads the messages of a datagram that answers a request for UDIAG_SHOW_VFS.
func eachFile(b []byte, found func(socket, ino uint32)) error {
	e := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return fmt.Errorf("sock_diag returned %d bytes, want a whole header", len(b))
		}
		size, kind := e.Uint32(b), e.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) {
			return fmt.Errorf("sock_diag returned a message of %d bytes in %d", size, len(b))
		}
		body := b[unix.SizeofNlMsghdr:size]
		b = b[min(uint64(len(b)), (uint64(size)+3)&^3):]
		switch {
		case kind == unix.NLMSG_DONE:
			return errLast
		case kind == unix.NLMSG_ERROR:
			return diagError(body)
		case kind != sockDiagByFamily || len(body) < diagAnswerBytes:
			return fmt.Errorf("sock_diag returned a message of type %d with %d bytes", kind, len(body))
		}
		if body[2] != tcpListen { // the accepted ones have the listener's file
			continue
		}
		socket := e.Uint32(body[4:])
		for attrs := body[diagAnswerBytes:]; len(attrs) >= unix.SizeofRtAttr; {
			size, kind := int(e.Uint16(attrs)), e.Uint16(attrs[2:])
			if size < unix.SizeofRtAttr || size > len(attrs) {
				return fmt.Errorf("sock_diag returned an attribute of %d bytes in %d", size, len(attrs))
			}
			if kind == unixDiagVFS && size >= unix.SizeofRtAttr+8 {
				found(socket, e.Uint32(attrs[unix.SizeofRtAttr:]))
			}
			attrs = attrs[min(len(attrs), (size+3)&^3):]
		}
	}
	return nil
}
