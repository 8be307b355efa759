package journal

import (
	"context"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Watch rotates the logs that paths names, now and again every so often, until ctx ends. It also
// finishes what an earlier process left. A log that is not due costs one look at its size. It
// returns when ctx ends and the rotation under way is done.
func Watch(ctx context.Context, paths func() []string, p Policy, every time.Duration, log hclog.Logger) {
	w := watcher{policy: p.orDefault(), log: log}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		w.round(ctx, paths())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// watcher remembers about each log what need not be done or said twice.
type watcher struct {
	policy Policy
	log    hclog.Logger
	known  map[string]note
}

type note struct {
	trouble string // the error that was logged
	lossy   bool   // it was logged that rotation may lose lines
}

func (w *watcher) round(ctx context.Context, paths []string) {
	known := make(map[string]note, len(paths))
	for _, path := range paths {
		if ctx.Err() != nil {
			return
		}
		n, seen := w.known[path]
		if !seen || n.trouble != "" || Size(path) >= w.policy.MaxBytes {
			n = w.rotate(ctx, path, n)
		}
		known[path] = n
	}
	w.known = known
}

// rotate rotates a log until it is not due any more.
func (w *watcher) rotate(ctx context.Context, path string, n note) note {
	for ctx.Err() == nil {
		began := time.Now()
		how, err := newRotation(path, w.policy).run()
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

// Size is a log's size in bytes, 0 where there is none.
func Size(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}
