package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

const (
	// followEvery is how often a log that is followed is looked at for more.
	followEvery = 50 * time.Millisecond
	// mostLog is how much of the end of a log is read.
	mostLog = 16 << 20
	// mostMore is how much of what came to a log since is read at once.
	mostMore = 1 << 20
)

// FollowLog calls each with the end of the log of the newest attempt, and where follow says
// so with what comes: more of it, or the log of an attempt that was begun since. It returns nil when
// ctx ends, or each's error. There may be no log yet: then each is called with nothing.
func FollowLog(ctx context.Context, root, name string, follow bool, each func([]byte) error) error {
	var at logPlace
	for first := true; ; first = false {
		more, err := at.next(root, name)
		if err != nil {
			return err
		}
		if first || len(more) > 0 {
			if err := each(more); err != nil {
				return err
			}
		}
		switch {
		case !follow:
			return nil
		case len(more) >= mostMore && ctx.Err() == nil:
			continue // there is more
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// logPlace is a place in the log of an attempt. The zero logPlace is in none.
type logPlace struct {
	head []byte // the log's first bytes, which have the time of the attempt: a file's number is used again
	at   int64
}

// next returns what is new in the log of the newest attempt; of another one than before, its end.
func (p *logPlace) next(root, name string) ([]byte, error) {
	f, err := openLog(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // there is none yet
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	head := make([]byte, 256)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("read build log of %s: %w", name, err)
	}
	head = head[:n]
	same := len(p.head) > 0 && bytes.HasPrefix(head, p.head) && info.Size() >= p.at
	var more []byte
	if p.head = head; !same {
		more, err = untrusted.Tail(f, info.Size(), mostLog)
		p.at = info.Size()
	} else {
		more, p.at, err = untrusted.DataAfter(f, p.at, mostMore)
	}
	if err != nil {
		return nil, fmt.Errorf("read build log of %s: %w", name, err)
	}
	return more, nil
}

// openLog opens the log of the newest attempt: the running one, else one that failed after the newest
// release, else that of the newest release. Names say which is the newest: file times follow a
// clock that may have been set back.
func openLog(root, name string) (*os.File, error) {
	dir := folderOf(root, name)
	entries, err := os.ReadDir(dir.Releases())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read build log of %s: %w", name, err)
	}
	running, made := "", ""
	for _, e := range entries { // in the order of their names
		id, runs := strings.CutPrefix(e.Name(), tempPrefix)
		switch {
		case !releaseID.MatchString(id):
		case runs:
			running = dir.Release(e.Name()).Log()
		default:
			made = dir.Release(e.Name()).Log()
		}
	}
	failed := dir.FailedLog() // a release that is made removes it
	newest := failed
	for _, path := range []string{running, failed, made} {
		if _, err := os.Lstat(path); err == nil {
			newest = path
			break
		}
	}
	f, err := untrusted.OpenBelow(filepath.Dir(newest), filepath.Base(newest))
	if err != nil {
		return nil, fmt.Errorf("read build log of %s: %w", name, err)
	}
	return f, nil
}
