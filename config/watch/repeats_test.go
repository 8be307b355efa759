package watch

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/go-hclog"
)

// tree is a Watcher on the tree src of a site, in a bubble of its own time.
type tree struct {
	site
	t      testing.TB
	w      *Watcher
	events chan fsnotify.Event
	mu     sync.Mutex
	told   []time.Duration // when, since the beginning
	loops  []string        // what is restless, each time it was said
	making atomic.Bool
	ended  chan struct{}
	begun  time.Time
}

// inTree runs f on the watcher of a tree. react is called at each telling.
func inTree(t *testing.T, locks []string, react func(*tree), f func(*tree)) {
	t.Helper()
	inTreeOr(t, true, locks, react, f)
}

// inTreeOr is inTree, or the same where only the named file is watched.
func inTreeOr(t *testing.T, trees bool, locks []string, react func(*tree), f func(*tree)) {
	t.Helper()
	s := newSite(t)
	s.write("src/API/media/0.jpg", "")
	synctest.Test(t, func(t *testing.T) {
		v := &tree{site: s, t: t, events: make(chan fsnotify.Event, 100), begun: time.Now(), ended: make(chan struct{})}
		for i := range locks {
			locks[i] = s.path(locks[i])
		}
		target := Target{ID: "one", Files: []string{s.path("src/API/settings.py")}, Locks: locks, Making: v.making.Load, Restless: v.restless}
		if trees {
			target.Trees = []string{s.path("src")}
		}
		w, _ := ticking(v.events, nil, target)
		v.w = w
		stop := make(chan struct{})
		go func() {
			defer close(v.ended)
			for {
				select {
				case <-w.C():
					v.mu.Lock()
					v.told = append(v.told, time.Since(v.begun))
					v.mu.Unlock()
					if react != nil {
						react(v)
					}
				case <-stop:
					return
				}
			}
		}()
		f(v)
		close(stop)
		<-v.ended
		w.endFake()
	})
}

func (v *tree) restless(paths []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.loops = append(v.loops, fmt.Sprint(paths))
}

func (v *tree) touch(name string) {
	v.events <- fsnotify.Event{Name: v.path("src/" + name), Op: fsnotify.Write}
}

// after waits, and returns how often something was told meanwhile.
func (v *tree) after(d time.Duration) int {
	before := len(v.tellings())
	time.Sleep(d)
	synctest.Wait()
	return len(v.tellings()) - before
}

func (v *tree) tellings() []time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.told)
}

// tellsSoon asserts that an edit is told at once.
func (v *tree) tellsSoon(name string) {
	v.t.Helper()
	v.touch(name)
	at := time.Since(v.begun)
	v.after(restless)
	if told := v.tellings(); len(told) == 0 || told[len(told)-1] < at {
		v.t.Errorf("an edit of %s at %v is not told within %v; told: %v", name, at, restless, told)
	}
}

func (v *tree) said(want ...string) {
	v.t.Helper()
	for i, w := range want {
		if w != "" {
			want[i] = "[" + v.dir + "/src/" + w + "]"
		} else {
			want[i] = "[]"
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Equal(v.loops, want) {
		v.t.Errorf("said to be restless: %q, want %q", v.loops, want)
	}
}

func TestFileThatIsWrittenByWhatIsMadeOfItsTreeIsNamedAndToldLessOften(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"API/app.log", "API/generated.py"} {
		inTree(t, nil, func(v *tree) { // an attempt begins, and imports the application
			v.making.Store(true)
			time.Sleep(500 * time.Millisecond)
			v.touch(name)
			time.Sleep(500 * time.Millisecond)
			v.making.Store(false)
		}, func(v *tree) {
			v.touch("API/views.py")
			if n := v.after(40 * time.Second); n > 8 {
				t.Errorf("%s: told %d times in 40 s, at %v", name, n, v.tellings())
			}
			v.said(name)
			if n := v.after(time.Hour); n > 20 || n < 10 {
				t.Errorf("%s: told %d times in an hour, at %v", name, n, v.tellings())
			}
			v.tellsSoon("API/views.py")
			v.tellsSoon("API/settings.py")
			v.said(name)
		})
	}
}

func TestFileThatAnotherProgramRewritesDelaysNoEdit(t *testing.T) {
	t.Parallel()
	for _, every := range []time.Duration{100 * time.Millisecond, time.Second, 3 * time.Second, 20 * time.Second} {
		inTree(t, nil, nil, func(v *tree) {
			stop := make(chan struct{})
			go func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(every):
						v.touch("API/state.db")
					}
				}
			}()
			v.after(max(40*time.Second, 22*every))
			v.said("API/state.db")
			if n := v.after(20 * time.Minute); n > 12 || n < 4 {
				t.Errorf("every %v: told %d times in an hour, at %v", every, n, v.tellings())
			}
			v.tellsSoon("API/views.py")
			close(stop)
			v.after(20 * time.Minute)
			v.said("API/state.db", "") // it is over
		})
	}
}

