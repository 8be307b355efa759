package prebuild

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/medctrl/medctrl-supervisor/build"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

// building is what Build is asked to do below root, and what it says meanwhile.
func building(root string) (o Options, said *[]string) {
	said = new([]string)
	entry := entryOf(root)
	entry.Requirements, entry.Python, entry.StepTimeout = "requirements.txt", "/nowhere/python3", time.Minute
	return Options{Root: filepath.Join(root, "root"), Entry: entry, Log: hclog.NewNullLogger(), Say: func(line string) { *said = append(*said, line) }}, said
}

// What serves in a root decides what is made there: nothing is, and nothing is touched, while a
// supervisor has it.
func TestNoReleaseIsMadeInTheRootOfASupervisor(t *testing.T) {
	t.Parallel()
	o, said := building(t.TempDir())
	w, err := world.NewWorkshop(layout.Root(o.Root), nil, o.Log) // it keeps the root as a supervisor does
	if err != nil {
		t.Fatal(err)
	}
	built, err := Build(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "root") || built != (Built{}) || len(*said) > 0 {
		t.Errorf("%+v, %v, said %q", built, err, *said)
	}
	if _, err := os.Lstat(filepath.Join(o.Root, o.Entry.Name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder of the build is there: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who builds an image builds it again: an attempt that failed must not leave the root locked, nor a
// release that serves.
func TestBuildThatFailsLeavesTheRootAsItWas(t *testing.T) {
	t.Parallel()
	o, _ := building(t.TempDir())
	for range 2 { // the second finds the root free again
		built, err := Build(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), o.Entry.Python) || built != (Built{}) {
			t.Errorf("%+v, %v, want that there is no interpreter", built, err)
		}
	}
	if _, err := os.Lstat(layout.Root(o.Root).Build(o.Entry.Name).Current()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is the current release: %v", err)
	}
}

func TestStepIsCountedWhereItIsKnownOfHowMany(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]build.Progress{
		"step 2 of 8: copy":                {Step: "copy", N: 2, Of: 8},
		"waiting until index.lock is gone": {Step: "waiting until index.lock is gone"},
	} {
		if got := stepWords(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
