package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mortal makes the binary that dies at a chosen moment.
var mortal = sync.OnceValues(func() (string, error) {
	path := filepath.Join(binDir, "mortal")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "killpoints", "-o", path, "../../cmd/medctrl-supervisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary that dies: %w\n%s", err, out)
	}
	return path, nil
})

// tiny is the entry of a build whose server is up within milliseconds.
func tiny(lines ...string) string { return tinyEntry("one", lines...) }

func tinyEntry(name string, lines ...string) string {
	return Entry(name, append(lines, `command = ["{python}", "-I", "-S", "tiny_server.py"]`, `stable_after = "100ms"`, `graceful_timeout = "10s"`, "keep_releases = 1")...)
}

// mortalWorld is a world of a tiny build whose supervisor dies at the moment that DieAt says.
func mortalWorld(t *testing.T) *World {
	t.Helper()
	program, err := mortal()
	if err != nil {
		t.Fatal(err)
	}
	w := tinyWorld(t)
	w.Program = program
	return w
}

// tinyWorld is a world of one build that is built and up within a second.
func tinyWorld(t *testing.T) *World {
	t.Helper()
	w := NewWorld(t, tiny())
	if err := os.WriteFile(filepath.Join(w.Source, "requirements.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// DieAt makes the supervisor that is started next die at a moment; "": at none.
func (w *World) DieAt(moment string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, "moments")
	w.Env = []string{"MEDCTRL_TEST_DIE_AT=" + moment, "MEDCTRL_TEST_MOMENTS=" + path}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Moments returns the moments that the supervisor has gone through since DieAt.
func (w *World) Moments() []string {
	return strings.Fields(strings.ReplaceAll(readAll(filepath.Join(w.Dir, "moments")), " ", "_"))
}

// DiesBefore waits until the supervisor ends or holds returns true, and reports whether it was
// killed.
func (w *World) DiesBefore(what string, holds func() bool) (died bool) {
	w.t.Helper()
	Eventually(w.t, 60*time.Second, what+", or the death", func() (bool, string) {
		select {
		case <-w.ended:
			died = w.endErr != nil
			return true, ""
		default:
			return holds(), ""
		}
	})
	return died
}

// serves reports whether the build answers with that banner and nothing of it is under way.
func (w *World) serves(banner string) bool {
	b, err := w.Status()
	if err != nil || len(b.Builds) != 1 || b.Builds[0].State != "running" || b.Builds[0].Building {
		return false
	}
	a, err := Ask("unix", w.Socket("one"), "/")
	return err == nil && a.Header.Get("X-Banner") == banner && len(w.Processes()) == 1
}

// Whole asserts what must hold after the supervisor was killed and came back.
func (w *World) Whole(moment, banner string) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("it had died %s", moment)
		}
	}()
	Eventually(w.t, 60*time.Second, fmt.Sprintf("one process that serves %q after a death %s", banner, moment), func() (bool, string) {
		return w.serves(banner), "" // the end of a world that failed tells its processes
	})
	for _, pattern := range []string{"one/.tmp-*", "one/releases/.tmp-*", "one/venvs/.tmp-*", "one/gunicorn.sock.*"} {
		Eventually(w.t, 30*time.Second, "no "+pattern, func() (bool, string) {
			left, err := filepath.Glob(filepath.Join(w.Root, pattern))
			if err != nil {
				w.t.Fatal(err)
			}
			return len(left) == 0, fmt.Sprintf("after a death %s: %v", moment, left)
		})
	}
}

// settled reports whether the edited release serves and has done so long enough to count as stable.
func (w *World) settled(banner string) bool {
	if !w.serves(banner) {
		return false
	}
	events, err := w.get("/v1/events?follow=0")
	return err == nil && strings.LastIndex(events, `"took_over"`) < strings.LastIndex(events, `"stable"`) && strings.LastIndex(events, `"adopted"`) < strings.LastIndex(events, `"stable"`)
}

// TestDeathAtAnyMomentIsRecovered kills the supervisor before and after everything it does, one
// moment in each life: from its start with a generation to adopt, through an edit, the making of a
// release, its check, the exchange, the drain and the end of the old one to the pruning, and during
// a stop. Each time it is started again, and everything must be as the file says, with no request
// lost.
func TestDeathAtAnyMomentIsRecovered(t *testing.T) {
	t.Parallel()
	const walkers = 4 // concurrent, each takes every fourth moment
	edit := func(w *World, banner string) bool {
		return w.DiesBefore("the edit to be served", func() bool { return w.settled(banner) })
	}
	stop := func(w *World, banner string) bool {
		if edit(w, banner) {
			return true
		}
		w.Signal(syscall.SIGTERM)
		return w.DiesBefore("the end", func() bool { return false })
	}
	for name, act := range map[string]func(*World, string) bool{"first": edit, "edit": edit, "stop": stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := walkMoments(t, 0, 1, []string{"none"}, act, name)
			switch name { // all others belong to the edit
			case "stop":
				all = all[slices.Index(all, "before_Withdraw#1"):]
			case "first":
				all = slices.DeleteFunc(all, func(m string) bool {
					return !regexp.MustCompile("Spawn|Swap|exchange").MatchString(m) && !makesEnvironment.MatchString(m)
				})
			}
			t.Logf("%d moments: %q", len(all), all)
			for walker := range walkers {
				t.Run(fmt.Sprint(walker), func(t *testing.T) {
					t.Parallel()
					walkMoments(t, walker, walkers, all, act, name)
				})
			}
		})
	}
}

// makesEnvironment are the moments of a first build at which its environment is there only in part.
var makesEnvironment = regexp.MustCompile("Open|environment|install")

// walkMoments makes a supervisor die at every nth of the moments, beginning with first, and returns
// those it went through in its last life.
func walkMoments(t *testing.T, first, nth int, moments []string, act func(w *World, banner string) bool, name string) (through []string) {
	w := mortalWorld(t)
	w.DieAt("")
	w.Serve("one")
	var tr *Traffic
	if name == "edit" {
		tr = w.Load("one", 50)
	}
	for i := first; i < len(moments); i += nth {
		moment, banner := strings.ReplaceAll(moments[i], "_", " "), fmt.Sprint("n", i)
		w.SetBanner("one", banner, RenameOver)
		w.Signal(syscall.SIGKILL)
		w.WaitEnd(10 * time.Second)
		if name == "first" {
			KillAll(t, w.Processes(), syscall.SIGKILL)
			Eventually(t, patience, "the end of what was killed", func() (bool, string) {
				left := w.Processes()
				return len(left) == 0, fmt.Sprint(left)
			})
			w.dropCgroups()
			if err := os.RemoveAll(w.Root); err != nil {
				t.Fatal(err)
			}
			w.Prepared = !makesEnvironment.MatchString(moment)
		}
		w.DieAt(moment)
		w.Start()
		died := w.DiesBefore("the start", func() bool { _, err := w.Status(); return err == nil }) || act(w, banner)
		// What we have seen already, such as the end of a tree, the supervisor may be about to notice.
		if !died && strings.HasSuffix(moment, "#1") && !w.DiesBefore("the moment "+moment, func() bool { return false }) {
			t.Errorf("the moment %s never came", moment)
		}
		if w.Running() {
			w.Signal(syscall.SIGKILL)
			w.WaitEnd(10 * time.Second)
		}
		through = w.Moments()
		w.DieAt("")
		w.Start()
		w.Whole(moment, banner)
	}
	if tr != nil {
		tr.Stop().NoneLost(t)
	}
	return through
}