func TestEverNewNamesInAFolderAreRecognised(t *testing.T) {
	t.Parallel()
	n := 0
	inTree(t, nil, func(v *tree) {
		n++
		v.touch(fmt.Sprintf("API/media/%d.jpg", n))
	}, func(v *tree) {
		v.touch("API/views.py")
		v.after(time.Minute)
		v.said("API/media/")
		if n := v.after(time.Hour); n > 20 {
			t.Errorf("told %d times in an hour", n)
		}
		v.tellsSoon("API/media.py")
	})
}

// A file whose name is one that people write may be the application's too: a report, a log for each day.
func TestEverNewNamesThatPeopleMightWriteAreRecognised(t *testing.T) {
	t.Parallel()
	n := 0
	inTree(t, nil, func(v *tree) {
		v.making.Store(true)
		n++
		v.touch(fmt.Sprintf("API/report-%d.txt", n))
		v.making.Store(false)
	}, func(v *tree) {
		v.write("src/API/views.py", "")
		v.touch("API/views.py")
		v.after(time.Minute)
		v.said("API/")
		if n := v.after(time.Hour); n > 20 {
			t.Errorf("told %d times in an hour", n)
		}
		v.tellsSoon("API/views.py")
		v.tellsSoon("API/settings.py")
	})
}

func TestPersonWhoSavesManyFilesOfAFolderIsToldAtOnce(t *testing.T) {
	t.Parallel()
	inTree(t, nil, nil, func(v *tree) {
		for n := range 30 {
			v.write(fmt.Sprintf("src/API/a%d.py", n), "")
		}
		for n := range 30 {
			v.tellsSoon(fmt.Sprintf("API/a%d.py", n))
			v.after(quietMost)
		}
		v.said()
	})
}

func TestPersonWhoSavesAgainAndAgainIsToldAtOnce(t *testing.T) {
	t.Parallel()
	inTree(t, nil, nil, func(v *tree) {
		for range 9 {
			v.tellsSoon("API/views.py")
			v.after(2 * time.Second)
		}
		v.after(20 * time.Second)
		for range 15 {
			v.tellsSoon("API/views.py")
			v.after(11 * time.Second)
		}
		v.said()
	})
}

func TestTreeThatIsBeingWrittenIsToldWhenThatIsOver(t *testing.T) {
	t.Parallel()
	inTree(t, nil, nil, func(v *tree) {
		n := 0
		for range 40 { // for 20 s
			v.touch(fmt.Sprintf("API/file%d.py", n))
			n += 1 + v.after(500*time.Millisecond)
		}
		if len(v.tellings()) > 5 {
			t.Errorf("told while it was being written: %v", v.tellings())
		}
		if v.after(quietMost+time.Second) != 1 {
			t.Errorf("told in the end: %v", v.tellings())
		}
		v.said()
	})
}

func TestWhatNeverEndsIsToldAllTheSame(t *testing.T) {
	t.Parallel()
	inTree(t, nil, nil, func(v *tree) {
		for i := range 1200 { // for 2 minutes
			v.touch(fmt.Sprintf("API/file%d.py", i))
			v.after(100 * time.Millisecond)
		}
		if n := len(v.tellings()); n < 3 || n > 6 {
			t.Errorf("told at %v", v.tellings())
		}
	})
}

func TestNothingIsToldWhileALockIsThere(t *testing.T) {
	t.Parallel()
	inTree(t, []string{"git/index.lock"}, nil, func(v *tree) {
		lock := v.write("git/index.lock", "")
		v.touch("API/settings.py")
		v.touch("API/views.py")
		if v.after(9*time.Minute) != 0 {
			t.Errorf("told with a lock: %v", v.tellings())
		}
		v.touch("API/views.py")
		if v.after(9*time.Minute) != 0 {
			t.Errorf("told with a lock, and something changed: %v", v.tellings())
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		if v.after(restless) != 1 {
			t.Errorf("told without a lock: %v", v.tellings())
		}
		v.tellsSoon("API/views.py")
	})
}

func TestLockThatWasLeftBehindHoldsNothingForEver(t *testing.T) {
	t.Parallel()
	inTree(t, []string{"git/index.lock"}, nil, func(v *tree) {
		lock := v.write("git/index.lock", "")
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(lock, old, old); err != nil {
			t.Fatal(err)
		}
		v.touch("API/views.py")
		if n := v.after(staleLock + time.Minute); n != 1 {
			t.Errorf("told %d times: %v", n, v.tellings())
		}
	})
}

func TestPolledFilesAreRecognisedToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	synctest.Test(t, func(t *testing.T) {
		var loops []string
		w := newWatcher(hclog.NewNullLogger(), ways{})
		w.Set([]Target{{ID: "one", Trees: []string{s.path("src")}, Restless: func(paths []string) { loops = append(loops, paths...) }}})
		told := 0
		for i := range 60 {
			s.write("src/API/app.log", fmt.Sprint(i))
			select {
			case <-w.C():
				told++
			case <-time.After(time.Second):
			}
		}
		if told > 12 || !slices.Equal(loops, []string{s.path("src/API/app.log")}) {
			t.Errorf("told %d times in a minute, restless are %q", told, loops)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}
