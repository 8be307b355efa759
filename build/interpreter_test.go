package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// lookedUp returns what a Maker that begins with known says of the distribution's interpreter, and
// what it knows then.
func lookedUp(t *testing.T, name string, known Interpreters) (Interpreter, Interpreters) {
	t.Helper()
	m := New(Options{Runner: newRunner(t), Known: known})
	p, err := m.interpreters.look(t.Context(), name, os.Environ(), config.Identity{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	return p, m.Interpreters()
}

// changed is known, with every answer changed.
func changed(known Interpreters, change func(*Interpreter)) Interpreters {
	other := Interpreters{}
	for key, p := range known {
		change(&p)
		other[key] = p
	}
	return other
}

func TestWhatAnotherMakerKnewOfAnInterpreterIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	asked, known := lookedUp(t, distribution, nil)
	if len(known) != 1 || asked.Version == "" {
		t.Fatalf("asked %+v, known %+v", asked, known)
	}
	remembered := changed(known, func(p *Interpreter) { p.Version = "remembered" })
	if p, _ := lookedUp(t, distribution, remembered); p.Version != "remembered" {
		t.Errorf("it was asked again: %+v", p)
	}
}

func TestInterpreterIsAskedAgainWhereThePipItHadMayBeAnother(t *testing.T) {
	t.Parallel()
	asked, known := lookedUp(t, distribution, nil)
	for name, pip := range map[string][]string{
		"none":        nil,
		"wheel gone":  {"{venv}/bin/python", filepath.Join(t.TempDir(), "pip-1-py3.whl/pip")},
		"runner gone": {"{venv}/bin/python", filepath.Join(t.TempDir(), "__pip-runner__.py")},
		"not an argv": {"pip"},
	} {
		old := changed(known, func(p *Interpreter) { p.Version, p.Pip = "remembered", pip })
		if p, _ := lookedUp(t, distribution, old); p.Version != asked.Version {
			t.Errorf("%s: it was not asked again: %+v", name, p)
		}
	}
	// A script may lead to another interpreter each time.
	shim := filepath.Join(t.TempDir(), "python")
	if err := writeWhole(shim, fakePython, 0o755); err != nil {
		t.Fatal(err)
	}
	if p, known := lookedUp(t, shim, nil); p.Version != "3" || len(known) != 0 {
		t.Errorf("of a shim %+v is kept", known)
	}
}

func TestInterpreterThatManyBuildsNameIsAskedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shim, asked, free := filepath.Join(dir, "python"), filepath.Join(dir, "asked"), filepath.Join(dir, "free")
	script := "#!/bin/sh\necho >>" + asked + "\nuntil [ -e " + free + " ]; do sleep 0.01; done\n" + strings.TrimPrefix(fakePython, "#!/bin/sh\n")
	if err := writeWhole(shim, script, 0o755); err != nil {
		t.Fatal(err)
	}
	m := New(Options{Runner: newRunner(t)})
	as := config.Identity{UID: os.Getuid(), GID: os.Getgid()}
	given, giveUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	look := func(ctx context.Context, want error) {
		if _, err := m.interpreters.look(ctx, shim, os.Environ(), as); !errors.Is(err, want) {
			t.Errorf("the answer is %v, want %v", err, want)
		}
	}
	all.Go(func() { look(given, context.Canceled) })
	until(t, "the first question", func() bool { return exists(asked) })
	for range 20 {
		all.Go(func() { look(t.Context(), nil) })
	}
	giveUp() // its own build only: somebody else asks
	until(t, "the second question", func() bool { return len(read(t, asked)) > 1 })
	must(t, os.WriteFile(free, nil, 0o600))
	all.Wait()
	if n := len(read(t, asked)); n > 20 {
		t.Errorf("it was asked %d times by 21", n)
	}
}
