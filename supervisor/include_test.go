package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config/watch"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
	"github.com/medctrl/medctrl-supervisor/supervisor/world"
)

func TestIncludedFilesAreFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, `include = ["builds.d/*.toml"]`, entry("a"))
	s.start()
	s.serves("a")
	before := s.get("a")
	s.write("builds.d/b.toml", entry("b"))
	first := s.serves("b")
	s.get("b")
	s.write("builds.d/b.toml", entry("b", `env = {X = "1"}`))
	s.becomes("b", func(b control.BuildStatus) bool { return b.Healthy && b.Pid != 0 && b.Pid != first.Pid })
	wrong := func(want string) {
		t.Helper()
		s.eventually(func() string {
			st, err := s.client.Status(t.Context())
			if err == nil && (want == "" && st.Config.Error == "" || want != "" && strings.Contains(st.Config.Error, want)) {
				return ""
			}
			return "the error of the file is " + st.Config.Error
		})
		s.get("b")
	}
	s.write("builds.d/c.toml", entry("a"))
	wrong(filepath.Join(s.dir, "builds.d/c.toml") + ":2:8: name = \"a\": the build in " + s.file)
	s.remove("builds.d/c.toml")
	wrong("")
	// What a file includes that is not applied is watched as well.
	s.builds(`include = ["builds.d/*.toml", "more.d/*.toml"]`, entry("a", "worker = 1"))
	wrong("worker")
	s.write("more.d/x.toml", entry("x"))
	wrong("deploy_x.py")
	s.builds(`include = ["builds.d/*.toml", "more.d/*.toml"]`, entry("a"))
	wrong("deploy_x.py")
	s.remove("more.d/x.toml")
	wrong("")
	s.remove("builds.d/b.toml")
	s.becomes("b", func(b control.BuildStatus) bool { return b.Name == "" })
	if _, err := os.Stat(s.root.Build("b").Socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of a build that was removed: %v", err)
	}
	if now := s.get("a"); now != before {
		t.Errorf("%+v served, now %+v", before, now)
	}
}

// watched remembers what is to be watched.
type watched struct {
	world.Watcher
	globs atomic.Value // []string: all of the last call of Set
}

func (w *watched) Set(targets []watch.Target) {
	var globs []string
	for _, t := range targets {
		globs = append(globs, t.Globs...)
	}
	w.globs.Store(globs)
	w.Watcher.Set(targets)
}

// The mistake is the same, and what the file includes is not.
func TestWhatAnotherBrokenFileIncludesIsWatchedToo(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	w := &watched{}
	s.watcher = func(real world.Watcher) world.Watcher { w.Watcher = real; return w }
	s.start()
	s.serves("a")
	for _, folder := range []string{"one.d", "two.d"} {
		s.builds(fmt.Sprintf("include = [%q]", folder+"/*.toml"), entry("a", "worker = 1"))
		s.eventually(func() string {
			globs, _ := w.globs.Load().([]string)
			if slices.Contains(globs, filepath.Join(s.dir, folder, "*.toml")) {
				return ""
			}
			return fmt.Sprintf("%q are watched", globs)
		})
	}
}

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}
