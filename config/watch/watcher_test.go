package watch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

// record is a log that a test can read.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: r, Level: hclog.Trace})
}

// watching is a Watcher on a site, past the first telling of its files.
type watching struct {
	site
	w   *Watcher
	log *record
}

func watch(t *testing.T, s site, targets ...Target) watching {
	t.Helper()
	log := &record{}
	w, err := New(log.logger())
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, s, w, log, targets...)
}

func begin(t *testing.T, s site, w *Watcher, log *record, targets ...Target) watching {
	t.Helper()
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	v := watching{s, w, log}
	v.set(targets...)
	return v
}

// set watches the targets, and takes what is told of those that are new. What
// has a tree is not told, so one more target is.
func (v watching) set(targets ...Target) {
	v.t.Helper()
	mark := Target{ID: fmt.Sprintf("mark %p", &targets), Files: []string{v.path("no such file")}}
	v.w.Set(append(targets, mark))
	for !slices.Contains(v.told(), mark.ID) {
	}
	v.w.Set(targets)
}

// told waits for the next IDs.
func (v watching) told() []string {
	v.t.Helper()
	select {
	case ids := <-v.w.C():
		return ids
	case <-time.After(30 * time.Second):
		v.t.Fatalf("nothing is told; log:\n%s", v.log)
		return nil
	}
}

// tells expects that a change is told under these IDs, and none but these.
func (v watching) tells(ids ...string) {
	v.t.Helper()
	if got := v.told(); !slices.Equal(got, ids) {
		v.t.Errorf("told is %q, want %q", got, ids)
	}
}

// silent expects that nothing is told of what was done before: the kernel's queue
// has it before the change of the target "other" that is done now.
func (v watching) silent(other string) {
	v.t.Helper()
	v.write(other, fmt.Sprint(time.Now().UnixNano()))
	v.tells("other")
}

func (v watching) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func TestEveryWayToReplaceAFileIsTold(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(v watching, path string){
		"write in place": func(v watching, path string) { v.must(os.WriteFile(path, []byte("new"), 0o644)) },
		"append": func(v watching, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			v.must(err)
			_, err = f.WriteString("x")
			v.must(err)
			v.must(f.Close())
		},
		"write beside and rename over (most editors)": func(v watching, path string) {
			v.must(os.WriteFile(path+".tmp", []byte("new"), 0o644))
			v.must(os.Rename(path+".tmp", path))
		},
		"move aside and write anew (vim with backup)": func(v watching, path string) {
			v.must(os.Rename(path, path+"~"))
			v.must(os.WriteFile(path, []byte("new"), 0o644))
			v.must(os.Remove(path + "~"))
		},
		"remove and make again": func(v watching, path string) {
			v.must(os.Remove(path))
			v.must(os.WriteFile(path, []byte("new"), 0o644))
		},
		"remove":               func(v watching, path string) { v.must(os.Remove(path)) },
		"truncate":             func(v watching, path string) { v.must(os.Truncate(path, 0)) },
		"hard link over":       func(v watching, path string) { v.must(os.Remove(path)); v.must(os.Link(v.path("other"), path)) },
		"rights":               func(v watching, path string) { v.must(os.Chmod(path, 0o600)) },
		"replace by a link":    func(v watching, path string) { v.must(os.Remove(path)); v.must(os.Symlink("other", path)) },
		"move its folder away": func(v watching, path string) { v.must(os.Rename(v.path("conf"), v.path("gone"))) },
		"remove its folder":    func(v watching, path string) { v.must(os.RemoveAll(v.path("conf"))) },
		"exchange its folder": func(v watching, path string) {
			v.write("conf2/file", "new")
			v.must(os.Rename(v.path("conf"), v.path("gone")))
			v.must(os.Rename(v.path("conf2"), v.path("conf")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			path := s.write("conf/file", "old")
			s.write("other", "")
			v := watch(t, s, Target{ID: "one", Files: []string{path}}, Target{ID: "other", Files: []string{s.path("else/other")}})
			edit(v, path)
			v.tells("one")
			// The watch holds: what comes after is told too.
			v.must(os.RemoveAll(path))
			v.write("conf/file", "newer")
			v.tells("one")
		})
	}
}

func TestWhatIsBesideAFileIsNotTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	path := s.write("conf/file", "old")
	v := watch(t, s, Target{ID: "one", Files: []string{path}}, Target{ID: "other", Files: []string{s.write("else/other", "")}})
	for _, name := range []string{"conf/file2", "conf/.file.swp", "conf/file~", "conf/4913", "conf/sub/file", "file", "conf.toml"} {
		v.write(name, "x")
		v.must(os.Remove(v.path(name)))
	}
	_, err := os.ReadFile(path)
	v.must(err)
	v.silent("else/other")
}

