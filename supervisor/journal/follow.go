package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

const (
	followEvery = 40 * time.Millisecond // who reads along sees a line within 100 ms, on a busy machine too
	anchorSize  = 256                   // bytes before our place in the log by which it is found again after a rotation
)

// Follow calls each with what is written to the log at path from its size offset on, as it comes,
// across rotations, until ctx ends or each returns an error, which it returns. A log that is not
// there yet is waited for. The log is looked at every 40 ms, and opened where it is not as it was.
func Follow(ctx context.Context, path string, offset int64, each func([]byte) error) error {
	f := follower{path: path, at: offset}
	f.remember()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for !f.quiet() {
			text, err := f.next()
			if err != nil {
				return err
			}
			if len(text) == 0 {
				f.read = f.now
				break
			}
			if err := each(text); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// follower is a place in a log.
type follower struct {
	path   string
	at     int64
	anchor []byte // what stands before it

	now, read outside // as it is, and as it was when nothing was left to read
}

// outside is what a file shows without being opened: another one after each write and each rotation.
type outside struct {
	inode    uint64
	size     int64
	modified unix.Timespec
	changed  unix.Timespec
}

// quiet says that nothing was written since there was nothing left to read.
func (f *follower) quiet() bool {
	var st unix.Stat_t
	if unix.Lstat(f.path, &st) != nil {
		return false // next says what that means
	}
	f.now = outside{st.Ino, st.Size, st.Mtim, st.Ctim}
	return f.now == f.read
}

func (f *follower) open() (*os.File, error) {
	return untrusted.OpenBelow(filepath.Dir(f.path), filepath.Base(f.path))
}

// remember reads the anchor of a place that was given by its number.
func (f *follower) remember() {
	file, err := f.open()
	if err != nil {
		return // there is nothing before it
	}
	defer file.Close()
	f.anchorIn(file)
}

// anchorIn reads the anchor of a place, up to a hole before it: a rotation takes holes out.
func (f *follower) anchorIn(file *os.File) {
	f.anchor = make([]byte, min(f.at, anchorSize))
	n, _ := file.ReadAt(f.anchor, f.at-int64(len(f.anchor))) // less is a shorter anchor
	f.anchor = f.anchor[bytes.LastIndexByte(f.anchor[:n], 0)+1 : n]
}

// next returns what was written since, a piece at a time; nothing where nothing was.
func (f *follower) next() ([]byte, error) {
	file, err := f.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if !f.inPlace(file) {
		if err := f.find(file); err != nil {
			return nil, err
		}
	}
	text, end, err := untrusted.DataAfter(file, f.at, piece)
	if err != nil {
		return nil, err
	}
	n := len(text)
	whole := end-f.at == int64(n)
	if f.at = end; !whole { // there is a hole in it
		f.anchorIn(file)
		return text, nil
	}
	f.anchor = append(f.anchor, text[max(0, n-anchorSize):]...)
	f.anchor = f.anchor[max(0, len(f.anchor)-anchorSize):]
	return withoutZeros(text), nil
}

// inPlace says whether what stands before our place still does.
func (f *follower) inPlace(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() < f.at {
		return false
	}
	now := make([]byte, len(f.anchor))
	_, err = file.ReadAt(now, f.at-int64(len(now)))
	return err == nil && bytes.Equal(now, f.anchor)
}

// find finds our place after a rotation, which cut off a part of the log's beginning. Where all
// that we knew was cut off, it is the beginning.
func (f *follower) find(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	text := make([]byte, min(info.Size(), maxTail))
	from := info.Size() - int64(len(text))
	n, err := file.ReadAt(text, from)
	if err != nil && err != io.EOF {
		return err
	}
	if i := bytes.LastIndex(text[:n], f.anchor); i >= 0 && len(f.anchor) > 0 {
		f.at = from + int64(i+len(f.anchor))
		return nil
	}
	f.at, f.anchor = 0, nil
	return nil
}
