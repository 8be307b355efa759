package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

func TestEditedFileIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.start()
	s.serves("a")
	before := s.get("a")
	s.builds("", entry("a"), entry("b"))
	s.serves("b")
	s.get("b")
	s.builds("", entry("a", `env = {X = "1"}`), entry("b"))
	s.becomes("a", func(b control.BuildStatus) bool { return b.Healthy && b.Pid != 0 && b.Pid != before.pid })
	if now := s.get("a"); now.release != before.release {
		t.Errorf("a change of the environment made release %s of %s", now.release, before.release)
	}
	s.builds("", entry("b"))
	s.becomes("a", func(b control.BuildStatus) bool { return b.Name == "" })
	if _, err := os.Stat(s.root.Build("a").Socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket of a build that was removed: %v", err)
	}
	if _, err := os.Stat(s.root.Build("a").Release(before.release).Dir()); err != nil {
		t.Errorf("the release of a build that was removed: %v", err)
	}
	s.builds("", entry("b"), entry("a"))
	s.serves("a")
	s.get("a")
}

func TestBadFileChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	r := s.start()
	s.serves("a")
	before := s.get("a")
	wrong := func(want string) {
		t.Helper()
		s.eventually(func() string {
			st, err := s.client.Status(t.Context())
			if err == nil && (want == "" && st.Config.Error == "" || want != "" && strings.Contains(st.Config.Error, want)) {
				return ""
			}
			return "the error of the file is " + st.Config.Error
		})
		if now := s.get("a"); now != before {
			t.Errorf("%+v served, now %+v", before, now)
		}
	}
	s.builds("", entry("a", `workers = "two"`))
	wrong("workers")
	if _, err := s.client.Reload(t.Context(), false); err == nil || !strings.Contains(err.Error(), "workers") {
		t.Errorf("a reload returns %v", err)
	}
	if _, err := s.client.Reload(t.Context(), true); err == nil || !strings.Contains(err.Error(), "workers") {
		t.Errorf("a dry run returns %v", err)
	}
	r.signals <- syscall.SIGHUP
	wrong("workers")
	s.write("builds.toml", strings.Replace(s.read("builds.toml"), `workers = "two"`, "", 1))
	wrong("")
	s.write("builds.toml", strings.Replace(s.read("builds.toml"), `root = "root"`, `root = "elsewhere"`, 1))
	wrong("root changed")
	s.builds("", entry("a"), entry("c")) // its settings file is missing, and comes
	wrong("deploy_c.py")
	s.settings("c", "c = 1\n")
	wrong("")
	s.serves("c")
}

func TestReloadTellsWhatItChanges(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", entry("a"))
	s.unwatched()
	r := s.start()
	s.serves("a")
	changes, err := s.client.Reload(t.Context(), false)
	if err != nil || len(changes) != 0 {
		t.Errorf("a reload of nothing changes %q, error %v", changes, err)
	}
	s.builds("", entry("a"), entry("b"))
	changes, err = s.client.Reload(t.Context(), true)
	if err != nil || len(changes) == 0 || !strings.Contains(strings.Join(changes, "\n"), "b") {
		t.Errorf("a dry run would change %q, error %v", changes, err)
	}
	r.signals <- syscall.SIGHUP
	s.serves("b")
}

func TestEditedSettingsMakeARelease(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.builds("", entry("a", "[build.hooks]", fmt.Sprintf(`after_swap = ["/bin/sh", "-c", "echo $MEDCTRL_EVENT $MEDCTRL_RELEASE >>%s/hooks"]`, s.dir)))
	s.start()
	s.serves("a")
	before := s.get("a")
	s.settings("a", "a = 2\n")
	s.becomes("a", func(b control.BuildStatus) bool { return b.Healthy && b.Release > before.release })
	after := s.get("a")
	if after.release <= before.release {
		t.Errorf("%+v served, now %+v", before, after)
	}
	s.settings("a", "no release\n")
	s.becomes("a", func(b control.BuildStatus) bool { return strings.Contains(b.BuildError, "no release can be made") })
	if now := s.get("a"); now != after {
		t.Errorf("%+v served before an attempt that failed, now %+v", after, now)
	}
	act := func(action string, args map[string]string) error {
		_, err := s.client.Act(t.Context(), "a", action, args, nil)
		return err
	}
	if err := act("rollback", map[string]string{"to": before.release}); err != nil {
		t.Error(err)
	}
	if now := s.get("a"); now.release != before.release {
		t.Errorf("after a rollback to %s %+v serves", before.release, now)
	}
	if to, err := os.Readlink(s.root.Build("a").Current()); err != nil || to != s.root.Build("a").CurrentTo(before.release) {
		t.Errorf("current leads to %s, error %v", to, err)
	}
	if err := act("stop", nil); err != nil || s.status("a").State != control.StateStopped {
		t.Errorf("after a stop: error %v, %+v", err, s.status("a"))
	}
	if err := act("start", map[string]string{"wait": "no"}); err != nil {
		t.Error(err)
	}
	s.serves("a")
	if err := act("dance", nil); err == nil {
		t.Error("an action that is not there was done")
	}
	s.eventually(func() string {
		text, err := os.ReadFile(filepath.Join(s.dir, "hooks"))
		if err == nil && strings.Contains(string(text), "took_over "+after.release+"\n") {
			return ""
		}
		return "hooks wrote " + string(text)
	})
}
