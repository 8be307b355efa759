package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Kind is why a probe failed.
type Kind string

const (
	Refused  Kind = "refused" // nobody listens, or we may not connect
	Full     Kind = "full"    // the accept queue is full: it listens, and nobody accepts
	TimedOut Kind = "timeout" // connected, and no whole answer in time
	Status   Kind = "status"  // a whole answer with a status that is not expected
	Broken   Kind = "broken"  // the connection was closed early, or what came is not HTTP
	Ours     Kind = "ours"    // we could not ask, or not listen in time: it says nothing of the server
)

// Error is a probe's verdict.
type Error struct {
	Kind   Kind
	Socket string
	Path   string        // what was asked for
	Want   string        // which statuses are good: "<500", "200-399", "204"
	Status int           // what came; 0 for none
	Took   time.Duration // until the verdict
	Err    error         // the cause, nil for Status
}

// kind is why the probe really failed; late is how long after its deadline, of a time of timeout, we
// were there to see it.
func (e *Error) kind(late, timeout time.Duration) Kind {
	switch {
	case isOurLack(e.Err):
		return Ours
	case e.Kind == Full || !isTimeout(e.Err):
		return e.Kind
	case late > max(timeout/2, heldUp):
		return Ours // the answer may have been there when we were not: stopped, or without a processor
	}
	return TimedOut
}

// Error says what was expected and what came, for an operator.
func (e *Error) Error() string {
	took := e.Took.Round(time.Millisecond)
	switch e.Kind {
	case Refused:
		return fmt.Sprintf("connect to %s: %s", e.Socket, refusal(e.Err))
	case Ours:
		if isTimeout(e.Err) {
			return fmt.Sprintf("probe %s: the supervisor itself was held up, for %v in all", e.Socket, took)
		}
		return fmt.Sprintf("probe %s: the supervisor lacks something itself: %s", e.Socket, short(e.Err))
	case Full:
		return fmt.Sprintf("connect to %s: its accept queue is full, nobody accepts", e.Socket)
	case Status:
		return fmt.Sprintf("GET %s answered %d, want %s", e.Path, e.Status, e.Want)
	case TimedOut:
		if e.Status != 0 {
			return fmt.Sprintf("GET %s answered %d but incompletely within %v", e.Path, e.Status, took)
		}
		return fmt.Sprintf("GET %s got no answer within %v, want %s", e.Path, took, e.Want)
	}
	if e.Status != 0 {
		return fmt.Sprintf("GET %s answered %d but incompletely: %s", e.Path, e.Status, breakage(e.Err))
	}
	return fmt.Sprintf("GET %s got no answer, want %s: %s", e.Path, e.Want, breakage(e.Err))
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout is true of a server that listens and did not answer in time (net.Error's word for it).
func (e *Error) Timeout() bool { return e.Kind == TimedOut }

func kindOfConnect(err error) Kind {
	switch {
	case isOurLack(err):
		return Ours
	case errors.Is(err, unix.EAGAIN):
		return Full
	}
	return Refused
}

// isOurLack reports whether err says that we, or the machine, have no descriptor or memory left.
func isOurLack(err error) bool {
	for _, lack := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOBUFS} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

func refusal(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket"
	case errors.Is(err, unix.ECONNREFUSED):
		return "nobody listens there"
	case errors.Is(err, fs.ErrPermission):
		return "we may not write to it"
	}
	return short(err)
}

func breakage(err error) string {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "it closed the connection"
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return "it broke the connection off"
	}
	return short(err)
}

// short bounds an error's text, which may quote what the server sent, and keeps it on one line.
func short(err error) string {
	const most = 200
	s := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, err.Error())
	if len(s) > most {
		s = fmt.Sprintf("%.*s…", most, s)
	}
	return s
}
