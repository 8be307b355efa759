package handover

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const ownFDs = "/proc/self/fd/"

// Watches lists the descriptors of inotify that this process has, to be given to a successor, which
// closes them. Closing one takes up to 30 ms, for the grace period after which the kernel frees its
// marks (Linux 6.18, fsnotify_destroy_group), and an exec would wait for that, and the clients of
// the front with it.
//
// The successor closes them when it has its own: for the first watch of a folder the kernel goes
// through all names that it remembers of that, and whoever opens anything below waits, gunicorn too
// (fsnotify_recalc_mask; 8 ms for /tmp with 300,000 names). Where there is no room for its own
// meanwhile (inotify(7), max_user_instances), Watches returns none, and the exec takes longer.
//
// None of them may be closed between this call and the exec: the successor would close what has its
// number by then, if that is a watch too. So those that this process was given itself must be
// closed before (WatchesClosed), and its own only at its end.
func Watches() []int {
	entries, err := os.ReadDir(ownFDs)
	if err != nil {
		return nil // the exec takes longer
	}
	var all []int
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && isWatch(fd) {
			all = append(all, fd)
		}
	}
	for range all {
		room, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return nil
		}
		defer unix.Close(room) // it watches nothing, and so takes no time
	}
	return all
}

func isWatch(fd int) bool {
	what, err := os.Readlink(ownFDs + strconv.Itoa(fd))
	return err == nil && strings.HasSuffix(what, "inotify")
}
