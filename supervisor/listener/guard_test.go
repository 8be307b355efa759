package listener

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// guarding returns a Guard that runs until the test ends.
func guarding(t *testing.T) *Guard {
	t.Helper()
	g := NewGuard(hclog.NewNullLogger())
	if g.watcher == nil {
		t.Skip("inotify cannot be had")
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		g.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return g
}

// touches watches dir and returns a channel that is sent something when it is touched.
func touches(g *Guard, dir string) <-chan struct{} {
	touched := make(chan struct{}, 1)
	g.Watch(dir, func() {
		select {
		case touched <- struct{}{}:
		default: // there is a word of it already
		}
	})
	return touched
}

func wantTouch(t *testing.T, touched <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-touched:
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing was said of %s", what)
	}
}

func TestGuardTellsWhoseSocketLostItsName(t *testing.T) {
	t.Parallel()
	g, one, other := guarding(t), short(t), short(t)
	path := filepath.Join(one, "s")
	mustBind(t, path)
	ofOne, ofOther := touches(g, one), touches(g, other)
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	wantTouch(t, ofOne, "a socket that was renamed")
	if err := os.Remove(path + ".away"); err != nil {
		t.Fatal(err)
	}
	wantTouch(t, ofOne, "a socket that was removed")
	select {
	case <-ofOther:
		t.Error("another build was told")
	default:
	}
}

// Logs and data may lie in the folder: what is written there is nobody's name.
func TestGuardIsSilentOfWritesAndOfFoldersThatAreNotWatched(t *testing.T) {
	t.Parallel()
	g, one, former := guarding(t), short(t), short(t)
	file := filepath.Join(one, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ofOne, ofFormer := touches(g, one), touches(g, former)
	g.Watch(former, nil)
	g.Watch(former, nil) // of what is not watched there is nothing to end
	for _, change := range []func() error{
		func() error { return os.WriteFile(file, []byte("more"), 0o600) },
		func() error { return os.Chmod(file, 0o640) },
		func() error { return os.WriteFile(filepath.Join(former, "f"), nil, 0o600) },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
	}
	// Events come in their order: when a later one has come, the others would have.
	last := short(t)
	ofLast := touches(g, last)
	if err := os.WriteFile(filepath.Join(last, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantTouch(t, ofLast, "the last change")
	for name, touched := range map[string]<-chan struct{}{"a write": ofOne, "a folder that is not watched": ofFormer} {
		select {
		case <-touched:
			t.Errorf("told of %s", name)
		default:
		}
	}
}

func TestFolderThatWasRemovedIsWatchedAgain(t *testing.T) {
	t.Parallel()
	g, dir := guarding(t), filepath.Join(short(t), "build")
	for range 2 {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		touched := touches(g, dir)
		if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantTouch(t, touched, "a new file")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	g.Watch(dir, func() {}) // of a folder that is not there: logged, the probes find what is lost
}

func TestGuardWithoutInotifyDoesNothing(t *testing.T) {
	t.Parallel()
	g := &Guard{log: hclog.NewNullLogger()}
	g.Watch(t.TempDir(), func() { t.Error("told of something") })
	g.Run(t.Context()) // returns at once
}
