package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/config/custody"
)

// watching watches the logs at paths, which are never all looked at, until the test's end.
func watching(t *testing.T, p Policy, paths ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		Watch(ctx, func() []string { return paths }, nil, p, time.Hour, hclog.NewNullLogger())
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// bursts appends to a log more than it may hold, and waits until that was rotated away.
func bursts(t *testing.T, path string, p Policy) {
	t.Helper()
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(strings.Repeat(strings.Repeat("x", 99)+"\n", int(3*p.MaxBytes/100))); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); Size(path) >= p.MaxBytes; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s has %d bytes, want less than %d", filepath.Base(path), Size(path), p.MaxBytes)
		}
	}
}

func TestBurstIsRotatedAwayWithoutALookAtAllLogs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	p := Policy{MaxBytes: 100_000, Keep: 3}
	one, two := filepath.Join(dir, "one.log"), filepath.Join(dir, "two.log")
	watching(t, p, one, two)
	bursts(t, one, p) // it was not there when the watching began
	bursts(t, two, p)
	bursts(t, one, p)
	if err := os.Rename(one, one+".theirs"); err != nil {
		t.Fatal(err)
	}
	bursts(t, one, p) // another file has the name
	// Away in one step: a rotation under way may make a file in it.
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	bursts(t, one, p)
	bursts(t, two, p)
}

// A build that is new, as each is at a start.
func TestBurstIntoALogThatIsNewIsRotatedAwayAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := Policy{MaxBytes: 100_000, Keep: 3}
	var paths atomic.Pointer[[]string]
	paths.Store(&[]string{})
	changed := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		Watch(ctx, func() []string { return *paths.Load() }, changed, p, time.Hour, hclog.NewNullLogger())
	})
	defer done.Wait()
	defer cancel()
	one, two := filepath.Join(dir, "one.log"), filepath.Join(dir, "two.log")
	if err := os.WriteFile(one, make([]byte, 300_000), 0o640); err != nil {
		t.Fatal(err)
	}
	paths.Store(&[]string{one})
	changed <- struct{}{}
	bursts(t, one, p)
	paths.Store(&[]string{one, two}) // of a schedule, say: it is made in a folder that is watched
	bursts(t, two, p)
}

func TestLogsAreWatchedWithoutInotify(t *testing.T) {
	t.Parallel()
	p := Policy{MaxBytes: 100_000, Keep: 3}.orDefault()
	path := filepath.Join(t.TempDir(), "a.log")
	w := watcher{policy: p, log: hclog.NewNullLogger()}
	w.round(t.Context(), []string{path})
	if err := os.WriteFile(path, make([]byte, 300_000), 0o640); err != nil {
		t.Fatal(err)
	}
	if !w.restless() {
		t.Fatal("a log that cannot be watched is not looked at again")
	}
	w.look(t.Context())
	if size := Size(path); size >= p.MaxBytes {
		t.Errorf("it has %d bytes", size)
	}
	w.round(t.Context(), nil)
	if w.restless() {
		t.Error("a log that is not there any more is still looked at")
	}
}

func TestQuietLogCostsNoLook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte("a line\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	w := watcher{policy: Policy{}.orDefault(), log: hclog.NewNullLogger(), notifier: newNotifier()}
	if w.notifier == nil {
		t.Skip("there is no inotify")
	}
	stop := make(chan struct{})
	go w.notifier.read(stop)
	defer w.notifier.close()
	defer close(stop)
	w.round(t.Context(), []string{path})
	w.look(t.Context()) // it has the size of the look before
	if w.restless() {
		t.Fatal("it is quiet, and is looked at all the same")
	}
	f, err := Append(path, custody.Custody{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("more\n"); errors.Join(err, f.Close()) != nil {
		t.Fatal(err)
	}
	w.told(<-w.notifier.events)
	if !w.restless() {
		t.Error("it grows, and is not looked at")
	}
}
