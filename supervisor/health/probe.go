package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/sockaddr"
)

// Timeout is how long a probe may take when Probe.Timeout is 0.
const Timeout = 2 * time.Second

// heldUp is how late we may be ourselves, at least, for the verdict to be the server's.
const heldUp = 250 * time.Millisecond

// Probe is one question: GET Path on the unix socket Socket, as Host. The zero Path is "/", the
// zero Host "localhost".
type Probe struct {
	Socket, Path, Host string
	Min, Max           int           // the statuses that are good, both included; Max 0 means 499
	Timeout            time.Duration // for all of it, from connect to the last byte; 0 means Timeout
}

// Do asks once, and returns how long it took and nil where the answer was whole and as expected.
// Redirects are answers like others and not followed; of a body at most 64 KiB are read.
//
// The error is an *Error, whose text is for operators and whose Kind tells why, unless ctx was
// cancelled: then there is no verdict, and the error wraps context.Canceled. A ctx whose deadline
// comes before Timeout shortens it.
func (p Probe) Do(ctx context.Context) (took time.Duration, err error) {
	p = p.withDefaults()
	start := time.Now()
	within, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	e := p.ask(within)
	took = time.Since(start)
	if e == nil {
		return took, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return took, fmt.Errorf("probe %s: %w", p.Socket, context.Canceled)
	}
	late := time.Duration(0)
	if deadline, ok := within.Deadline(); ok {
		late = time.Since(deadline)
	}
	e.Kind = e.kind(late, p.Timeout)
	e.Socket, e.Path, e.Want, e.Took = p.Socket, p.Path, p.want(), took
	return took, e
}

func (p Probe) withDefaults() Probe {
	if p.Path == "" {
		p.Path = "/"
	}
	if p.Host == "" {
		p.Host = "localhost"
	}
	if p.Max == 0 {
		p.Max = 499
	}
	if p.Timeout <= 0 {
		p.Timeout = Timeout
	}
	return p
}

func (p Probe) ask(ctx context.Context) *Error {
	if strings.ContainsFunc(p.Path+p.Host, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return &Error{Kind: Broken, Err: fmt.Errorf("path %q or host %q cannot stand in a request: they hold a space or a control character", p.Path, p.Host)}
	}
	c, err := sockaddr.Dial(ctx, p.Socket)
	if err != nil {
		return &Error{Kind: kindOfConnect(err), Err: err}
	}
	defer c.Close()
	defer interrupt(ctx, c)()
	// A server may answer and close before it has read the request, so what was written badly may
	// be answered well.
	_, writeErr := c.Write([]byte("GET " + p.Path + " HTTP/1.1\r\nHost: " + p.Host +
		"\r\nUser-Agent: medctrl-supervisor/health\r\nAccept: */*\r\nConnection: close\r\n\r\n"))
	status, err := readAnswer(c)
	switch {
	case status == 0 && writeErr != nil:
		return &Error{Kind: Broken, Err: writeErr}
	case err != nil:
		return &Error{Kind: Broken, Status: status, Err: err}
	case status < p.Min || status > p.Max:
		return &Error{Kind: Status, Status: status}
	}
	return nil
}

// want says which statuses are good, as builds.toml writes it.
func (p Probe) want() string {
	switch {
	case p.Min == p.Max:
		return fmt.Sprint(p.Max)
	case p.Min <= 100:
		return fmt.Sprintf("<%d", p.Max+1)
	}
	return fmt.Sprintf("%d-%d", p.Min, p.Max)
}

// interrupt makes ctx's end, and its deadline, that of c. What it returns waits for the part that
// runs concurrently.
func interrupt(ctx context.Context, c net.Conn) (release func()) {
	if d, ok := ctx.Deadline(); ok {
		c.SetDeadline(d)
	}
	ran := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ran)
		c.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-ran
		}
	}
}
