package build

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// contentHash reads a file as long as it is now, into w too where that is given, which gets the same
// holes.
func contentHash(f, w *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	sum, err := contentSum(f, info.Size(), w)
	return fmt.Sprintf("%x %v", sum, info.Mode()&0o111 != 0), err
}

// contentSum skips holes without reading them (lseek(2), SEEK_DATA).
func contentSum(f *os.File, size int64, w *os.File) ([]byte, error) {
	h := sha256.New()
	for at := int64(0); at < size; {
		from, to, err := nextData(f, at, size)
		if err != nil {
			return nil, err
		}
		zeros(h, from-at)
		into := io.Writer(h)
		if w != nil {
			into = io.MultiWriter(h, io.NewOffsetWriter(w, from))
		}
		n, err := io.Copy(into, io.NewSectionReader(f, from, to-from))
		if err != nil {
			return nil, err
		}
		if at = to; n < to-from {
			break // it was cut off just now, which the next look at it notices
		}
	}
	if w != nil {
		if err := w.Truncate(size); err != nil {
			return nil, err
		}
	}
	return h.Sum(nil), nil
}

// nextData returns where the data of a file at or after an offset begins and ends. Where the file
// system does not know, all is data.
func nextData(f *os.File, at, size int64) (from, to int64, err error) {
	from, err = f.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size, nil // a hole up to the end
	}
	if err == nil {
		to, err = f.Seek(from, unix.SEEK_HOLE)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EOPNOTSUPP) {
		return at, size, nil
	}
	return min(from, size), min(to, size), err
}

// zeros writes n zeros to a hash.
func zeros(h hash.Hash, n int64) {
	var none [32 << 10]byte
	for ; n > 0; n -= int64(len(none)) {
		h.Write(none[:min(n, int64(len(none)))])
	}
}

// cloned makes out share the blocks of in, where the file system can (ioctl_ficlone(2)).
func cloned(out, in *os.File) bool {
	return unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil
}
