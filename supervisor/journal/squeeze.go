package journal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// mostHoles is how many holes are taken out at a time: whoever makes more has more patience than we.
const mostHoles = 1000

// squeeze takes out of a log what nobody wrote, and returns how much that was. A process that may
// write to its log may make it larger as well, by terabytes that need no disk (ftruncate(2)): the
// kernel has no right that separates the two, so we notice and repair it. What was written before and
// after stays; zeros of less than two blocks may stay too.
func (r *rotation) squeeze(log *os.File, size int64) (gone int64, err error) {
	block, err := blockSize(log)
	if err != nil {
		return 0, err
	}
	at := int64(0)
	for range mostHoles {
		hole, data, found := nextHole(log, at, size)
		if !found {
			return gone, nil
		}
		from, to := (hole+block-1)/block*block, data/block*block
		if data >= size {
			to = (size - 1) / block * block // fallocate(2): the range must end before the file does
		}
		at = data
		if to <= from {
			continue
		}
		switch err := r.collapse(log, from, to-from); {
		case cannotCollapse(err):
			n, err := pullTogether(log, hole, data, size, 2*r.policy.MaxBytes)
			return gone + n, err
		case err != nil:
			return gone, fmt.Errorf("take a hole of %d bytes out: %w", to-from, err)
		}
		gone += to - from
		size -= to - from
		at = data - (to - from)
	}
	return gone, nil
}

// nextHole finds a hole of a file at or after an offset, and where the data after it begins: at the
// file's end where there is none.
func nextHole(f *os.File, at, size int64) (hole, data int64, found bool) {
	hole, err := unix.Seek(int(f.Fd()), at, unix.SEEK_HOLE)
	if err != nil || hole >= size {
		return 0, 0, false // none, or the file system knows of none
	}
	data, err = unix.Seek(int(f.Fd()), hole, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		data = size
	case err != nil:
		return 0, 0, false
	}
	return hole, min(data, size), true
}

// pullTogether is for file systems that cannot collapse: the log is cut off where the hole begins, and
// what comes after it is written again, at most the last most bytes. What is written between is lost.
func pullTogether(log *os.File, hole, data, size, most int64) (gone int64, err error) {
	rest := make([]byte, min(size-data, most))
	n, err := log.ReadAt(rest, size-int64(len(rest)))
	if err != nil && err != io.EOF {
		return 0, err
	}
	if err := log.Truncate(hole); err != nil {
		return 0, err
	}
	if _, err := log.WriteAt(rest[:n], hole); err != nil {
		return 0, err
	}
	return data - hole, nil
}

// cannotCollapse says that it is the file system, or a filter of system calls, that knows no
// FALLOC_FL_COLLAPSE_RANGE.
func cannotCollapse(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM)
}

func blockSize(f *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("ask for block size: %w", err)
	}
	return max(int64(st.Bsize), 1), nil
}