func TestSwapOfLinksAsConfigMapsDoIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("conf/..2024/file", "old")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink("..2024", s.path("conf/..data")))
	must(os.Symlink("..data/file", s.path("conf/file")))
	v := watch(t, s, Target{ID: "one", Files: []string{s.path("conf/file")}})
	for _, next := range []string{"..2025", "..2026", "..2027"} {
		v.write("conf/"+next+"/file", "new")
		must(os.Symlink(next, s.path("conf/..tmp")))
		must(os.Rename(s.path("conf/..tmp"), s.path("conf/..data")))
		v.tells("one")
	}
	must(os.RemoveAll(s.path("conf/..2024")))
	v.write("conf/..2027/file", "written in place, behind both links")
	v.tells("one")
}

// A checkout that is a link to the newest of several.
func TestSwapOfALinkFarAboveTheFileIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write("v1/API/settings/file", "1")
	s.write("v2/API/settings/file", "2")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink("v1", s.path("current")))
	v := watch(t, s, Target{ID: "link", Files: []string{s.path("current/API/settings/file")}}, Target{ID: "v1", Files: []string{s.path("v1/API/settings/file")}})
	v.write("v1/API/settings/file", "both lead there")
	v.tells("link", "v1")
	for _, next := range []string{"v2", "v1", "v2"} {
		must(os.Symlink(next, s.path("tmp")))
		must(os.Rename(s.path("tmp"), s.path("current")))
		v.tells("link")
	}
	v.write("v2/API/settings/file", "only the link leads there")
	v.tells("link")
	v.write("v1/API/settings/file", "only the other leads there")
	v.tells("v1")
}

func TestLinksThatLeadRoundEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for at, to := range map[string]string{"a": "a", "b": "c", "c": "b", "d": "d/d/d", "e": "./e/../e/x"} {
		if err := os.Symlink(to, s.path(at)); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	for _, at := range []string{"a", "b/x", "c/b/a", "d", "d/x/y", "e/e/e"} {
		files = append(files, s.path(at))
	}
	v := watch(t, s, Target{ID: "one", Files: files, Trees: []string{s.path("a"), s.path("d")}})
	v.must(os.Remove(v.path("b")))
	v.write("b/x", "")
	v.tells("one")
}

func TestFileWhoseFoldersAreMissingIsToldWhenItComes(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := watch(t, s, Target{ID: "one", Files: []string{s.path("a/b/c/file")}})
	v.write("a/b/c/file", "at once")
	v.tells("one")
	v.must(os.RemoveAll(v.path("a")))
	v.tells("one")
	for _, folder := range []string{"a", "a/b", "a/b/c"} { // one after the other
		v.must(os.Mkdir(v.path(folder), 0o755))
		v.tells("one")
	}
	v.write("a/b/c/file", "made again")
	v.tells("one")
}

func TestTreeIsToldWithFoldersThatComeLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if err := os.Symlink("tree", s.path("link")); err != nil {
		t.Fatal(err)
	}
	s.write("tree/a/b/file", "")
	for _, tree := range []string{"tree", "link"} {
		t.Run(tree, func(t *testing.T) {
			s := site{t, s.dir}
			v := watch(t, s, Target{ID: "one", Trees: []string{s.path(tree)}}, Target{ID: "other", Files: []string{s.path("else")}})
			v.write("tree/a/b/file", "x")
			v.tells("one")
			v.write("tree/new/deep/folder/file", "x")
			v.tells("one")
			v.write("tree/new/deep/folder/file", "y")
			v.tells("one")
			v.must(os.RemoveAll(v.path("tree/new")))
			v.tells("one")
			for _, noise := range []string{"tree/.git/index", "tree/a/__pycache__/x.pyc", "tree/a/.x.swp", "tree/4913", "tree/a/x~", "tree/.#x"} {
				v.write(noise, "x")
			}
			v.must(os.Chmod(v.path("tree/a/b/file"), 0o600))
			v.silent("else")
			for _, noise := range []string{".git", "a/__pycache__", "a/.x.swp", "4913", "a/x~", ".#x"} {
				v.must(os.RemoveAll(v.path("tree/" + noise)))
			}
			v.silent("else")
		})
	}
}

