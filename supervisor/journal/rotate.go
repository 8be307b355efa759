package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// Policy bounds a log. Zero values are the defaults.
type Policy struct {
	MaxBytes int64 // a log of this size or more is rotated; 16 MiB
	Keep     int   // rotated files kept next to it; 5
	// Custody is who may change the folder of a log. Where somebody else can, nothing is rotated as root.
	Custody custody.Custody
}

func (p Policy) orDefault() Policy {
	if p.MaxBytes <= 0 {
		p.MaxBytes = 16 << 20
	}
	if p.Keep <= 0 {
		p.Keep = 5
	}
	return p
}

// manner says how a log was rotated.
type manner int

const (
	notDue manner = iota
	collapsed
	truncated // what was written between the last read and the truncation is lost
)

// rotation is one rotation of one log: it moves the older part of the log at path to path.1, path.1
// to path.2 and so on, if that is due. It moves about 2*MaxBytes at most: a log that grew unwatched
// takes several. A missing log is not due. No two may run on a path at the same time, in whatever
// process.
//
// On its way the copy is path.copy while it may be incomplete, and path.cut from when it is whole
// and on disk until the log was cut and the copy became path.1.
type rotation struct {
	path     string
	policy   Policy
	collapse func(f *os.File, from, n int64) error
	at       func(step string) error // for tests: a crash
	enlarged int64                   // bytes that nobody wrote and that were taken out
}

func newRotation(path string, p Policy) *rotation {
	return &rotation{path: path, policy: p.orDefault(), collapse: collapse, at: func(string) error { return nil }}
}

func (r *rotation) run() (manner, error) {
	how, err := r.try()
	if err != nil {
		return notDue, fmt.Errorf("rotate %s: %w", r.path, err)
	}
	return how, nil
}

func (r *rotation) try() (manner, error) {
	if err := guarded(r.path, r.policy.Custody); err != nil {
		return notDue, err
	}
	log, size, err := openLog(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return notDue, nil
	}
	if err != nil {
		return notDue, err
	}
	defer log.Close()
	if err := r.finish(log, size); err != nil {
		return notDue, err
	}
	if size < r.policy.MaxBytes {
		return notDue, nil
	}
	if r.enlarged, err = r.squeeze(log, size); err != nil {
		return notDue, err
	}
	if r.enlarged > 0 {
		if size, err = log.Seek(0, io.SeekEnd); err != nil || size < r.policy.MaxBytes {
			return notDue, err
		}
	}
	n, err := r.part(log, size)
	if n == 0 || err != nil {
		return notDue, err
	}
	aside, err := r.setAside(log, n)
	if errors.Is(err, unix.ENOSPC) && r.dropOldest() {
		aside, err = r.setAside(log, n)
	}
	if err != nil {
		return notDue, err
	}
	defer aside.Close()
	how, err := r.cut(log, aside, n)
	if err != nil {
		return notDue, err // finish will see how far it came
	}
	return how, r.shift()
}

// openLog opens the log itself, nothing that a name was bent to.
func openLog(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, 0, err
	}
	if err := ours(f); err != nil {
		f.Close() // nothing was written through it
		return nil, 0, err
	}
	return f, st.Size, nil
}

// part is how many bytes to cut off a log of size bytes: whole blocks, and not all of it
// (fallocate(2): the range must end before the file does).
func (r *rotation) part(log *os.File, size int64) (int64, error) {
	block, err := blockSize(log)
	if err != nil {
		return 0, err
	}
	n := (size - 1) / block * block
	if n > 2*r.policy.MaxBytes {
		n = (r.policy.MaxBytes + block - 1) / block * block
	}
	return n, nil
}

// setAside copies the first n bytes to path.cut and sees them to the disk.
func (r *rotation) setAside(log *os.File, n int64) (*os.File, error) {
	name := r.path + ".copy"
	aside, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := r.fill(aside, log, n); err != nil {
		aside.Close()
		os.Remove(name) // the error counts, and finish removes it too
		return nil, err
	}
	return aside, nil
}

func (r *rotation) fill(aside, log *os.File, n int64) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(log.Fd()), &st); err != nil {
		return err
	}
	// Not ours to give away where we are not root: then it stays ours.
	if err := aside.Chown(int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := aside.Chmod(fs.FileMode(st.Mode) & 0o640); err != nil {
		return err
	}
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if got, err := aside.ReadFrom(io.LimitReader(log, n)); err != nil {
		return err
	} else if got != n {
		return fmt.Errorf("copied %d of %d bytes: somebody else cut the log", got, n)
	}
	if err := r.at("copied"); err != nil {
		return err
	}
	// The log too: if a power cut took a part that the copy has, the log would look as if it had
	// been cut.
	if err := errors.Join(aside.Sync(), log.Sync()); err != nil {
		return err
	}
	if err := os.Rename(r.path+".copy", r.path+".cut"); err != nil {
		return err
	}
	if err := r.syncDir(); err != nil {
		return err
	}
	return r.at("set aside")
}

// cut takes the first n bytes, of which aside is a copy, off the log.
func (r *rotation) cut(log, aside *os.File, n int64) (manner, error) {
	err := r.collapse(log, 0, n)
	switch {
	case cannotCollapse(err):
		return truncated, r.truncate(log, aside, n)
	case err != nil:
		return notDue, fmt.Errorf("collapse the first %d bytes: %w", n, err)
	}
	if err := r.at("cut"); err != nil {
		return notDue, err
	}
	// On disk before the copy counts as path.1, else a power cut doubles it.
	return collapsed, log.Sync()
}

func collapse(f *os.File, from, n int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, from, n); err != unix.EINTR {
			return err
		}
	}
}

// truncate is for file systems that cannot collapse: the rest is copied too, then the log is
// emptied.
func (r *rotation) truncate(log, aside *os.File, n int64) error {
	if _, err := log.Seek(n, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	last := byte('\n')
	for patience := 100; ; {
		got, err := log.Read(buf)
		if err == io.EOF && (last == '\n' || patience == 0) {
			break
		}
		if err == io.EOF {
			// A write may show page by page: wait for the rest of its line.
			patience--
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if err != nil {
			return err
		}
		if _, err := aside.Write(buf[:got]); err != nil {
			return err
		}
		last = buf[got-1]
	}
	if err := log.Truncate(0); err != nil {
		return err
	}
	return r.at("cut")
}

// shift makes the copy path.1, and what was path.1 path.2, up to the first number that is free; the
// oldest goes.
func (r *rotation) shift() error {
	free := 1
	for ; free < r.policy.Keep; free++ {
		if _, err := os.Lstat(r.numbered(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	for i := free; i > 1; i-- {
		if err := os.Rename(r.numbered(i-1), r.numbered(i)); err != nil {
			return err
		}
		if err := r.at("shifted"); err != nil {
			return err
		}
	}
	if err := os.Rename(r.path+".cut", r.numbered(1)); err != nil {
		return err
	}
	// Of a policy that kept more.
	for i := r.policy.Keep + 1; os.Remove(r.numbered(i)) == nil; i++ {
	}
	return r.syncDir()
}

func (r *rotation) numbered(i int) string { return r.path + "." + strconv.Itoa(i) }

// dropOldest makes room on a full disk for what is newer.
func (r *rotation) dropOldest() bool {
	for i := r.policy.Keep; i > 0; i-- {
		if os.Remove(r.numbered(i)) == nil {
			return true
		}
	}
	return false
}

func (r *rotation) syncDir() error {
	dir, err := os.Open(filepath.Dir(r.path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
