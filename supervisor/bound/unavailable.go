package bound

import (
	"io"
	"net"
	"strconv"
	"time"
)

const (
	unavailable = "503 too many connections, try again soon\n"
	// refuseLimit is how long a refusal may keep others from being accepted.
	refuseLimit = 10 * time.Millisecond
)

// Unavailable tells an HTTP client that there is no room for it, as far as the kernel takes that at
// once. It is for Set.Refuse.
func Unavailable(c net.Conn) {
	// Dropped errors: the connection is closed in any case.
	c.SetDeadline(time.Now().Add(refuseLimit))
	io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 5\r\n"+
		"Content-Length: "+strconv.Itoa(len(unavailable))+"\r\nConnection: close\r\n\r\n"+unavailable)
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	if Unread(c) { // else closing would reset the connection, and with it the response
		c.Read(make([]byte, 16<<10))
	}
}