func TestSetReplacesWhatIsWatched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a, b := s.write("a/file", ""), s.write("b/file", "")
	v := watch(t, s, Target{ID: "one", Files: []string{a}})
	v.set(Target{ID: "two", Files: []string{b}}, Target{ID: "both", Files: []string{a, b}})
	v.write("b/file", "x")
	v.tells("both", "two")
	v.write("a/file", "x")
	v.tells("both")
	v.set(Target{ID: "other", Files: []string{b}})
	v.write("a/file", "y")
	v.silent("b/file")
}

// Between the reading of a file and the beginning of its watch it may change.
func TestFilesThatAreNewToTheWatchAreToldOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	log := &record{}
	w, err := New(log.logger())
	if err != nil {
		t.Fatal(err)
	}
	v := watching{s, w, log}
	defer w.Close()
	one := Target{ID: "one", Files: []string{s.write("one", "")}}
	w.Set([]Target{one})
	v.tells("one")
	w.Set([]Target{one, {ID: "tree", Files: []string{s.path("x")}, Trees: []string{s.path("src")}}, {ID: "two", Files: []string{s.path("two")}}})
	v.tells("two")
}

// ticking is a Watcher without inotify in a bubble of its own time, and what it
// tells, with the time since it began.
func ticking(events chan fsnotify.Event, errs chan error, targets ...Target) (w *Watcher, next func() string) {
	begun := time.Now()
	how := ways{notify: &fsnotify.Watcher{Events: events, Errors: errs}, add: func(string) error { return nil }, remote: func(string) bool { return false }}
	w = newWatcher(hclog.NewNullLogger(), how)
	w.Set(targets)
	return w, func() string { return fmt.Sprint(<-w.C(), " ", time.Since(begun)) }
}

func TestEditsAreGatheredUntilItIsQuiet(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.write("one", ""), s.write("two", "")
	synctest.Test(t, func(t *testing.T) {
		events := make(chan fsnotify.Event)
		w, next := ticking(events, nil, Target{ID: "one", Files: []string{one}}, Target{ID: "two", Files: []string{two}})
		if got := next(); got != "[one two] 200ms" {
			t.Errorf("first told is %s", got)
		}
		for range 3 { // at 200, 350, 500 ms
			events <- fsnotify.Event{Name: one, Op: fsnotify.Write}
			events <- fsnotify.Event{Name: two + "x", Op: fsnotify.Write}
			time.Sleep(150 * time.Millisecond)
		}
		events <- fsnotify.Event{Name: two, Op: fsnotify.Chmod} // at 650 ms
		if got := next(); got != "[one two] 850ms" {
			t.Errorf("three edits and one of the other are told as %s", got)
		}
		go func() {
			for range 21 { // at 0.85, 0.96 … 3.05 s
				events <- fsnotify.Event{Name: one, Op: fsnotify.Create}
				time.Sleep(110 * time.Millisecond)
			}
		}()
		for _, want := range []string{"[one] 1.85s", "[one] 2.95s", "[one] 3.25s"} {
			if got := next(); got != want {
				t.Errorf("lasting noise is told as %s, want %s", got, want)
			}
		}
		w.endFake()
	})
}

func TestEditsBeforeTheLastWereTakenAreToldTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.write("one", ""), s.write("two", "")
	synctest.Test(t, func(t *testing.T) {
		events := make(chan fsnotify.Event)
		w, next := ticking(events, nil, Target{ID: "one", Files: []string{one}})
		next()
		w.Set([]Target{{ID: "one", Files: []string{one}}, {ID: "two", Files: []string{two}}})
		time.Sleep(time.Hour) // nobody takes it
		events <- fsnotify.Event{Name: one, Op: fsnotify.Remove}
		time.Sleep(time.Hour)
		if got := next(); got != "[one two] 2h0m0.2s" {
			t.Errorf("told is %s", got)
		}
		w.endFake()
	})
}

