package state

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// LockRoot also locks the folder above the lock's own: so a second supervisor is refused while the
// lock's file is gone, until Restore has made it again. It may be called again, when that folder may
// have been replaced.
//
// Whoever may read a folder may lock it, so a lock that a process of another user holds counts for
// nothing, and neither does one whose holder cannot be seen (another pid namespace): the lock's file
// is what decides. Where our own user or root holds it, the error wraps ErrLocked, and holder is the
// pid.
func (l *Locked) LockRoot() (holder int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := filepath.Dir(l.dir)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("lock %s: %w", path, err)
	}
	there, err := f.Stat()
	if err != nil {
		return 0, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	if l.root != nil {
		if held, err := l.root.Stat(); err == nil && os.SameFile(there, held) {
			return 0, f.Close()
		}
	}
	switch err := flock(f, unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		before := l.root
		l.root = f
		if before != nil {
			return 0, before.Close() // of a folder that nobody finds any more
		}
		return 0, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		holder = flockedBy(there)
		if err := f.Close(); err != nil {
			return 0, err
		}
		if holder == 0 {
			return 0, nil
		}
		return holder, fmt.Errorf("lock %s: %w (pid %d)", path, ErrLocked, holder)
	}
	return 0, f.Close() // the file system does not lock folders (NFS)
}

// flockedBy returns the pid of a process of our own user, or of root, that holds a lock of a file
// (proc(5), /proc/locks); 0 where there is none. The device is not compared: overlay file systems
// say another one than stat(2).
func flockedBy(info os.FileInfo) int {
	is, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 812 fe:00:1234 0 EOF"
		words := strings.Fields(lines.Text())
		if len(words) < 6 || words[1] != "FLOCK" || !strings.HasSuffix(words[5], ":"+strconv.FormatUint(is.Ino, 10)) {
			continue
		}
		pid, err := strconv.Atoi(words[4])
		if err != nil || pid <= 0 {
			continue
		}
		var by unix.Stat_t
		if unix.Stat("/proc/"+strconv.Itoa(pid), &by) == nil && (by.Uid == 0 || int(by.Uid) == os.Geteuid()) {
			return pid
		}
	}
	return 0
}
