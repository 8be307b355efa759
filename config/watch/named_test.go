package watch

import (
	"slices"
	"testing"
	"time"
)

// Settings that a step of the build writes, or variables that a hook does, would be applied for ever.
func TestNamedFileThatIsWrittenByWhatIsMadeOfItIsNamedAndToldLessOften(t *testing.T) {
	t.Parallel()
	const name = "API/settings.py"
	writes := func(during bool) func(*tree) {
		return func(v *tree) {
			v.making.Store(true)
			time.Sleep(500 * time.Millisecond)
			if !during {
				v.making.Store(false)
			}
			v.touch(name)
			time.Sleep(500 * time.Millisecond)
			v.making.Store(false)
		}
	}
	for what, c := range map[string]struct {
		trees  bool
		during bool // it is written while something is made of it
		most   int  // tellings in the first minute
	}{
		"a step":                {false, true, 14},
		"a hook":                {false, false, 26},
		"a step, with its tree": {true, true, 14},
	} {
		inTreeOr(t, c.trees, nil, writes(c.during), func(v *tree) {
			v.touch(name)
			if n := v.after(time.Minute); n > c.most {
				t.Errorf("%s: told %d times in a minute, at %v", what, n, v.tellings())
			}
			v.said(name)
			if n := v.after(time.Hour); n > 20 || n < 10 {
				t.Errorf("%s: told %d times in an hour, at %v", what, n, v.tellings())
			}
		})
	}
}

func TestNamedFileIsNotTakenForRestlessWhileAPersonSavesIt(t *testing.T) {
	t.Parallel()
	inTreeOr(t, false, nil, nil, func(v *tree) {
		for range 7 { // again and again while a release is made: it does not work yet
			v.making.Store(true)
			v.tellsSoon("API/settings.py")
			v.after(5 * time.Second)
		}
		v.making.Store(false)
		for range 50 {
			v.tellsSoon("API/settings.py")
			v.after(15 * time.Second)
		}
		v.said()
	})
}

func TestFilesOfATreeThatIsNoLongerWatchedAreForgotten(t *testing.T) {
	t.Parallel()
	var r repeats
	now := time.Now()
	for range 2 * oddLimit {
		now = now.Add(time.Second)
		r.touch("tree/app.log", now, true)
		r.touchNamed("tree/settings.py", now, true)
		r.told(now)
	}
	if got := r.restless(); !slices.Equal(got, []string{"tree/app.log", "tree/settings.py"}) {
		t.Fatalf("restless: %q", got)
	}
	if !r.dropUnnamed() || r.dropUnnamed() {
		t.Error("it was not forgotten, once")
	}
	if got := r.restless(); !slices.Equal(got, []string{"tree/settings.py"}) {
		t.Errorf("restless: %q", got)
	}
}
