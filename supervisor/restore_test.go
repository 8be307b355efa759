package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// gunicorn has the usual server instead of a command.
const gunicorn = "command = []"

func TestSocketThatWasDeletedComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	before := s.get("a")
	socket := s.root.Build("a").Socket()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	s.eventually(func() string {
		if _, err := os.Stat(socket); err != nil {
			return err.Error()
		}
		return ""
	})
	if now := s.get("a"); now != before {
		t.Errorf("%+v served before, now %+v", before, now)
	}
	// Without any other name of it, a new socket is made, and a generation on that.
	first, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	s.becomes("a", func(b control.BuildStatus) bool {
		names, err := filepath.Glob(filepath.Join(filepath.Dir(socket), "*gunicorn.sock*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names { // again, where one was given back in between
			if info, err := os.Stat(name); err == nil && os.SameFile(info, first) {
				if err := os.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		return b.Healthy && b.Pid != 0 && b.Pid != before.pid
	})
	if now := s.get("a"); now.release != before.release {
		t.Errorf("%+v served before, now %+v", before, now)
	}
}

func TestWhatAServerNeedsIsMadeAgainWhenItIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "log_dir = \"logs/here\"", entry("a", gunicorn))
	s.start()
	s.serves("a")
	before := s.get("a")
	generated, err := filepath.Glob(s.root.Build("a").Conf("*"))
	if err != nil || len(generated) != 1 {
		t.Fatalf("generated files are %q, error %v", generated, err)
	}
	logs := filepath.Join(s.dir, "logs", "here")
	if err := errors.Join(os.RemoveAll(logs), os.RemoveAll(s.root.Build("a").Run())); err != nil {
		t.Fatal(err)
	}
	s.kill(before.pid)
	if now := s.get("a"); now.release != before.release {
		t.Errorf("%+v served before, now %+v", before, now)
	}
	for _, path := range []string{generated[0], layout.Log(logs, "a")} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestGeneratedFilesOfBeforeAreRemoved(t *testing.T) {
	t.Parallel()
	const stable = `stable_after = "100ms"`
	s := newSite(t, "", entry("a", gunicorn, stable))
	r := s.start()
	old := s.serves("a")
	stays := func() {
		t.Helper()
		s.eventually(func() string {
			if r.fleet.Load().actors["a"].View().State.StableAt.IsZero() {
				return ""
			}
			return "it is not stable"
		})
	}
	stays()
	generated := func() []string {
		t.Helper()
		all, err := filepath.Glob(s.root.Build("a").Conf("*"))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := generated()
	if len(before) != 1 {
		t.Fatalf("generated files are %q", before)
	}
	// The one before what serves stays, to come back where that fails.
	for _, threads := range []string{"threads = 3", "threads = 4"} {
		s.builds("", entry("a", gunicorn, stable, threads))
		old = s.becomes("a", func(b control.BuildStatus) bool { return b.Healthy && b.Pid != 0 && b.Pid != old.Pid })
		stays()
	}
	s.eventually(func() string {
		if now := generated(); slices.Contains(now, before[0]) {
			return fmt.Sprintf("generated files are %q", now)
		}
		return ""
	})
}
