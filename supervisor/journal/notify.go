package journal

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// notifier tells when quiet logs are written to. Of a log that is written to it tells once, so that
// busy ones cost nothing; of those that are made in a folder each time.
type notifier struct {
	fd      int
	file    *os.File // the same
	logs    map[int32]string
	wds     map[string]int32 // the other way round
	folders map[string]int32
	events  chan []event
	done    chan struct{} // events is closed and nobody reads the file
}

// event is that something happened to a log.
type event struct {
	wd   int32
	mask uint32
	name string // in a folder
}

// newNotifier returns nil where there is no inotify: then nothing is watched.
func newNotifier() *notifier {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	n := &notifier{
		fd: fd, file: os.NewFile(uintptr(fd), "inotify"), logs: map[int32]string{}, wds: map[string]int32{},
		folders: map[string]int32{}, events: make(chan []event), done: make(chan struct{}),
	}
	return n
}

// read passes on what the kernel reports until stop is closed and the file as well.
func (n *notifier) read(stop <-chan struct{}) {
	defer close(n.done)
	buf := make([]byte, 16<<10)
	for {
		got, err := n.file.Read(buf)
		if err != nil {
			return // it is closed
		}
		select {
		case n.events <- parse(buf[:got]):
		case <-stop:
			return
		}
	}
}

// parse reads struct inotify_event (inotify(7)).
func parse(b []byte) []event {
	var all []event
	for e := binary.NativeEndian; len(b) >= unix.SizeofInotifyEvent; {
		size := min(unix.SizeofInotifyEvent+int(e.Uint32(b[12:])), len(b))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		all = append(all, event{int32(e.Uint32(b)), e.Uint32(b[4:]), string(name)})
		b = b[size:]
	}
	return all
}

// watch has the next write to a log told, and what is made in its folder. It says whether that can
// be relied on.
func (n *notifier) watch(path string) bool {
	if n == nil {
		return false
	}
	if !n.watchFolder(filepath.Dir(path)) {
		return false
	}
	wd, err := unix.InotifyAddWatch(n.fd, path, unix.IN_MODIFY|unix.IN_ONESHOT|unix.IN_DONT_FOLLOW)
	switch {
	case err == unix.ENOENT:
		n.unwatch(path)
		return true // its folder will tell
	case err != nil:
		return false
	}
	if n.wds[path] != int32(wd) {
		n.unwatch(path) // of the file that had the name before
	}
	n.logs[int32(wd)], n.wds[path] = path, int32(wd)
	return true
}

// watchFolder has what is made in a folder told. It says whether that can be relied on.
func (n *notifier) watchFolder(dir string) bool {
	if n == nil {
		return false
	}
	if _, ok := n.folders[dir]; ok {
		return true
	}
	wd, err := unix.InotifyAddWatch(n.fd, dir, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_ONLYDIR)
	if err != nil {
		return false
	}
	n.folders[dir] = int32(wd)
	return true
}

// watches says that the next write to a log will be told.
func (n *notifier) watches(path string) bool {
	if n == nil {
		return false
	}
	_, ok := n.wds[path]
	_, folder := n.folders[filepath.Dir(path)]
	return ok && folder
}

// unwatch forgets a log.
func (n *notifier) unwatch(path string) {
	if n == nil {
		return
	}
	if wd, ok := n.wds[path]; ok {
		_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // it fails where it has told already
		n.forget(wd)
	}
}

func (n *notifier) forget(wd int32) {
	if path, ok := n.logs[wd]; ok {
		delete(n.logs, wd)
		if n.wds[path] == wd {
			delete(n.wds, path)
		}
	}
}

// told returns the log that an event is about; "" where it is about none, and all where it may be
// about any.
func (n *notifier) told(e event) (path string, all bool) {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		return "", true
	}
	for dir, wd := range n.folders {
		if wd != e.wd {
			continue
		}
		if e.mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED) != 0 {
			_, _ = unix.InotifyRmWatch(n.fd, uint32(wd)) // it fails where the folder is gone
			delete(n.folders, dir)
			for path := range n.wds {
				if filepath.Dir(path) == dir {
					n.unwatch(path) // another file may have its name by now
				}
			}
			return "", true
		}
		return filepath.Join(dir, e.name), false
	}
	path = n.logs[e.wd]
	if e.mask&(unix.IN_MODIFY|unix.IN_IGNORED) != 0 { // it tells once
		n.forget(e.wd)
	}
	return path, false
}

func (n *notifier) close() {
	if n == nil {
		return
	}
	n.file.Close() // ends the reading; there is nothing to lose
	<-n.done
}
