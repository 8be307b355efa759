package build

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// output takes what one command prints and copies it, without secrets, to the build's log.
//
// The command writes to a file in memory. A pipe would be held open by a daemon, and would break
// when this program is killed, in the middle of a migration that must go on; a file on a disk would
// hold the secrets, if only for a moment, and for ever where this program is killed.
type output struct {
	file *os.File
	log  *os.File

	mu     sync.Mutex
	filter filter
	read   int64 // how much of file was read
	cut    bool  // the rest of a line whose beginning was left out is next
	err    error // the first of writing to log

	stop, stopped chan struct{}
	finishOnce    sync.Once
}

const (
	// copyEvery is how often the output is copied while a command is running.
	copyEvery = 50 * time.Millisecond
	// mostBehind is how much may wait to be copied: it bounds the memory. copyChunk is copied at
	// once.
	mostBehind = 64 << 20
	copyChunk  = 256 << 10
)

// newOutput begins to copy; finish ends it.
func newOutput(log *os.File, secrets []string) (*output, error) {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file for output: %w", os.NewSyscallError("memfd_create", err))
	}
	o := &output{
		file: os.NewFile(uintptr(fd), "output"), log: log, filter: filter{known: secrets},
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	// Where a program cuts its output off, what follows is at the new end. Other users cannot open
	// it by /proc/PID/fd.
	_, err = unix.FcntlInt(o.file.Fd(), unix.F_SETFL, unix.O_APPEND)
	if err == nil {
		err = unix.Fchmod(fd, 0o600)
	}
	if err != nil {
		o.file.Close() // the first error counts
		return nil, fmt.Errorf("make a file for output: %w", err)
	}
	go o.copy()
	return o, nil
}

func (o *output) copy() {
	defer close(o.stopped)
	tick := time.NewTicker(copyEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.drain(false)
		case <-o.stop:
			return
		}
	}
}

// finish copies the rest, when nobody writes any more, and returns the first error of writing the
// log. It may be called again.
func (o *output) finish() error {
	o.finishOnce.Do(func() {
		close(o.stop)
		<-o.stopped
		o.drain(true)
		o.file.Close() // it is in memory: nothing is lost
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// drain copies what is there; whole says that a line without an end is one too.
func (o *output) drain(whole bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := o.file.Stat()
	if err != nil {
		return // it is finished
	}
	end := info.Size()
	if end < o.read {
		o.read = 0 // the command has cut it off
	}
	if behind := end - o.read; behind > mostBehind {
		o.write(o.filter.rest())
		left := behind - copyChunk
		o.write(fmt.Appendf(nil, "[%d MiB of output left out here: more than can be kept]\n", left>>20))
		o.read, o.cut = o.read+left, true
	}
	buffer := make([]byte, min(copyChunk, end-o.read))
	for o.read < end {
		n, err := o.file.ReadAt(buffer[:min(int64(len(buffer)), end-o.read)], o.read)
		if n == 0 || err != nil && n == 0 {
			break // it was cut off just now
		}
		o.read += int64(n)
		text := bytes.ReplaceAll(buffer[:n], []byte{0}, nil) // of a hole
		if o.cut {
			_, after, found := bytes.Cut(text, []byte{'\n'})
			text, o.cut = after, !found
		}
		o.write(o.filter.take(text))
	}
	if whole {
		o.write(o.filter.rest())
	}
	o.release()
}

// release gives the memory of what was copied back, and of nothing else: the command may have
// written since its file was last looked at. Where this fails it costs memory alone.
func (o *output) release() {
	if o.read > 0 {
		_ = unix.Fallocate(int(o.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, o.read)
	}
}

func (o *output) write(text []byte) {
	if len(text) == 0 {
		return
	}
	if _, err := o.log.Write(text); err != nil && o.err == nil {
		o.err = fmt.Errorf("write build log: %w", err)
	}
}

// command is a command of the build whose output goes to the build's log.
type command struct {
	Process
	out *output
}

// Wait waits as Process does, and then for the command's output to be in the log.
func (c *command) Wait(ctx context.Context, grace time.Duration) error {
	err := c.Process.Wait(ctx, grace)
	if lost := c.out.finish(); err == nil {
		err = lost
	}
	return err
}
