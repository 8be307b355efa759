package journal

import (
	"context"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// quick is how often a log is looked at while it grows, and one that cannot be watched.
const quick = 250 * time.Millisecond

// Watch rotates the logs that paths names until ctx ends: within a moment of growing too large where
// the kernel tells of a write to a quiet one (inotify), and however that is every so often. changed
// says that paths names others than before. It also finishes what an earlier process left. A log that
// is quiet costs one look at its size each time. It returns when ctx ends and the rotation under way is
// done.
func Watch(ctx context.Context, paths func() []string, changed <-chan struct{}, p Policy, every time.Duration, log hclog.Logger) {
	w := watcher{policy: p.orDefault(), log: log, notifier: newNotifier()}
	var events <-chan []event
	if w.notifier == nil {
		log.Warn("logs cannot be watched, they are looked at now and again", "every", quick)
	} else {
		events = w.notifier.events
		go w.notifier.read(ctx.Done())
		defer w.notifier.close()
	}
	all := time.NewTicker(every)
	defer all.Stop()
	soon := time.NewTicker(quick)
	defer soon.Stop()
	listed := false // all are to be looked at soon, once for many changes
	for w.round(ctx, paths()); ctx.Err() == nil; {
		tick := soon.C
		if !listed && !w.restless() {
			tick = nil
		}
		select {
		case some := <-events:
			listed = w.told(some) || listed
		case <-changed:
			listed = true
		case <-tick:
			if listed {
				w.round(ctx, paths())
			}
			w.look(ctx)
			listed = false
		case <-all.C:
			w.round(ctx, paths())
		case <-ctx.Done():
		}
	}
}

// watcher remembers about each log what need not be done or said twice.
type watcher struct {
	policy   Policy
	log      hclog.Logger
	notifier *notifier // nil: there is none
	known    map[string]note
}

type note struct {
	trouble string // the error that was logged
	lossy   bool   // it was logged that rotation may lose lines
	size    int64  // when it was looked at last
	busy    bool   // it is looked at again soon: it grows, or cannot be watched
	// It was logged that somebody made it larger without writing, or cut it off.
	enlarged, cutOff bool
}

// round looks at every log, and takes the list of paths as what there is.
func (w *watcher) round(ctx context.Context, paths []string) {
	if w.known == nil {
		w.known = make(map[string]note, len(paths))
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			return
		}
		w.notifier.watchFolder(filepath.Dir(path)) // also while the log itself is looked at: it may not be the only one
		n, seen := w.known[path]
		if !seen || n.trouble != "" {
			n = w.rotate(ctx, path, n)
		}
		w.known[path] = w.check(ctx, path, n)
	}
	if len(w.known) == len(paths) {
		return
	}
	there := make(map[string]bool, len(paths))
	for _, path := range paths {
		there[path] = true
	}
	for path := range w.known {
		if !there[path] {
			w.notifier.unwatch(path)
			delete(w.known, path)
		}
	}
}

// look looks at the logs that are busy.
func (w *watcher) look(ctx context.Context) {
	for path, n := range w.known {
		if n.busy {
			w.known[path] = w.check(ctx, path, n)
		}
	}
}

// check rotates a log where that is due. One that does not grow is watched from then on.
func (w *watcher) check(ctx context.Context, path string, n note) note {
	size := Size(path)
	if size < n.size && !n.cutOff {
		w.log.Info("log was cut off by somebody else", "path", path, "bytes", n.size-size)
		n.cutOff = true
	}
	if size >= w.policy.MaxBytes && n.trouble == "" {
		n = w.rotate(ctx, path, n)
		size = Size(path)
	}
	grows := size != n.size
	n.size = size
	if !grows && !n.busy && w.notifier.watches(path) {
		return n
	}
	n.busy = grows || !w.notifier.watch(path) || Size(path) != size // written to before it was watched
	return n
}

// restless says that a log is to be looked at soon.
func (w *watcher) restless() bool {
	for _, n := range w.known {
		if n.busy {
			return true
		}
	}
	return false
}

// told notes what the kernel reports. It says whether every log is to be looked at.
func (w *watcher) told(events []event) (all bool) {
	for _, e := range events {
		path, any := w.notifier.told(e)
		all = all || any
		if n, ok := w.known[path]; ok {
			n.busy = true
			w.known[path] = n
		} else {
			all = all || filepath.Ext(path) == ".log" // made in a folder of others: it may be one of paths by now
		}
	}
	return all
}

// rotate rotates a log until it is not due any more.
func (w *watcher) rotate(ctx context.Context, path string, n note) note {
	for ctx.Err() == nil {
		began := time.Now()
		r := newRotation(path, w.policy)
		how, err := r.run()
		if r.enlarged > 0 && !n.enlarged {
			w.log.Warn("log was made larger than what was written to it, which was taken back", "path", path, "bytes", r.enlarged,
				"reason", "a process of the build changed the size of its log")
			n.enlarged = true
		}
		switch {
		case err != nil:
			if n.trouble != err.Error() {
				w.log.Warn("log not rotated", "path", path, "error", err)
			}
			n.trouble = err.Error()
			return n
		case how == notDue:
			n.trouble = ""
			return n
		case how == truncated && !n.lossy:
			w.log.Warn("log rotated by copy and truncation", "path", path,
				"reason", "its file system cannot collapse; what is written at that moment may be lost")
			n.lossy = true
		}
		w.log.Debug("log rotated", "path", path, "took", time.Since(began))
	}
	return n
}

// Size is a log's size in bytes, 0 where there is none. It asks the kernel without an allocation: of a
// thousand builds all logs are looked at now and again.
func Size(path string) int64 {
	var st unix.Stat_t
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Lstat(path, &st).(unix.Errno)
	}
	if err != 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0
	}
	return st.Size
}
