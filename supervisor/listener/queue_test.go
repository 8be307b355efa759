package listener

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestQueueLenCountsWaitingClients(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	for want := range 6 {
		got, err := l.QueueLen()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%d clients wait, want %d", got, want)
		}
		dial(t, l.Path())
	}
}

func TestFullQueueIsCountedAndNobodyElseIsAsked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(short(t), "s")
	l, err := Bind(path, Options{UID: -1, GID: -1, Backlog: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 4 { // the kernel lets backlog+1 in
		dial(t, path)
	}
	if _, err := connect(path); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("connect to a full queue: %v", err)
	}
	if n, err := l.QueueLen(); n != 4 || err != nil {
		t.Errorf("%d clients wait, %v", n, err)
	}
}

// As a server's own backlog leaves it.
func TestQueueThatAServerShortenedIsLengthened(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	if err := unix.Listen(l.fd, 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dial(t, l.Path())
	}
	if _, err := connect(l.Path()); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("connect to a full queue: %v", err)
	}
	if err := l.Lengthen(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		dial(t, l.Path())
	}
	l.Close()
	if err := l.Lengthen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed one: %v", err)
	}
}

func TestDrainedWaitsForTheLastClientAndTakesNone(t *testing.T) {
	t.Parallel()
	l := mustBind(t, filepath.Join(short(t), "s"))
	start := time.Now()
	if err := l.Drained(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < (emptyLooks-1)*tick {
		t.Errorf("an empty queue was believed after %v", took)
	}
	dial(t, l.Path())
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := l.Drained(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("drained with a client waiting: %v", err)
	}
	if n, err := l.QueueLen(); n != 1 || err != nil {
		t.Errorf("the client was taken: %d, %v", n, err)
	}
	drained := make(chan error, 1)
	go func() { drained <- l.Drained(t.Context()) }()
	fd, _, err := unix.Accept(l.fd)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func diagAnswer(kind uint16, body ...byte) []byte {
	e := binary.NativeEndian
	b := e.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = e.AppendUint16(b, kind)
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

func FuzzQueueLenAnswer(f *testing.F) {
	e := binary.NativeEndian
	socket := e.AppendUint32([]byte{unix.AF_UNIX, 1, 10, 0}, 7)
	socket = append(socket, make([]byte, 8)...)
	attr := func(kind uint16, values ...uint32) []byte {
		b := e.AppendUint16(nil, uint16(unix.SizeofRtAttr+4*len(values)))
		b = e.AppendUint16(b, kind)
		for _, v := range values {
			b = e.AppendUint32(b, v)
		}
		return b
	}
	name := append(e.AppendUint16(nil, 7), 0, 0, 'a', 'b', 'c', 0)
	f.Add(diagAnswer(sockDiagByFamily, append(socket, attr(unixDiagRQLen, 5, 4096)...)...))
	f.Add(diagAnswer(sockDiagByFamily, append(append(socket, name...), attr(unixDiagRQLen, 5, 4096)...)...))
	f.Add(diagAnswer(sockDiagByFamily, append(socket, attr(unixDiagRQLen)...)...))
	f.Add(diagAnswer(sockDiagByFamily, append(socket, 3, 0, 4, 0)...))
	f.Add(diagAnswer(sockDiagByFamily, socket...))
	f.Add(diagAnswer(unix.NLMSG_ERROR, e.AppendUint32(nil, 0xfffffffe)...))
	f.Add(diagAnswer(unix.NLMSG_ERROR))
	f.Add(diagAnswer(unix.NLMSG_DONE))
	f.Add([]byte{255, 255, 255, 255, 20, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseQueueLen(b, 7)
		if n < 0 || err != nil && n != 0 {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestQueueLenAnswerIsReadPastOtherAttributes(t *testing.T) {
	t.Parallel()
	e := binary.NativeEndian
	b := e.AppendUint32([]byte{unix.AF_UNIX, 1, 10, 0}, 7)
	b = append(b, make([]byte, 8)...)
	b = append(e.AppendUint16(b, 7), 0, 0, 'a', 'b', 'c', 0)
	b = append(e.AppendUint16(b, 12), unixDiagRQLen, 0)
	b = e.AppendUint32(e.AppendUint32(b, 5), 4096)
	if n, err := parseQueueLen(diagAnswer(sockDiagByFamily, b...), 7); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := parseQueueLen(diagAnswer(sockDiagByFamily, b...), 8); err == nil {
		t.Error("took another socket's answer")
	}
	noModule := diagAnswer(unix.NLMSG_ERROR, e.AppendUint32(nil, 0xfffffffe)...)
	if _, err := parseQueueLen(noModule, 7); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no unix_diag: %v", err)
	}
}