func TestOverflowOfTheKernelsQueueTellsAll(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error)
		w, next := ticking(nil, errs, Target{ID: "one", Files: []string{s.path("one")}}, Target{ID: "tree", Trees: []string{s.path("src")}})
		next()
		errs <- fsnotify.ErrEventOverflow
		if got := next(); got != "[one tree] 400ms" {
			t.Errorf("told is %s", got)
		}
		w.endFake()
	})
}

// endFake ends a Watcher whose inotify is not real, and cannot be closed.
func (w *Watcher) endFake() {
	close(w.stop)
	<-w.done
}

func TestCloseLeavesNothing(t *testing.T) { // not parallel: it counts
	s := newSite(t)
	open := func() (n int) {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	goroutines, files := runtime.NumGoroutine(), open()
	for range 20 {
		w, err := New(hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		w.Set([]Target{{ID: "one", Files: []string{s.write("file", "")}, Trees: []string{s.path("src")}}})
		s.write("file", "x")
		for range 2 {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		w.Set(nil) // does not hang
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > goroutines || open() > files; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines were %d, %d files were %d", runtime.NumGoroutine(), goroutines, open(), files)
		}
	}
}

// What was watched and is not any more must not stay in the kernel: its limit is
// for the whole machine's user.
func TestWatchesThatAreNotWantedAreGivenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := watch(t, s, Target{ID: "one", Files: []string{s.write("a/file", "")}})
	v.write("a/file", "x")
	v.tells("one")
	before := len(v.w.ways.notify.WatchList())
	for i := range 5 {
		s.write(fmt.Sprintf("tree%d/a/b/file", i), "")
		v.set(Target{ID: "one", Files: []string{s.path("a/file")}}, Target{ID: "tree", Trees: []string{s.path(fmt.Sprintf("tree%d", i))}})
		v.write(filepath.Join(fmt.Sprintf("tree%d", i), "a/b/file"), "x")
		v.tells("tree")
	}
	v.set(Target{ID: "one", Files: []string{s.path("a/file")}})
	v.write("a/file", "y")
	v.tells("one")
	if got := len(v.w.ways.notify.WatchList()); got != before {
		t.Errorf("%d folders are watched, want %d", got, before)
	}
}

func TestAfterWaitWhatWasSetIsWatched(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := watch(t, s)
	for i := range 20 {
		file := s.write(fmt.Sprintf("a%d/file", i), "")
		v.w.Set([]Target{{ID: "one", Files: []string{file}}})
		v.w.Wait()
		if all := v.w.ways.notify.WatchList(); !slices.Contains(all, filepath.Dir(file)) {
			t.Fatalf("watched are %q, not the folder of %s", all, file)
		}
	}
	if err := v.w.Close(); err != nil {
		t.Error(err)
	}
	v.w.Wait() // for nothing
}

func TestWhatComesWhileTheWatchBeginsIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	log := &record{}
	v := begin(t, s, newWatcher(log.logger(), ways{
		notify: notify,
		add: func(folder string) error {
			if folder == s.path("a") { // it was looked at, and is not watched yet
				once.Do(func() { s.write("a/b/c/file", "") })
			}
			return notify.Add(folder)
		},
		remote: func(string) bool { return false },
	}), log, Target{ID: "one", Files: []string{s.path("a/b/c/file")}})
	v.must(os.Mkdir(v.path("a"), 0o755))
	v.tells("one")
	v.write("a/b/c/file", "x")
	v.tells("one")
}

// The events of what came before Set may be read after it, when they are about
// nothing any more.
func TestWhatCameBeforeSetIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := Target{ID: "one", Files: []string{s.path("a/b/file")}}, Target{ID: "two", Files: []string{s.path("two")}}
	synctest.Test(t, func(t *testing.T) {
		w, next := ticking(nil, nil, one, two) // no event is ever read
		next()
		s.write("a/b/file", "")
		w.Set([]Target{one, two})
		if got := next(); got != "[one] 400ms" {
			t.Errorf("told is %s", got)
		}
		w.endFake()
	})
}
