package listener

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// What golang.org/x/sys/unix lacks of linux/unix_diag.h.
const (
	udiagShowVFS   = 0x2      // UDIAG_SHOW_VFS
	tcpListen      = 10       // TCP_LISTEN, net/tcp_states.h: the state of a listening socket of any family
	dumpBytes      = 32 << 10 // the most that the kernel puts into one datagram of a dump (netlink_dump)
	tcpEstablished = 1        // TCP_ESTABLISHED: that of a connection
	unixDiagVFS    = 1        // UNIX_DIAG_VFS: struct unix_diag_vfs { u32 ino, dev }, of the file that the socket was bound to
)

// fileInode is the inode number of the socket's file, as far as the kernel tells: its low 32 bits.
func (l *Listener) fileInode() (file uint32, err error) {
	bound, err := l.boundFile()
	return bound.ino, err
}

// boundFile is the file that the socket was bound to, as the kernel numbers it.
func (l *Listener) boundFile() (file diagFile, err error) {
	err = askDiag(diagRequest(unix.NLM_F_REQUEST, uint32(l.inode), l.cookie, udiagShowVFS), 1<<10, func(b []byte) (bool, error) {
		return true, eachFile(b, func(state byte, _ uint32, of diagFile) {
			if state == tcpListen {
				file = of
			}
		})
	})
	if err == nil && file == (diagFile{}) {
		err = errors.New("sock_diag returned without the socket's file")
	}
	return file, err
}

// socketsOf are the inodes of the listening sockets that are bound to a file with that number;
// rarely of one on another device.
func socketsOf(file uint64) (sockets []uint64, err error) {
	err = everyFile(func(state byte, socket uint32, of diagFile) {
		if state == tcpListen && of.ino == uint32(file) { // the accepted ones have the listener's file
			sockets = append(sockets, uint64(socket))
		}
	})
	return sockets, err
}

// everyFile reads of all unix sockets that are bound to a file, or were accepted from one that is.
func everyFile(found func(state byte, socket uint32, file diagFile)) error {
	request := diagRequest(unix.NLM_F_REQUEST|unix.NLM_F_DUMP, 0, [2]uint32{noCookie, noCookie}, udiagShowVFS)
	return askDiag(request, dumpBytes, func(b []byte) (bool, error) {
		err := eachFile(b, found)
		if err == errLast {
			return true, nil
		}
		return false, err
	})
}

// diagFile is struct unix_diag_vfs: a file by the low 32 bits of its inode number, and its device as
// the kernel writes it.
type diagFile struct{ ino, dev uint32 }

// errLast says that a dump is complete.
var errLast = errors.New("no more messages")

// eachFile reads the messages of a datagram that answers a request for UDIAG_SHOW_VFS.
func eachFile(b []byte, found func(state byte, socket uint32, file diagFile)) error {
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
		state, socket := body[2], e.Uint32(body[4:])
		for attrs := body[diagAnswerBytes:]; len(attrs) >= unix.SizeofRtAttr; {
			size, kind := int(e.Uint16(attrs)), e.Uint16(attrs[2:])
			if size < unix.SizeofRtAttr || size > len(attrs) {
				return fmt.Errorf("sock_diag returned an attribute of %d bytes in %d", size, len(attrs))
			}
			if kind == unixDiagVFS && size >= unix.SizeofRtAttr+8 {
				found(state, socket, diagFile{e.Uint32(attrs[unix.SizeofRtAttr:]), e.Uint32(attrs[unix.SizeofRtAttr+4:])})
			}
			attrs = attrs[min(len(attrs), (size+3)&^3):]
		}
	}
	return nil
}
