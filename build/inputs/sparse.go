package inputs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mostContent is more than any file of an application or a package holds: a file that claims more is
// sparse, and a mistake or an attack.
const mostContent = 64 << 30

// errTooLarge says that a file claims more than mostContent.
var errTooLarge = errors.New("too large")

// tooLarge returns an error where a file is.
func tooLarge(f *os.File, size int64) error {
	if size <= mostContent {
		return nil
	}
	return fmt.Errorf("%s: %w: it has %.1f GiB, and at most %d GiB are read. Remove it, or move it out of what is built",
		f.Name(), errTooLarge, float64(size)/(1<<30), int64(mostContent)>>30)
}

// contentHash reads a file as long as it is now, into w too where that is given, which gets the same
// holes.
func contentHash(ctx context.Context, f, w *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if err := tooLarge(f, info.Size()); err != nil {
		return "", err
	}
	sum, err := contentSum(ctx, f, info.Size(), w)
	return fmt.Sprintf("%x %v", sum, info.Mode()&0o111 != 0), err
}

// contentSum skips holes without reading them (lseek(2), SEEK_DATA).
func contentSum(ctx context.Context, f *os.File, size int64, w *os.File) ([]byte, error) {
	h := sha256.New()
	for at := int64(0); at < size; {
		from, to, err := nextData(f, at, size)
		if err != nil {
			return nil, err
		}
		if err := zeros(ctx, h, from-at); err != nil {
			return nil, err
		}
		into := io.Writer(h)
		if w != nil {
			into = io.MultiWriter(h, io.NewOffsetWriter(w, from))
		}
		n, err := io.Copy(into, cancelledReader{ctx, io.NewSectionReader(f, from, to-from)})
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
func zeros(ctx context.Context, h hash.Hash, n int64) error {
	var none [32 << 10]byte
	for ; n > 0; n -= int64(len(none)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		h.Write(none[:min(n, int64(len(none)))])
	}
	return nil
}

// cancelledReader fails once its context has ended.
type cancelledReader struct {
	ctx context.Context
	io.Reader
}

func (r cancelledReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// cloned makes out share the blocks of in, where the file system can (ioctl_ficlone(2)).
func cloned(out, in *os.File) bool {
	return unix.IoctlFileClone(int(out.Fd()), int(in.Fd())) == nil
}
