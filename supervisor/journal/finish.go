package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// finish ends what a rotation that was killed left. path.copy may be half of something that is
// still in the log. path.cut is whole: if the log still begins with it, the cut was not made and
// the copy goes, else it was made and the copy is path.1.
func (r *rotation) finish(log *os.File, size int64) error {
	if err := os.Remove(r.path + ".copy"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	aside, err := os.OpenFile(r.path+".cut", os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer aside.Close()
	info, err := aside.Stat()
	if err != nil {
		return err
	}
	if size >= info.Size() {
		uncut, err := same(log, aside, info.Size())
		if err != nil {
			return fmt.Errorf("look whether %s.cut was cut off: %w", r.path, err)
		}
		if uncut {
			return os.Remove(r.path + ".cut")
		}
	}
	return r.shift()
}

// same tells whether a and b begin with the same n bytes.
func same(a, b io.ReaderAt, n int64) (bool, error) {
	const piece = 256 << 10
	bufA, bufB := make([]byte, piece), make([]byte, piece)
	for at := int64(0); at < n; at += piece {
		m := min(piece, n-at)
		for _, r := range []struct {
			from io.ReaderAt
			to   []byte
		}{{a, bufA[:m]}, {b, bufB[:m]}} {
			if _, err := r.from.ReadAt(r.to, at); err != nil && err != io.EOF {
				return false, err
			}
		}
		if !bytes.Equal(bufA[:m], bufB[:m]) {
			return false, nil
		}
	}
	return true, nil
}
