package control

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/supervisor/sandbox"
)

// isBoxed says whether a client is a process in a sandbox. Landlock does not keep it from connecting to
// a socket by its path, and a build without a user of its own runs as the
// user who may command the supervisor: it could have commands run outside of its box, or read the logs
// of the others. So a client of whom nothing is known is one as well.
func isBoxed(conn net.Conn) bool {
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return true
	}
	boxed := true
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		if cred.Pid == 0 { // out of the namespace of our pids, which nothing in a box leaves
			boxed = false
			return
		}
		// The pid of one that has ended may be another's by now.
		peer, noPidfd := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		if noPidfd == nil { // else it is before Linux 6.5
			defer unix.Close(peer)
		}
		is, err := sandbox.Boxed(int(cred.Pid))
		boxed = is || err != nil
		if noPidfd == nil {
			boxed = boxed || hasEnded(peer)
		}
	})
	return boxed || err != nil
}

// hasEnded says whether the process of a pidfd is not there for certain any more.
func hasEnded(pidfd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR { // the runtime sends signals to its own threads
			return n != 0 || err != nil
		}
	}
}

// refusal is a whole response, whatever was asked.
const refusal = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" +
	`{"error": "a process in a sandbox may not command the supervisor"}` + "\n"

// refuseBoxed tells a client so. What cannot be written at once is lost: nobody waits for it.
func refuseBoxed(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond)) // of an open socket
	_, _ = conn.Write([]byte(refusal))
	conn.Close()
}
