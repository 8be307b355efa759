package front

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/medctrl/medctrl-supervisor/supervisor/bound"
)

// tooLarge says that a request's body is larger than MaxBody.
type tooLarge struct{ size int64 } // 0: it was not announced

func (e *tooLarge) Error() string {
	return fmt.Sprintf("the request's body is larger than %d MiB", MaxBody>>20)
}

// hold reads the whole body of a request, so that a client that sends it slowly costs the build
// nothing: a worker that waits for a client serves nobody else. The body in r is then the one that
// was kept, whose length is known.
func (f *Front) hold(r *http.Request) (*http.Request, *spool, error) {
	if r.ContentLength > MaxBody {
		return r, nil, &tooLarge{r.ContentLength}
	}
	kept := f.bodies.spool(f.clientAddress(r), false, MaxBody)
	client := clientOf(r.Context())
	client.becomes(bound.Sending)
	defer client.becomes(bound.Working)
	size, err := f.keep(kept, r.Body)
	if err != nil {
		kept.Close() // the error counts
		return r, nil, err
	}
	kept.end(io.EOF)
	r = r.WithContext(r.Context()) // a copy: net/http looks at its own
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = kept, size, nil, nil
	if size == 0 {
		r.Body = http.NoBody
	}
	return r, kept, nil
}

// keep copies a body into a spool. It is not io.Copy, to tell whose error it is.
func (f *Front) keep(into *spool, body io.Reader) (size int64, err error) {
	piece := f.bodies.piece()
	defer f.bodies.giveBack(piece)
	for {
		n, err := body.Read(*piece)
		if size += int64(n); size > MaxBody {
			return size, &tooLarge{}
		}
		if n > 0 {
			if _, err := into.Write((*piece)[:n]); err != nil {
				return size, &ownLack{err}
			}
		}
		switch {
		case err == io.EOF:
			return size, nil
		case err != nil:
			var fromClient *bodyError
			if !errors.As(err, &fromClient) {
				err = &bodyError{err}
			}
			return size, err
		}
	}
}

// ownLack says that we have no room for something. It is neither the client's fault nor the build's.
type ownLack struct{ err error }

func (e *ownLack) Error() string { return e.err.Error() }
func (e *ownLack) Unwrap() error { return e.err }

// unasked is the size of a response that a build can write without waiting for us: what a unix
// socket takes by default (net.core.wmem_default, 208 KiB) with something to spare.
const unasked = 64 << 10

// readAhead has a response read as fast as the build writes it, however slowly the client takes it:
// a worker that waits for a client serves nobody else.
func (f *Front) readAhead(resp *http.Response) {
	if resp.Body == http.NoBody || resp.ContentLength >= 0 && resp.ContentLength <= unasked {
		return
	}
	from := resp.Body
	a := &ahead{spool: f.ahead.spool(f.clientAddress(resp.Request), true, MaxAhead), from: from, ended: make(chan struct{})}
	go a.pump(f.ahead)
	resp.Body = a
}

// ahead is the body of a response that is read ahead. Its goroutine ends with Close.
type ahead struct {
	*spool
	from  io.ReadCloser
	ended chan struct{}
}

func (a *ahead) pump(s *store) {
	defer close(a.ended)
	piece := s.piece()
	defer s.giveBack(piece)
	for {
		n, err := a.from.Read(*piece)
		if n > 0 {
			if _, err := a.Write((*piece)[:n]); err != nil {
				return // nobody reads it any more
			}
		}
		if err != nil {
			a.end(err)
			return
		}
	}
}

// Close ends the reading, whose goroutine has ended then.
func (a *ahead) Close() error {
	a.spool.Close() // has no error
	err := a.from.Close()
	<-a.ended
	return err
}

// clientAddress is whom a body is counted for.
func (f *Front) clientAddress(r *http.Request) string {
	return cmp.Or(f.originOf(r).client, r.RemoteAddr)
}

// refuseBody responds to a request whose body was not kept.
func (f *Front) refuseBody(w http.ResponseWriter, r *http.Request, err error) {
	var large *tooLarge
	var lack *ownLack
	w.Header().Set("Connection", "close")
	to := targetOf(r.Context())
	switch {
	case errors.As(err, &large):
		to.responded(http.StatusRequestEntityTooLarge)
		http.Error(w, "413 "+err.Error(), http.StatusRequestEntityTooLarge)
	case errors.As(err, &lack) && !errors.Is(r.Context().Err(), context.Canceled):
		f.counts.refused.Add(1)
		to.responded(http.StatusServiceUnavailable)
		f.log.Warn("request refused, its body cannot be kept", "build", to.Build, "error", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "503 too many requests are being sent, try again soon", http.StatusServiceUnavailable)
	default:
		f.failed(w, r, err)
	}
}
