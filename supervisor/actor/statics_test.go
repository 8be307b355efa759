package actor

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
)

// collecting runs f with a build that collects static files and serves its first release.
func collecting(t *testing.T, f func(l *life)) {
	t.Helper()
	story(t, func(l *life) {
		l.entry.CollectStatic = true
		l.Adopt(nil, nil)
		l.configure(false)
		l.serves("r1")
		l.published("r1")
		f(l)
	})
}

// published asserts which releases' static files went live so far, in order, twice in a row being
// once.
func (l *life) published(want ...string) {
	l.Helper()
	synctest.Wait()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if got := slices.Compact(slices.Clone(l.w.statics.published)); !slices.Equal(got, want) {
		l.Errorf("static files of %q went live, want %q", got, want)
	}
}

// next makes and serves another release.
func (l *life) next(inputs string) {
	l.w.do(func() { l.w.inputs = inputs })
	l.InputsChanged()
}

func TestStaticFilesArePreparedDuringTheCheckAndGoLiveWithTheRelease(t *testing.T) {
	collecting(t, func(l *life) {
		l.w.do(func() { l.w.statics.takes = 5 * time.Second })
		l.next("second")
		l.until("being checked", func(v *View) bool { return v.State.Candidate.N != 0 })
		l.pass(4 * time.Second)
		l.published("r1")
		if l.View().State.Candidate.N == 0 {
			l.Error("it took over before its static files were ready")
		}
		l.serves("r2")
		l.published("r1", "r2")
		if why := l.View().Static; why != "" {
			l.Error(why)
		}
	})
}

func TestStaticFilesOfAReleaseThatFailsItsCheckNeverGoLive(t *testing.T) {
	collecting(t, func(l *life) {
		l.w.do(func() { l.w.conduct["r2"] = conduct{answer: &ProbeError{Wrong: true, Err: errBroken}} })
		l.next("second")
		l.until("failed", func(v *View) bool { return len(v.State.Bad) > 0 })
		l.pass(time.Hour)
		l.published("r1")
	})
}

func TestStaticFilesComeBackWithTheReleaseBefore(t *testing.T) {
	collecting(t, func(l *life) {
		l.next("second")
		l.serves("r2")
		l.published("r1", "r2")
		l.server().exit(crash) // before it is stable
		for range 20 {
			l.pass(time.Second)
			if l.View().State.Serving.Version.Release == "r1" {
				break
			}
			if s := l.w.living(); len(s) > 0 {
				s[len(s)-1].exit(crash)
			}
		}
		l.serves("r1")
		l.published("r1", "r2", "r1")
	})
}

func TestStaticFilesThatHangDelayNoRelease(t *testing.T) {
	collecting(t, func(l *life) {
		l.w.do(func() { l.w.statics.takes, l.w.statics.hangs = time.Hour, time.Hour })
		begun := time.Now()
		l.next("second")
		l.serves("r2")
		if took := time.Since(begun); took > stageWait+10*time.Second {
			l.Errorf("it took over after %v", took)
		}
		l.published("r1")
		l.w.do(func() { l.w.statics.hangs = 0 })
		l.pass(2 * time.Hour)
		l.published("r1", "r2")
	})
}

func TestStaticFilesThatFailAreToldAndTriedAgain(t *testing.T) {
	collecting(t, func(l *life) {
		l.w.fail("PublishStatics", errBroken)
		l.w.fail("StageStatics", errBroken)
		l.next("second")
		l.serves("r2")
		l.pass(10 * time.Minute)
		if why := l.View().Static; !strings.Contains(why, errBroken.Error()) {
			l.Errorf("it is shown that %q", why)
		}
		if n := strings.Count(l.w.told(), string(machine.EventStaticFilesFailed)); n != 1 {
			l.Errorf("told %d times", n)
		}
		l.w.fail("PublishStatics", nil)
		l.pass(staticsAgainLast)
		l.published("r1", "r2")
		if why := l.View().Static; why != "" {
			l.Errorf("it is shown that %q", why)
		}
	})
}

func TestStaticFilesAreLookedAfterWhenAReleaseServesAgain(t *testing.T) {
	collecting(t, func(l *life) {
		before := len(l.w.statics.published)
		l.server().exit(crash)
		l.serves("r1")
		l.pass(time.Minute)
		l.published("r1")
		if now := len(l.w.statics.published); now <= before {
			l.Error("they were not looked at after a crash")
		}
	})
}

func TestBuildThatCollectsNothingHasNoStaticFilesPublished(t *testing.T) {
	serving(t, func(l *life) {
		l.next("second")
		l.serves("r2")
		l.published()
	})
}
