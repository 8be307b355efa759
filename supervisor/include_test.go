package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
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

func (s *site) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		s.t.Fatal(err)
	}
}
