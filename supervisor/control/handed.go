package control

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// handing is the connection of a client who may hand us descriptors (SCM_RIGHTS, unix(7)): its input
// and output, for a command that it has run. With any other client they are lost, so nobody else can
// use up ours.
type handing struct {
	*net.UnixConn

	mu     sync.Mutex
	handed []*os.File
	closed bool
}

// mostHanded is how many descriptors a client may have handed over at a time.
const mostHanded = 3

// mayHand returns the connection as one that takes descriptors, where its client may write.
func mayHand(conn net.Conn, a access) net.Conn {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	may := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		may = err == nil && a.mayWrite(Caller{UID: int(cred.Uid)}) == nil
	})
	if err != nil || !may {
		return conn
	}
	return &handing{UnixConn: c}
}

// Read reads, and keeps the descriptors that come with what it reads.
func (c *handing) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // with a message it would wait
	}
	rights := make([]byte, unix.CmsgSpace(4*mostHanded)) // the kernel closes those beyond
	n, m, _, _, err := c.ReadMsgUnix(b, rights)
	if m > 0 {
		c.keep(descriptors(rights[:m]))
	}
	if errors.Is(err, io.EOF) {
		err = io.EOF // which ReadMsgUnix puts into words
	}
	return n, err
}

// descriptors returns those of a control message.
func descriptors(rights []byte) (all []*os.File) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil // the kernel makes none that cannot be read
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // it is of another kind
		}
		for _, fd := range fds {
			all = append(all, os.NewFile(uintptr(fd), "a client's descriptor"))
		}
	}
	return all
}

func (c *handing) keep(all []*os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range all {
		if c.closed || len(c.handed) == mostHanded {
			f.Close() // nothing was written
			continue
		}
		c.handed = append(c.handed, f)
	}
}

// take returns the descriptors that were handed over, which are the caller's from then on.
func (c *handing) take() []*os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.handed
	c.handed = nil
	return all
}

// Close closes the connection, and the descriptors that nobody has taken.
func (c *handing) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	closeAll(c.take())
	return c.UnixConn.Close()
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() // nothing was written
	}
}

// handedBy returns the descriptors that came with a request. ok is false where it did not come over the
// control socket, by a client who may write.
func handedBy(ctx context.Context) (files []*os.File, ok bool) {
	c, ok := ctx.Value(connKey{}).(*handing)
	if !ok {
		return nil, false
	}
	return c.take(), true
}
