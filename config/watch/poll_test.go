package watch

import (
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

func TestWithoutInotifyFilesAreLookedAtEverySecond(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("conf/file", "old")
	s.write("tree/sub/file", "")
	synctest.Test(t, func(t *testing.T) {
		w := newWatcher(hclog.NewNullLogger(), ways{})
		w.Set([]Target{{ID: "one", Files: []string{path, s.path("none")}}, {ID: "tree", Trees: []string{s.path("tree")}}})
		if got := <-w.C(); !slices.Equal(got, []string{"one"}) {
			t.Errorf("first told is %q", got)
		}
		for _, edit := range []struct {
			id string
			do func() error
		}{
			{"one", func() error { return os.WriteFile(path, []byte("newer"), 0o644) }},
			{"one", func() error { return os.Rename(path, path+"2") }},
			{"one", func() error { return os.WriteFile(path, nil, 0o644) }},
			{"one", func() error { return os.Chmod(path, 0o600) }},
			{"one", func() error { return os.WriteFile(s.path("none"), nil, 0o644) }},
			{"tree", func() error { return os.WriteFile(s.path("tree/sub/new"), nil, 0o644) }},
			{"tree", func() error { return os.RemoveAll(s.path("tree/sub")) }},
		} {
			if err := edit.do(); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if got := <-w.C(); !slices.Equal(got, []string{edit.id}) || time.Since(begun) > pollEvery+quiet {
				t.Errorf("told is %q after %v, want %s", got, time.Since(begun), edit.id)
			}
		}
		if err := os.MkdirAll(s.path("tree/.git"), 0o755); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		select {
		case ids := <-w.C():
			t.Errorf("nothing changed, told is %q", ids)
		default:
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFoldersBeyondTheLimitAreLookedAtEverySecondAndTheLogSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.write("a/file", ""), s.write("b/file", "")
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	full := s.path("b")
	log := &record{}
	v := begin(t, s, newWatcher(log.logger(), ways{
		notify: notify,
		add: func(folder string) error {
			mu.Lock()
			defer mu.Unlock()
			if folder == full {
				return syscall.ENOSPC
			}
			return notify.Add(folder)
		},
		remote: func(string) bool { return false },
	}), log, Target{ID: "a", Files: []string{a}}, Target{ID: "b", Files: []string{b}})
	v.write("a/file", "x")
	v.tells("a")
	v.write("b/file", "x")
	v.tells("b")
	v.write("b/file", "longer")
	v.tells("b")
	text := log.String()
	if n := strings.Count(text, "looked at every second"); n != 1 || !strings.Contains(text, "build=b") || !strings.Contains(text, "max_user_watches") {
		t.Errorf("the log has %d lines of it:\n%s", n, text)
	}
	mu.Lock()
	full = "" // there is room again
	mu.Unlock()
	v.write("b/file", "seen by a look once more")
	v.tells("b")
	v.write("b/file", "x")
	v.tells("b")
}

// A folder of a tree that comes later may be the one too many.
func TestPollingBeginsWithALaterFolderToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("tree/file", "")
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	log := &record{}
	v := begin(t, s, newWatcher(log.logger(), ways{
		notify: notify,
		add: func(folder string) error {
			if strings.HasSuffix(folder, "/later") {
				return syscall.ENOSPC
			}
			return notify.Add(folder)
		},
		remote: func(string) bool { return false },
	}), log, Target{ID: "one", Trees: []string{s.path("tree")}})
	v.must(os.Mkdir(v.path("tree/later"), 0o755))
	v.tells("one")
	v.write("tree/later/file", "x")
	v.tells("one")
	v.write("tree/later/file", "longer")
	v.tells("one")
	if !strings.Contains(log.String(), "looked at every second") {
		t.Errorf("log:\n%s", log)
	}
}

func TestNetworkFileSystemsAreLookedAtBesides(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("net/file", "")
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	log := &record{}
	v := begin(t, s, newWatcher(log.logger(), ways{
		notify: notify,
		add:    func(string) error { return nil }, // inotify takes it and tells nothing
		remote: func(folder string) bool { return folder == s.path("net") },
	}), log, Target{ID: "one", Files: []string{path}})
	v.write("net/file", "x")
	v.tells("one")
	if !strings.Contains(log.String(), "others may change unseen") {
		t.Errorf("log:\n%s", log)
	}
	if remote(s.dir) {
		t.Errorf("%s is said to be on a network file system", s.dir)
	}
	if remote(s.path("none")) {
		t.Error("what is not there is said to be on a network file system")
	}
}
