package listener

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxHead bounds how much of a request is read before it is answered.
const maxHead = 64 << 10

// answer is what we say ourselves to a client that cannot be served.
type answer struct {
	status     string
	retryAfter int // seconds
	body       string
}

func unavailable(build string, retryAfter time.Duration) answer {
	s := seconds(retryAfter)
	return answer{"503 Service Unavailable", s, fmt.Sprintf("%s is restarting, try again in %d s\n", build, s)}
}

func cutShort(build string) answer {
	return answer{"504 Gateway Timeout", 1, build + " did not answer before it was replaced\n"}
}

// seconds rounds up to whole seconds, at least one (RFC 9110, 10.2.3).
func seconds(d time.Duration) int {
	return max(1, int((d+time.Second-1)/time.Second))
}

// text is the whole answer; that to HEAD has no body, but the length it would have (RFC 9110,
// 9.3.2).
func (a answer) text(head bool) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nRetry-After: %d\r\nConnection: close\r\n\r\n",
		a.status, len(a.body), a.retryAfter)
	if !head {
		b = append(b, a.body...)
	}
	return b
}

// limits bound what one client may cost.
type limits struct {
	head   time.Duration // for the head of the request; then it is answered all the same
	linger time.Duration // for the answer, and for the client to finish sending and close
	stop   time.Duration // for the head, once ctx has ended
}

// give reads the head of the client's request, answers, and lingers until the client has read the
// answer: a unix socket that is closed with unread bytes gives its peer ECONNRESET or EPIPE, and a
// proxy that is still sending a body would report that instead of the answer. It closes the client
// and reports whether the answer was written.
func (a answer) give(ctx context.Context, c *client, lim limits) bool {
	defer c.Close()
	c.SetDeadline(time.Now().Add(lim.head))
	release := atEnd(ctx, func() { c.SetReadDeadline(time.Now().Add(lim.stop)) })
	head, err := readHead(c)
	release()
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return false // the client left
	}
	return a.write(c, head, lim.linger)
}

func (a answer) write(c *client, head bool, linger time.Duration) bool {
	c.SetDeadline(time.Now().Add(linger))
	if _, err := c.Write(a.text(head)); err != nil {
		return false
	}
	// Whatever goes wrong from here on, the client has its answer.
	if c.CloseWrite() == nil {
		io.Copy(io.Discard, c)
	}
	return true
}

// readHead reads a request up to the empty line, or to maxHead bytes, and reports whether its
// method is HEAD. The error is io.EOF for a client that closed without having sent anything.
func readHead(r io.Reader) (head bool, err error) {
	const end = 3 // bytes kept of what came before, where the empty line may begin
	var method []byte
	buf := make([]byte, 4<<10)
	kept := 0
	for total := 0; total < maxHead; {
		n, err := r.Read(buf[kept:])
		total += n
		seen := buf[:kept+n]
		if len(method) < len("HEAD ") {
			method = append(method, seen[kept:]...)
			method = method[:min(len(method), len("HEAD "))]
		}
		if bytes.Contains(seen, []byte("\r\n\r\n")) || bytes.Contains(seen, []byte("\n\n")) {
			break
		}
		if err == io.EOF && total > 0 {
			break // it has said all it will
		}
		if err != nil {
			return string(method) == "HEAD ", err
		}
		kept = copy(buf, seen[max(0, len(seen)-end):])
	}
	return string(method) == "HEAD ", nil
}
