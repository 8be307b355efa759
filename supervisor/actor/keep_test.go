package actor

import (
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/build"
)

// touch has the world tell that something in the build's folder has changed.
func (l *life) touch() {
	l.Helper()
	var touched func()
	l.w.do(func() { touched = l.w.guard })
	if touched == nil {
		l.Fatal("nobody watches the folder")
	}
	touched()
	synctest.Wait()
}

// loses has the world lose a release.
func (w *world) loses(id string) {
	w.do(func() {
		w.kept = slices.DeleteFunc(w.kept, func(r build.Release) bool { return r.ID == id })
		w.kept = append(w.kept, build.Release{ID: "other"}) // so that the next one gets another name
	})
}

func TestLinkToTheCurrentReleaseIsMadeAgain(t *testing.T) {
	story(t, func(l *life) {
		l.configure(false)
		l.serves("r1")
		l.w.do(func() { l.w.current = "" })
		l.touch()
		if l.w.current != "r1" {
			t.Errorf("it leads to %q", l.w.current)
		}
	})
}

func TestReleaseThatIsGoneIsBuiltAgainAndTakesOver(t *testing.T) {
	story(t, func(l *life) {
		l.configure(false)
		l.serves("r1")
		l.w.loses("r1")
		l.touch()
		l.touch() // an attempt is on its way: it is not begun anew
		l.serves("r2")
		if n := len(slices.DeleteFunc(slices.Clone(l.w.built), func(r string) bool { return r != "built" })); n != 2 {
			t.Errorf("%d releases were built, want 2: %v", n, l.w.built)
		}
	})
}

func TestCrashOfAServerWhoseReleaseIsGoneHasItBuiltAgain(t *testing.T) {
	story(t, func(l *life) {
		l.configure(false)
		l.serves("r1")
		l.w.loses("r1")
		l.w.fail("Start", fmt.Errorf("enter folder /release/API: %w", fs.ErrNotExist))
		l.crash(crash)
		synctest.Wait()
		l.w.fail("Start", nil)
		l.serves("r2")
	})
}

// Nobody looks at the folder of a candidate, which serves nothing yet.
func TestReleaseThatIsGoneBeforeItTakesOverIsBuiltAgain(t *testing.T) {
	story(t, func(l *life) {
		l.configure(false)
		l.serves("r1")
		l.w.do(func() { l.w.conduct["r2"] = conduct{turn: 500 * time.Millisecond} })
		l.change("second")
		l.until("r2 as the candidate", func(v *View) bool { return v.State.Candidate.Version.Release == "r2" })
		l.w.loses("r2")
		l.serves("r3")
	})
}
