package logsink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func word(n int) []byte { return fmt.Appendf(nil, "%d lines lost\n", n) }

// reader is what reads the log: it may stand still, or be gone.
type reader struct {
	mu   sync.Mutex
	read bytes.Buffer
	gone error
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone != nil {
		return 0, r.gone
	}
	return r.read.Write(b)
}

func (r *reader) set(gone error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = gone
}

func (r *reader) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read.String()
}

func TestLinesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{}
		s := New(r, word)
		want := ""
		for i := range 1000 {
			line := fmt.Sprintf("line %d\n", i)
			want += line
			if n, err := io.WriteString(s, line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		s.Close(time.Second)
		if r.text() != want || s.Trouble() != "" {
			t.Errorf("%d bytes of %d; %s", len(r.text()), len(want), s.Trouble())
		}
		if io.WriteString(s, "late\n"); r.text() != want {
			t.Error("a line was written after Close")
		}
	})
}

func TestReaderThatStandsStillNeverBlocksAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe() // a write waits for a read
		s := New(pw, word)
		line := strings.Repeat("x", 1<<10-1) + "\n"
		for range 3 << 10 { // three times what is kept
			io.WriteString(s, line)
		}
		time.Sleep(time.Minute)
		if trouble := s.Trouble(); !strings.Contains(trouble, "nobody has read the log for 1m0s; 2048 lines were dropped") {
			t.Errorf("trouble: %q", trouble)
		}
		s.Flush(time.Second) // gives up
		var read bytes.Buffer
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(&read, pr) }()
		s.Close(time.Minute)
		pw.Close()
		<-done
		if !strings.HasSuffix(read.String(), line+"2048 lines lost\n") || s.Trouble() != "" {
			t.Errorf("the end of %d bytes: %q; trouble %q", read.Len(), read.String()[max(0, read.Len()-40):], s.Trouble())
		}
	})
}

// What is written next to the half of a line is the rest of it.
func TestLineThatWasWrittenInPartIsFinished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 7}
		s := New(d, word)
		io.WriteString(s, "one\ntwo\n") // a message of two lines
		io.WriteString(s, "three\n")
		time.Sleep(10 * time.Second)
		if d.text() != "one\ntwo" || !strings.Contains(s.Trouble(), "no space") {
			t.Errorf("%q, trouble %q", d.text(), s.Trouble())
		}
		d.make(1 << 10)
		s.Close(time.Minute)
		if d.text() != "one\ntwo\nthree\n" || s.Trouble() != "" || s.bytes != 0 {
			t.Errorf("%q, trouble %q, %d bytes are kept", d.text(), s.Trouble(), s.bytes)
		}
	})
}

// disk takes as much as it has room for.
type disk struct {
	reader
	room int
}

func (d *disk) make(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(b), d.room)
	d.room -= n
	d.read.Write(b[:n])
	if n < len(b) {
		return n, errors.New("no space left on device")
	}
	return n, nil
}

func TestLogIsWrittenAgainOnceItCanBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{gone: errors.New("broken pipe")}
		s := New(r, word)
		io.WriteString(s, "one\n")
		time.Sleep(10 * time.Second)
		if !strings.Contains(s.Trouble(), "broken pipe") {
			t.Errorf("trouble: %q", s.Trouble())
		}
		r.set(nil)
		s.Close(time.Minute)
		if r.text() != "one\n" || s.Trouble() != "" {
			t.Errorf("%q, trouble %q", r.text(), s.Trouble())
		}
	})
}
