package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// maxSize is the size beyond which the file is renamed before more is written.
	maxSize = 1 << 20
	// oldSuffix is added to the name of the file that was renamed.
	oldSuffix = ".1"
	// maxUnwritten is how many lines wait in memory for a disk that blocks; a tenth of them, the
	// oldest, makes room for what comes after.
	maxUnwritten = 10_000
)

// Log is a file of events. Its methods may be called concurrently. The zero Log keeps nothing.
type Log struct {
	path string // "": nothing is kept
	log  hclog.Logger

	mu        sync.Mutex // never held over a disk
	unwritten []any
	lost      int                  // lines that are in no file, since that was last said
	wake      chan struct{}        // a line was added
	wanted    chan chan<- struct{} // for those who wait until everything is written

	writing sync.Mutex // one Flush at a time, so that lines stay in order
	torn    bool       // the file ends in half a line
	failing bool       // the last write failed
}

// Open returns the Log of the file at path, which need not exist, and what earlier runs wrote to
// it: whole lines, at least enough of them where there are so many, oldest first. The last one may
// be half a line, from a run that was killed while it wrote. What cannot be read is logged and left
// out.
func Open(path string, log hclog.Logger, enough int) (l *Log, past []byte) {
	l = &Log{path: path, log: log, wake: make(chan struct{}, 1), wanted: make(chan chan<- struct{})}
	past = l.earlier(path)
	l.torn = isTorn(past)
	if bytes.Count(past, []byte("\n")) >= enough {
		return l, past
	}
	old := l.earlier(path + oldSuffix)
	if isTorn(old) {
		old = append(old, '\n')
	}
	return l, slices.Concat(old, past)
}

func isTorn(text []byte) bool { return len(text) > 0 && text[len(text)-1] != '\n' }

// earlier returns the text of a file of events, or what could be read of it.
func (l *Log) earlier(path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("earlier events cannot be read", "error", err)
	}
	return text
}

// Add has Run or Flush write line as JSON, which must not change any more. It never waits for a
// disk.
func (l *Log) Add(line any) {
	if l.path == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) >= maxUnwritten {
		l.unwritten = slices.Delete(l.unwritten, 0, maxUnwritten/10)
		l.lost += maxUnwritten / 10
	}
	l.unwritten = append(l.unwritten, line)
	select {
	case l.wake <- struct{}{}:
	default: // somebody will look already
	}
}

// Run writes what is added until done is closed, and what is left then.
func (l *Log) Run(done <-chan struct{}) {
	for {
		select {
		case <-l.wake:
			l.Flush()
		case written := <-l.wanted:
			l.Flush()
			close(written)
		case <-done:
			l.Flush()
			return
		}
	}
}

// Await waits until Run has written what was added before, or has lost it, at most for a time: the
// disk may block.
func (l *Log) Await(limit time.Duration) {
	if l.path == "" {
		return
	}
	late := time.NewTimer(limit)
	defer late.Stop()
	written := make(chan struct{})
	select {
	case l.wanted <- written:
	case <-late.C:
		return
	}
	select {
	case <-written:
	case <-late.C:
	}
}

// Flush writes what was added before and is not written yet. When it returns, that is in the file,
// or lost to the next run because it cannot be written, which is logged.
func (l *Log) Flush() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	lines := l.unwritten
	l.unwritten = nil
	l.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	err := l.write(l.encode(lines))
	l.mu.Lock()
	if err != nil {
		l.lost += len(lines)
	}
	lost := l.lost
	if err == nil {
		l.lost = 0
	}
	l.mu.Unlock()
	switch {
	case err != nil && !l.failing:
		l.log.Warn("events cannot be written to their file", "error", err)
	case err == nil && lost > 0:
		l.log.Warn("events are written to their file again", "lost", lost)
	}
	l.failing = err != nil
}

// encode returns the lines as JSON. One that has none is logged and left out.
func (l *Log) encode(lines []any) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, line := range lines {
		if err := enc.Encode(line); err != nil { // which wrote nothing then
			l.log.Warn("event cannot be written", "event", fmt.Sprintf("%+v", line), "error", err)
		}
	}
	return text.Bytes()
}

// write appends text to the file, after a new file was begun where the old one has become too
// large.
func (l *Log) write(text []byte) error {
	if err := l.rotate(); err != nil {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if l.torn {
		text = slices.Concat([]byte("\n"), text)
	}
	n, err := f.Write(text)
	if n > 0 {
		l.torn = isTorn(text[:n])
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

func (l *Log) rotate() error {
	info, err := os.Stat(l.path)
	if err != nil || info.Size() <= maxSize {
		return nil // where it cannot be looked at, opening it says why
	}
	if err := os.Rename(l.path, l.path+oldSuffix); err != nil {
		return fmt.Errorf("keep old events: %w", err)
	}
	l.torn = false
	return nil
}
