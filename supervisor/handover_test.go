package supervisor

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// inotify answers a descriptor that watches something.
func inotify(t *testing.T) int {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, t.TempDir(), unix.IN_CREATE)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// open says whether a descriptor is, and whether it survives an exec.
func open(fd int) (is, survives bool) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil, err == nil && flags&unix.FD_CLOEXEC == 0
}

// Not parallel: the descriptors are the process's, and their numbers are used again.
func TestSuccessorClosesWatchesAndNothingThatHasTheirNumbers(t *testing.T) {
	watch := inotify(t)
	other, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	listed := watches()
	if !slices.Contains(listed, watch) || slices.Contains(listed, int(other.Fd())) {
		t.Fatalf("%v are watches, of %d and the file %d", listed, watch, other.Fd())
	}
	lock, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	// One that had been closed when the successor began, whose number something else has.
	h := &handover{Version: handoverVersion, Lock: int(lock.Fd()), Watches: []int{int(other.Fd()), watch}}
	fd, undo, err := h.keep()
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	if _, survives := open(watch); !survives {
		t.Error("the watch would not survive the exec, which waits for its end then")
	}
	mine, err := unix.Dup(fd) // an exec would leave one owner
	if err != nil {
		t.Fatal(err)
	}
	got, err := readHandover(mine)
	if err != nil {
		t.Fatal(err)
	}
	if is, survives := open(watch); !is || survives {
		t.Errorf("before the successor has its own watches: open %v, survives an exec %v", is, survives)
	}
	got.closeWatches()
	got.watchesClosed()
	if is, _ := open(watch); is {
		t.Error("the watch is still open")
	}
	if is, _ := open(int(other.Fd())); !is {
		t.Error("what has the number of a watch that was closed was closed too")
	}
}

func TestHandoverThatCannotBeKeptIsTakenBack(t *testing.T) {
	watch, gone := inotify(t), 1<<20
	lock, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	h := &handover{Version: handoverVersion, Lock: int(lock.Fd()), Watches: []int{watch, gone}}
	if _, _, err := h.keep(); err == nil {
		t.Fatal("a descriptor that is not open was kept")
	}
	for _, fd := range []int{watch, int(lock.Fd())} {
		if is, survives := open(fd); !is || survives {
			t.Errorf("descriptor %d: open %v, survives an exec %v", fd, is, survives)
		}
	}
	unix.Close(watch)
}
