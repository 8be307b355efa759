package untrusted

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sort"

	"golang.org/x/sys/unix"
)

// Tail returns what a regular file holds before an offset, at most the last most bytes of it. What
// nobody wrote is left out, whatever size it gives the file: holes, and the zeros that fill up the
// blocks next to them.
func Tail(f *os.File, end, most int64) ([]byte, error) {
	var pieces [][]byte // the last first
	for end > 0 && most > 0 {
		piece, from, err := DataBefore(f, end, min(most, tailPiece))
		if err != nil {
			return nil, err
		}
		end = from
		most -= int64(len(piece))
		pieces = append(pieces, piece)
	}
	var text []byte
	for i := len(pieces) - 1; i >= 0; i-- {
		text = append(text, pieces[i]...)
	}
	return text, nil
}

const tailPiece = 1 << 20

// DataBefore reads backwards: it returns the last data of a file before an offset, at most most bytes,
// and where in the file that begins: 0 at the end of the way. It may be less, or nothing, where the
// file has become shorter.
func DataBefore(f *os.File, end, most int64) (data []byte, from int64, err error) {
	solid := !HasHole(f, end)
	if !solid {
		if end = dataEnd(f, end); end == 0 {
			return nil, 0, nil
		}
	}
	from = max(0, end-most)
	if !solid {
		from = max(from, nextData(f, from)) // the hole before this is left to the next call
	}
	data = make([]byte, end-from)
	n, err := f.ReadAt(data, from)
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	if data = data[:n]; !solid {
		data = bytes.ReplaceAll(data, []byte{0}, nil)
	}
	return data, from, nil
}

// DataAfter reads forwards: it returns the first data of a file at or after an offset, at most most
// bytes, and where in the file that ends. Where there is none, it is the offset itself.
func DataAfter(f *os.File, at, most int64) (data []byte, end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, at, err
	}
	from := max(at, nextData(f, at))
	if from >= info.Size() {
		return nil, at, nil
	}
	data = make([]byte, min(most, info.Size()-from))
	n, err := f.ReadAt(data, from)
	if err != nil && err != io.EOF {
		return nil, at, err
	}
	if data = data[:n]; HasHole(f, info.Size()) {
		data = bytes.ReplaceAll(data, []byte{0}, nil)
	}
	return data, from + int64(n), nil
}

// HasHole reports whether a file has a hole before an offset. Where the file system knows of none,
// there is none.
func HasHole(f *os.File, end int64) bool {
	hole, err := seek(f, 0, unix.SEEK_HOLE)
	return err == nil && hole < end
}

// nextData returns the offset of the next data, a number beyond every file's size where there is none.
func nextData(f *os.File, at int64) int64 {
	data, err := seek(f, at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return beyond
	case err != nil:
		return at // the file system does not know, or nothing does: reading tells
	}
	return data
}

const beyond = 1<<63 - 1

// dataEnd returns where the last data before an offset ends, 0 where there is none. The kernel looks
// for data forwards only, but whether there is some between a place and the end can only become true
// as the place moves back: that is searched by halves, in 60 steps at most, however many holes somebody
// made.
func dataEnd(f *os.File, end int64) int64 {
	if nextData(f, 0) >= end {
		return 0
	}
	// The first place from which on there is none. Blocks are not smaller than these.
	const block = 512
	blocks := int((end + block - 1) / block)
	first := sort.Search(blocks, func(i int) bool { return nextData(f, int64(i)*block) >= end })
	return min(int64(first)*block, end)
}

func seek(f *os.File, at int64, whence int) (int64, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var to int64
	cerr := raw.Control(func(fd uintptr) { to, err = unix.Seek(int(fd), at, whence) })
	return to, errors.Join(cerr, err)
}
